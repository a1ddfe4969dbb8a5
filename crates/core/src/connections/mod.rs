//! Connections: flows, a token store, and the refresh that keeps them alive.

mod access;
mod at_hand;
mod builder;
mod challenge;
mod complete;
mod contents;
mod disconnect;
mod event;
mod failure;
mod flight;
mod handle;
mod inner;
mod list;
#[cfg(test)]
mod logout_tests;
mod obtain;
mod pace;
mod pause;
mod places;
mod plan;
mod point;
#[cfg(test)]
mod point_tests;
#[cfg(test)]
mod point_world;
mod refresh;
#[cfg(test)]
mod refresh_model;
mod removal;
mod save;
mod sealer;
mod send;
mod slots;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::access::AccessToken;
pub use self::builder::ConnectionsBuilder;
pub use self::challenge::BearerChallenge;
pub use self::complete::{Complete, Connected, SignIn};
pub use self::contents::ReconnectReason;
pub use self::disconnect::{Disconnected, Removal};
pub use self::event::{Event, EventKind, Events, Next};
pub use self::handle::Handle;
pub use self::list::{Connection, Health, Listing};
pub use self::send::SendRequest;
pub use self::sweep::{Sweep, Swept};

use crate::binding::{Binding, User};
use crate::callback::AuthorizationResponse;
use crate::clock::Clock;
use crate::connection_key::ConnectionKey;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::flow::{Begin, Flow};
use crate::http_client::HttpRequest;
use crate::observe::observed;
use crate::scopes::Scopes;
use crate::wait::within;

use self::inner::{Inner, check_user};
use self::plan::Demand;
#[cfg(test)]
use self::point::{Point, Probe};

/// The connections of an application's users: flows by provider, and the token store. Concrete, cheap to clone, without type
/// parameters.
///
/// # Refresh
///
/// Whoever asks for a token gets one that is good, and a refresh token is sent once however many ask, in this process and in
/// others that share the store. The refresh runs in a task of its own: a caller who goes away loses nothing. A token that
/// is near its end is replaced in the background of a call that is still served the old one, and one that is still good is
/// served while its refresh fails. Only the provider's own `invalid_grant` ends a connection.
///
/// # The limit
///
/// A provider that rotates refresh tokens uses the old one up when it answers. If this process is killed, or the machine
/// loses power, between that moment and the one write that saves the answer, the new refresh token is lost, and no client can
/// get it back. The window is one write. The next process finds the mark of the refresh that was begun, tries the old
/// refresh token once more, and where the provider does not take it says so with
/// [`ErrorKind::RotationLost`]: the user has to connect again.
///
/// ```
/// # use std::sync::Arc;
/// # use authflow_core::{AuthorizationResponse, Binding, Connections, Flow, MemoryTokenStore};
/// # async fn example(flow: Flow, query: &str) -> authflow_core::Result<()> {
/// let connections = Connections::builder().flow(flow).token_store(MemoryTokenStore::new()).build()?;
///
/// let user = Binding::user("", "user-42");
/// let authorization = connections.begin("stackexchange", &user)?.return_to("/settings").await?;
/// println!("redirect to {}", authorization.url());
///
/// let response = AuthorizationResponse::from_query(query)?;
/// let connected = connections.complete("stackexchange", &response, &user).await?;
/// let token = connections.token(&connected.key).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

/// What came of [`Connections::drain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// How many refreshes, completions and disconnects had not ended when the time was over; zero if all had.
    pub unfinished: usize,
}

impl Connections {
    /// Begins with nothing.
    pub fn builder() -> ConnectionsBuilder {
        ConnectionsBuilder::new()
    }

    fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The flow of a provider, if there is one.
    #[must_use]
    pub fn flow(&self, provider_id: &str) -> Option<&Flow> {
        self.0.providers.get(provider_id).map(|provider| &provider.flow)
    }

