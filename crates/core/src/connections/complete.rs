//! `complete`: the exchange and the save in one motion.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::binding::{Binding, User};
use crate::callback::AuthorizationResponse;
use crate::connection_key::ConnectionKey;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::flow::Completed;
use crate::observe::observed;
use crate::scopes::Scopes;
use crate::state::StoreErrorKind;
use crate::text;
use crate::token::TokenSet;
use crate::token_store::{Incarnation, Loaded, SealedBytes, Version, Write};
use crate::wait::caught;

use super::access::{AccessToken, View};
use super::contents::Contents;
use super::event::EventKind;
use super::failure;
use super::inner::{Inner, Registered, jitter};
use super::plan;
use super::slots::{Cached, Slot};

/// How often a new connection is offered to the store before its tokens are given back to the provider.
const ATTEMPTS: u32 = 6;
/// Between the first two of them.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;
type Owner = Pin<Box<dyn Future<Output = Result<User, Source>> + Send>>;

/// A flow that is about to be completed. Await it.
#[must_use = "nothing happens until it is awaited"]
pub struct Complete {
    /// On the heap, since it is moved from future to future.
    asked: Box<Asked>,
    in_place: bool,
}

/// What is asked of a [`Complete`].
struct Asked {
    inner: Arc<Inner>,
    provider_id: Box<str>,
    response: AuthorizationResponse<'static>,
    binding: Binding,
    extensions: Extensions,
    sign_in: Option<Box<dyn FnOnce(SignIn) -> Owner + Send>>,
}

/// What the state store gets to see.
enum Extensions {
    Own(http::Extensions),
    /// Those of a request that outlives the task.
    Of(Arc<dyn AsRef<http::Extensions> + Send + Sync>),
}

impl Extensions {
    fn get(&self) -> &http::Extensions {
        match self {
            Self::Own(extensions) => extensions,
            Self::Of(request) => (**request).as_ref(),
        }
    }
}

/// What is known of somebody who signs in, for the application to find or make its user.
#[derive(Debug)]
#[non_exhaustive]
pub struct SignIn {
    /// The provider id.
    pub provider_id: Box<str>,
    /// The tokens. The id_token in them is not verified.
    pub tokens: TokenSet,
    /// The nonce that was sent, for the validation of the id_token (OpenID Connect Core §3.1.3.7).
    pub nonce: Option<Arc<str>>,
    /// What failed after the exchange, such as the look-up of the account.
    pub after_exchange: Option<Error>,
}

/// A connection that was made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected {
    /// Which one.
    pub key: ConnectionKey,
    /// The scopes that were granted.
    pub scopes: Scopes,
    /// The scopes that were asked for and not granted (RFC 6749 §3.3).
    pub missing_scopes: Scopes,
    /// Where the application goes on: the path that was given to `begin`.
    pub return_to: Option<Arc<str>>,
    /// What failed after the exchange, such as the look-up of the account. The connection is good all the same.
    pub after_exchange: Option<Error>,
}

impl Complete {
    pub(super) fn new(
        inner: Arc<Inner>,
        provider_id: &str,
        response: &AuthorizationResponse<'_>,
        binding: &Binding,
    ) -> Self {
        let asked = Asked {
            inner,
            provider_id: provider_id.into(),
            response: response.to_static(),
            binding: binding.clone(),
            extensions: Extensions::Own(http::Extensions::new()),
            sign_in: None,
        };
        Self { asked: Box::new(asked), in_place: false }
    }

    /// What the state store gets to see: the session, the request, a transaction.
    pub fn extensions(mut self, extensions: http::Extensions) -> Self {
        self.asked.extensions = Extensions::Own(extensions);
        self
    }

    /// The same without a copy: each thing in them would be copied to the heap by itself.
    #[doc(hidden)]
    pub fn extensions_of(mut self, request: Arc<dyn AsRef<http::Extensions> + Send + Sync>) -> Self {
        self.asked.extensions = Extensions::Of(request);
        self
    }

    /// For a flow that was begun for nobody, in a browser or a process: finds or makes the user of the application whose
    /// account this is, after the exchange and before the connection is saved. Where it fails, the tokens are given back to
    /// the provider.
    pub fn sign_in<F, O, E>(mut self, owner: F) -> Self
    where
        F: FnOnce(SignIn) -> O + Send + 'static,
        O: Future<Output = Result<User, E>> + Send + 'static,
        E: Into<Source>,
    {
        self.asked.sign_in = Some(Box::new(move |who| {
            let owner = owner(who);
            Box::pin(async move { owner.await.map_err(Into::into) })
        }));
        self
    }

    /// For work that runs in [`Connections::detached`](super::Connections::detached) already: needs no task of its own.
    #[doc(hidden)]
    pub fn in_place(mut self) -> Self {
        self.in_place = true;
        self
    }
}