    /// The provider ids, in order.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.0.providers.keys().map(|id| &**id)
    }

    /// The clock: what the age and the end of a token are judged by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// Begins a flow; see [`Flow::begin`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if there is no such provider.
    pub fn begin(&self, provider_id: &str, binding: &Binding) -> Result<Begin<'_>> {
        Ok(self.0.provider(provider_id, Operation::Begin)?.flow.begin(binding))
    }

    /// Begins a flow for somebody who is not signed in yet; see [`Flow::begin_in_browser`].
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    pub fn begin_in_browser(&self, provider_id: &str) -> Result<Begin<'_>> {
        Ok(self.0.provider(provider_id, Operation::Begin)?.flow.begin_in_browser())
    }

    /// Begins a flow that asks for more scopes than a connection has: those it was granted, and `more`.
    ///
    /// # Errors
    ///
    /// Those of reading the connection; nothing is begun then, since a connect with fewer scopes would replace it:
    ///
    /// - [`ErrorKind::Usage`] if the binding is another user's, or there is no such provider;
    /// - [`ErrorKind::NotConnected`];
    /// - [`ErrorKind::StoreUnavailable`], [`ErrorKind::KeysUnavailable`]: try again;
    /// - [`ErrorKind::StoreCorrupt`], [`ErrorKind::KeyUnknown`], [`ErrorKind::KeyWrong`],
    ///   [`ErrorKind::FormatUnknown`]: what scopes it has cannot be read.
    pub async fn begin_with_more(
        &self,
        key: &ConnectionKey,
        binding: &Binding,
        more: &Scopes,
    ) -> Result<Begin<'_>> {
        if binding.as_user() != Some(key.user()) {
            return Err(Error::usage("more scopes are asked for by the user whose connection it is"));
        }
        let provider = self.0.registered(key, Operation::Begin)?;
        let granted = self.0.scopes(key).await.map_err(|error| failure::at(error, key, Operation::Begin))?;
        Ok(provider.flow.begin(binding).scopes(granted.union(more).iter()))
    }

    /// Finishes a flow ([`Flow::finish`]) and saves the connection, in one motion and in a task of its own: whoever goes away
    /// meanwhile, the tokens are not lost.
    ///
    /// The code is not sent while the store is unreachable; the state is not used up then, and the same callback works later.
    /// Where the store fails after the exchange, it is asked again a few times, and then the tokens are given back
    /// ([`ErrorKind::NotDurable`]). A connection that the user had before with this account is
    /// replaced, whole. Its tokens are not revoked: many providers would end the new ones with them.
    pub fn complete(
        &self,
        provider_id: &str,
        response: &AuthorizationResponse<'_>,
        binding: &Binding,
    ) -> Complete {
        Complete::new(Arc::clone(&self.0), provider_id, response, binding)
    }

    /// An access token that is good now. It is refreshed at most once, whoever asks; dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Usage`]: there is no such provider, or the user has no id;
    /// - [`ErrorKind::NotConnected`];
    /// - [`ErrorKind::NeedsReconnect`],
    ///   [`ErrorKind::RotationLost`],
    ///   [`ErrorKind::AccountChanged`]: only the user can help;
    /// - [`ErrorKind::StoreUnavailable`], [`ErrorKind::KeysUnavailable`]: nothing was sent; try again;
    /// - [`ErrorKind::StoreCorrupt`], [`ErrorKind::KeyUnknown`], [`ErrorKind::KeyWrong`],
    ///   [`ErrorKind::FormatUnknown`]: the record cannot be read, and stays as it is;
    /// - [`ErrorKind::StoreContractViolated`]: the store answered with what cannot be,
    ///   such as another connection's record, and nothing of it was used;
    /// - [`ErrorKind::RefreshPending`],
    ///   [`ErrorKind::Interrupted`]: ask again;
    /// - what the provider answered, or [`ErrorKind::Network`] where it did not, the same for all who waited, and until the
    ///   cool-down is over. Where it could not answer, or asked for time, each process that shares the store keeps to it
    ///   ([`ErrorKind::Unavailable`], [`ErrorKind::RateLimited`]).
    pub async fn token(&self, key: &ConnectionKey) -> Result<AccessToken> {
        if let Some(token) = self.0.slots.at_hand(key, self.0.clock.monotonic()) {
            return Ok(token);
        }
        let slot = self.0.slot(key);
        // On the heap, so that the future of the many other calls is small.
        Box::pin(self.0.fetch(&slot, |kept| self.0.slots.keep(&slot, kept))).await
    }

    /// A handle to one connection, for those who ask for its token often.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if there is no such provider. Whether there is such a connection is seen
    /// when a token is asked for.
    pub fn handle(&self, key: &ConnectionKey) -> Result<Handle> {
        self.0.registered(key, Operation::Token)?;
        Ok(Handle::new(Arc::clone(&self.0), self.0.slot(key)))
    }

    /// Refreshes although the token may still be good, such as after the user's rights have changed. Calls at the same time
    /// share one refresh.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
    pub async fn refresh_now(&self, key: &ConnectionKey) -> Result<AccessToken> {
        let slot = self.0.slot(key);
        let demand = Demand::Newer { than: None, rejected: false };
        let token = self.0.obtain(&slot, demand).await;
        token.map_err(|error| failure::at(error, key, Operation::Token))
    }

    /// Sends an API request with the connection's token, in the provider's way, to one of the provider's
    /// [`api_origins`](crate::Endpoints::api_origins) and nowhere else.
    ///
    /// Where the API answers 401, and does not say that the request or the scopes are what is wrong
    /// ([`BearerChallenge`]), the token is refreshed, once for all who were refused with it, and the request is sent once
    /// more: if its method is idempotent, or the caller says that it is [`replayable`](SendRequest::replayable). Any status is
    /// an answer, not an error; so is a 401 where there is nothing to refresh with, or where the token was replaced a moment
    /// before. Where the refresh that a 401 asks for fails, its error comes in place of the 401.
    ///
    /// A token whose end the provider did not tell is served until a 401 comes: report one that came by other ways with
    /// [`token_refused`](Self::token_refused).
    pub fn send(&self, key: &ConnectionKey, request: HttpRequest) -> SendRequest {
        SendRequest::new(Arc::clone(&self.0), key.clone(), request)
    }

    /// Attaches a token to an API request, in the provider's way. For those who send their requests themselves;
    /// [`send`](Self::send) does this.
    ///
    /// A token may end up in the URL. The body stays as it is, so that it need not be at hand: leave it empty then.
    ///
    /// # Errors
    ///
    /// With each of them the request is as it was, and must not be sent:
    ///
    /// - [`ErrorKind::ForeignOrigin`] if the request does not go to one of the provider's
    ///   [`api_origins`](crate::Endpoints::api_origins), or has a `Host` header of another host than its URL;
    /// - [`ErrorKind::Unsupported`] if the provider takes the token in the body:
    ///   [`send`](Self::send) puts it there;
    /// - [`ErrorKind::Usage`] if the token cannot be attached to it, or there is no such provider here;
    /// - those of the provider's [`resolve`](crate::FlowManager::resolve) and
    ///   [`authenticate`](crate::FlowManager::authenticate).
    pub async fn authenticate(&self, token: &AccessToken, request: &mut HttpRequest) -> Result<()> {
        let provider = self.0.registered(token.key(), Operation::Authenticate)?;
        let attached = provider.flow.attached(&token.view().contents.tokens, request).await?;
        if attached.body != request.body {
            let error = Error::new(
                ErrorKind::Unsupported,
                "this provider takes the access token in the body; use Connections::send, which puts it there",
            );
            return Err(failure::at(error, token.key(), Operation::Authenticate));
        }
        *request = attached;
        Ok(())
    }

    /// Another token instead of one that an API refused with 401; `None` if there is no other to be had. For those who send
    /// their requests themselves; [`send`](Self::send) does this.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
    pub async fn token_refused(&self, refused: &AccessToken) -> Result<Option<AccessToken>> {
        let key = refused.key();
        let replaced = match self.0.registered(key, Operation::Token) {
            Ok(provider) => self.0.replace(provider, &self.0.slot(key), refused).await,
            Err(error) => Err(error),
        };
        replaced.map_err(|error| failure::at(error, key, Operation::Token))
    }

    /// Goes through the connections that are due, and refreshes them, so that the refresh tokens of idle users do not lapse
    /// ([`keep_alive`](ConnectionsBuilder::keep_alive)). To be run now and then, by one worker or by many.
    pub fn sweep(&self) -> Sweep {
        Sweep::keep_alive(Arc::clone(&self.0))
    }

    /// Goes through all connections, also those of providers that are not registered here, and seals those anew that were
    /// sealed with another key than the one that writes. Every refresh does so too.
    ///
    /// Repeat it until [`left`](Swept::left) and [`failed`](Swept::failed) are both 0, once all processes write with the new
    /// key: then the old key can go. What is left was being refreshed or written by somebody else.
    pub fn reseal(&self) -> Sweep {
        Sweep::reseal(Arc::clone(&self.0))
    }

    /// Ends a connection: removes it, with a tombstone that beats every refresh under way, and has the provider revoke its
    /// tokens (RFC 7009). In a task of its own. What came of each step is reported; in this process the connection is gone
    /// whatever came of them. Where the access token itself authorizes the revocation and is over, the refresh token brings one for
    /// that. Where the store did not remove it, the next call for this connection does, and [`list`](Self::list), as soon as the
    /// store answers; other processes serve it until then, and a program that ends before has not disconnected it.
    ///
    /// A process that is killed after the removal and before the revocation leaves the tokens in force at the provider until
    /// they expire or its user ends them there: nothing here holds them any more, and a second call finds nothing to revoke.
    /// (The other order would be worse: whoever refreshes in between would put new tokens into a record that seems alive.) A
    /// program that ends in order waits with [`drain`](Self::drain).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if there is no such provider;
    /// [`ErrorKind::Interrupted`].
    pub async fn disconnect(&self, key: &ConnectionKey) -> Result<Disconnected> {
        let (inner, of) = (Arc::clone(&self.0), key.clone());
        let work = Box::pin(async move { inner.disconnect(&of).await });
        let work = observed!(&self.0.clock, self.0.label(key.provider_id()), Operation::Disconnect, work);
        let disconnected = self.0.detached(work).await;
        disconnected.map_err(|error| failure::at(error, key, Operation::Disconnect))
    }

    /// The same for work that runs in [`detached`](Self::detached) already: needs no task of its own.
    #[doc(hidden)]
    pub async fn disconnect_in_place(&self, key: &ConnectionKey) -> Result<Disconnected> {
        let work = self.0.disconnect(key);
        let work = observed!(&self.0.clock, self.0.label(key.provider_id()), Operation::Disconnect, work);
        work.await.map_err(|error| failure::at(error, key, Operation::Disconnect))
    }

    /// Runs `work` to its end in a task of its own, whoever waits for it; [`drain`](Self::drain) waits, too. For the web crates,
    /// whose `complete` and `disconnect` have work around them that must not be lost either.
    #[doc(hidden)]
    pub async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        // What the application logs there stays within the span of the request.
        #[cfg(feature = "tracing")]
        let work = tracing::Instrument::in_current_span(work);
        self.0.detached(async move { Ok(work.await) }).await
    }

    /// A user's connections, with what can be shown of them and never a token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreUnavailable`];
    /// [`ErrorKind::StoreContractViolated`]: the store listed somebody else's;
    /// [`ErrorKind::Usage`] for a user without an id.
    pub async fn list(&self, user: &User) -> Result<Listing> {
        check_user(user)?;
        self.0.list(user).await
    }

    /// What happens to connections from now on.
    #[must_use]
    pub fn subscribe(&self) -> Events {
        Events::new(self.0.events.subscribe())
    }

    /// For the end of a program: begins no refresh and no completion any more, and waits until every refresh, completion and
    /// disconnect has ended, or `limit` is over. Tokens at hand are served still.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.0.close();
        let mut tasks = self.0.tasks.subscribe();
        let all = async {
            // It fails only when the sender is gone, and that is ours.
            let _ = tasks.wait_for(|count| *count == 0).await;
        };
        let _ = within(all, self.0.clock.sleep(limit)).await;
        Drained { unfinished: *self.0.tasks.borrow() }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