impl Asked {
    async fn run(mut self: Box<Self>) -> Result<Connected> {
        let inner = Arc::clone(&self.inner);
        if inner.is_closing() {
            return Err(failure::shutting_down());
        }
        let provider = inner.provider(&self.provider_id, Operation::Complete)?;
        // While neither can be had, the code stays unsent and the state unused: the same callback works later.
        inner.sealer.check().await?;
        let key = inner.probe_store(provider, self.binding.as_user()).await?;
        let incarnation = Incarnation::random()?;
        let (connected, contents) = self.finish(&inner, provider, key).await?;
        inner.connect(provider, connected, incarnation, contents).await
    }

    /// Finishes the flow. `key` is that of its user, if it has one.
    async fn finish(
        &mut self,
        inner: &Arc<Inner>,
        provider: &Registered,
        key: ConnectionKey,
    ) -> Result<(Connected, Box<Contents>)> {
        let finish = provider.flow.finish(&self.response, &self.binding);
        let completed = finish.extensions_of(self.extensions.get()).await?;
        let key = match &completed.owner {
            // Made once: each makes a hash of it.
            Some(owner) if key.user() == owner => key,
            Some(owner) => provider.key_of(owner),
            None => match Box::pin(self.name_owner(&completed)).await {
                Ok(owner) => provider.key_of(&owner),
                Err(error) => {
                    inner.give_back(provider, &completed.tokens).await;
                    return Err(error);
                }
            },
        };
        Ok(inner.connected(key, completed))
    }

    /// Who signs in with this account, where the flow was begun for nobody.
    async fn name_owner(&mut self, completed: &Completed) -> Result<User> {
        let Some(sign_in) = self.sign_in.take() else {
            return Err(Error::usage(
                "the flow was begun for nobody, so that nobody owns the connection: say who with `sign_in`",
            ));
        };
        let who = SignIn {
            provider_id: self.provider_id.clone(),
            tokens: completed.tokens.clone(),
            nonce: completed.nonce.clone(),
            after_exchange: completed.after_exchange.as_ref().map(Error::duplicate),
        };
        // In a task of its own: if it panics, the tokens are given back as if it had failed.
        let named = self.inner.spawn(sign_in(who)).await;
        match named.unwrap_or_else(|_| Err("the application's own function ended before it was done".into()))
        {
            Ok(user) if user.id.is_empty() => {
                let message =
                    "the application named a user with an empty id for this account; nothing was connected";
                Err(Error::usage(message))
            }
            Ok(user) => Ok(user),
            Err(source) => {
                let message = "the application named no user for this account; nothing was connected";
                Err(Error::new(ErrorKind::Usage, message).with_source(source))
            }
        }
    }
}

impl IntoFuture for Complete {
    type Output = Result<Connected>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Connected>> + Send>>;

    /// The work is done in a task of its own: who goes away loses nothing.
    fn into_future(self) -> Self::IntoFuture {
        let Self { asked, in_place } = self;
        let inner = Arc::clone(&asked.inner);
        let provider_id = asked.provider_id.clone();
        Box::pin(async move {
            // It is large, and on its way into a task and out of it it would be moved several times.
            let work = Box::pin(asked.run());
            let work = observed!(&inner.clock, inner.label(&provider_id), Operation::Complete, work);
            let ended = if in_place { caught(work).await } else { inner.spawn(work).await.ok() };
            let connected = ended.unwrap_or_else(|| Err(failure::completion_interrupted()));
            connected.map_err(|error| error.at(&text::clean(&provider_id, 128), Operation::Complete))
        })
    }
}

impl fmt::Debug for Complete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Complete").field("provider_id", &self.asked.provider_id).finish_non_exhaustive()
    }
}

impl Inner {
    /// Whether the store answers, and the key that it was asked for.
    async fn probe_store(&self, provider: &Registered, owner: Option<&User>) -> Result<ConnectionKey> {
        let key = match owner {
            Some(owner) => provider.key_of(owner),
            None => provider.key_of(&User::new("", "")),
        };
        match self.ask(self.store.load(&key)).await {
            Ok(_) => Ok(key),
            // It answers: what is there is replaced.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(key),
            Err(error) => Err(failure::of_store(error)),
        }
    }

    /// The connection that a finished flow leads to, and what there is to keep of it.
    fn connected(&self, key: ConnectionKey, completed: Completed) -> (Connected, Box<Contents>) {
        let tokens = completed.tokens;
        let connected = Connected {
            key: match &tokens.account {
                Some(account) => key.with_account(account.as_str()),
                None => key,
            },
            missing_scopes: completed.requested_scopes.missing_from(&tokens.scopes),
            scopes: tokens.scopes.clone(),
            return_to: completed.return_to,
            after_exchange: completed.after_exchange,
        };
        let contents = Contents::connected(tokens, completed.requested_scopes, self.clock.now());
        (connected, Box::new(contents))
    }

    async fn connect(
        self: &Arc<Self>,
        provider: &Registered,
        connected: Connected,
        incarnation: Incarnation,
        contents: Box<Contents>,
    ) -> Result<Connected> {
        let key = &connected.key;
        let slot = self.slot(key);
        let forgotten = slot.lock().forgotten;
        let saved = match self.sealer.seal(key, &incarnation, &contents).await {
            Ok(sealed) => self.put(provider, key, incarnation, &contents, &sealed).await,
            Err(error) => Err(error),
        };
        if let Err(error) = saved {
            self.give_back(provider, &contents.tokens).await;
            let message =
                "the provider gave tokens and they could not be saved; they were given back, connect again";
            return Err(Error::new(ErrorKind::NotDurable, message).with_source(error));
        }
        let version = Version::first(incarnation);
        if self.remember(&slot, *contents, version, forgotten) || self.is_stored(key, &version).await {
            self.tell(key, EventKind::Connected);
        }
        Ok(connected)
    }

    /// Writes a new connect, a few times if need be.
    async fn put(
        &self,
        provider: &Registered,
        key: &ConnectionKey,
        incarnation: Incarnation,
        contents: &Contents,
        sealed: &SealedBytes,
    ) -> Result<()> {
        let due_at = plan::due_at(contents, &provider.policy);
        let mut pause = FIRST_PAUSE;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let write = Write::new(sealed.clone()).due_at(due_at);
            let error = match self.ask(self.store.put(key, incarnation, write)).await {
                Ok(version) if version == Version::first(incarnation) => return Ok(()),
                Ok(_) => {
                    return Err(failure::contract("the token store gave a new connection another version"));
                }
                Err(error) => error,
            };
            // The answer to an attempt may have been lost: is it there?
            if matches!(error.kind(), StoreErrorKind::Conflict | StoreErrorKind::OutcomeUnknown) {
                match self.ask(self.store.load(key)).await {
                    Ok(Loaded::Found(record))
                        if record.key == *key && *record.version.incarnation() == incarnation =>
                    {
                        return Ok(());
                    }
                    // It was, and is not any more: another login or a disconnect came after it.
                    Ok(_) if error.kind() == StoreErrorKind::Conflict => {
                        return Err(failure::of_store(error));
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            if attempt == ATTEMPTS {
                return Err(failure::of_store(error));
            }
            self.clock.sleep(pause.mul_f64(0.5 + jitter() / 2.0)).await;
            pause *= 2;
        }
    }

    /// Takes a new connection into memory, unless the slot was forgotten since `before`, when its put began: then a disconnect,
    /// or another login, came in between, and which of the two the store took first only the store knows: it is asked next. Whether
    /// it was taken.
    fn remember(&self, slot: &Arc<Slot>, contents: Contents, version: Version, before: u64) -> bool {
        let first_seen = self.instant();
        let key = slot.key.clone();
        let view = View { key, contents, version, mark: None, is_saved: true, first_seen };
        let token = AccessToken::new(Arc::new(view));
        let loaded_at = first_seen.monotonic;
        let mut state = slot.lock();
        if state.forgotten != before {
            // A removal that was asked for meanwhile, and that the store did not take, is of this connection too.
            if let Some(refused) = state.refused.as_mut().filter(|refused| refused.forgotten != before) {
                refused.incarnation = Some(*version.incarnation());
            }
            state.cached = state.cached.take().filter(|cached| !cached.token.is_saved());
            drop(state);
            self.slots.changed(slot);
            return false;
        }
        state.forget();
        state.cached = Some(Cached { token, loaded_at, fast_until: Duration::ZERO, is_outdated: false });
        // The user has connected again: no removal is outstanding.
        let was_refused = state.refused.take().is_some();
        drop(state);
        if was_refused {
            self.slots.unpin(slot);
        }
        self.slots.changed(slot);
        true
    }

    /// Whether this login is what is stored now; where the store does not say, it is taken to be.
    async fn is_stored(&self, key: &ConnectionKey, version: &Version) -> bool {
        match self.ask(self.store.load(key)).await {
            Ok(Loaded::Found(record)) => record.version.incarnation() == version.incarnation(),
            Ok(Loaded::Absent | Loaded::Tombstone(_)) => false,
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use crate::wait::size_of_future;

    /// Of what is larger, the usual allocators keep none at hand, and each flow would pay for it.
    #[test]
    fn what_a_completion_needs_is_at_hand() {
        let size = size_of_future(Asked::run);
        assert!(size <= 1024, "{size}");
    }
}
