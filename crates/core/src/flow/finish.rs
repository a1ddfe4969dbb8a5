//! `finish`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use super::Flow;
use super::steps::code_grant;
use crate::binding::{Binding, User};
use crate::callback::{AuthorizationResponse, Callback};
use crate::credentials::ClientCredentials;
use crate::endpoints::Endpoints;
use crate::error::{Error, Operation, Result};
use crate::grant::Grant;
use crate::observe::observed;
use crate::scopes::Scopes;
use crate::state::PendingFlow;
use crate::token::TokenSet;

/// A finished flow.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completed {
    /// The tokens.
    pub tokens: TokenSet,
    /// On whose behalf the flow ran; unknown for a sign-in.
    pub owner: Option<User>,
    /// The scopes that were asked for; [`TokenSet::scopes`] are those that were granted. Fewer than asked for is no error:
    /// `completed.requested_scopes.missing_from(&completed.tokens.scopes)` are the missing ones
    /// ([`Scopes::missing_from`]).
    pub requested_scopes: Scopes,
    /// Where the application goes on: the path that was given to `begin`.
    pub return_to: Option<Arc<str>>,
    /// The nonce that was sent, for the validation of the id_token (OpenID Connect Core §3.1.3.7).
    pub nonce: Option<Arc<str>>,
    /// What failed after the exchange, such as the look-up of the account. The tokens are good all the same.
    pub after_exchange: Option<Error>,
}

/// A flow that is about to be finished. Await it.
#[must_use = "nothing happens until it is awaited"]
#[derive(Debug)]
pub struct Finish<'a> {
    flow: &'a Flow,
    response: &'a AuthorizationResponse<'a>,
    binding: &'a Binding,
    extensions: Cow<'a, http::Extensions>,
}

impl<'a> Finish<'a> {
    /// What the state store gets to see: the session, the request, a transaction.
    pub fn extensions(mut self, extensions: http::Extensions) -> Self {
        self.extensions = Cow::Owned(extensions);
        self
    }

    /// The same without a copy, where the request outlives the end of the flow.
    pub fn extensions_of(mut self, extensions: &'a http::Extensions) -> Self {
        self.extensions = Cow::Borrowed(extensions);
        self
    }

    async fn run(&self) -> Result<Completed> {
        let pending = self.flow.run_check_state(&self.extensions, self.response, self.binding).await?;
        // Taken once: they may rotate, and a flow is finished by those it was checked against.
        let credentials = self.flow.credentials();
        self.flow.check_callback(&credentials, &pending, self.response).map_err(Error::state_used_up)?;
        let endpoints = self.flow.resolve().await.map_err(Error::state_used_up)?;
        let exchanged = {
            let now = self.flow.inner.clock.now();
            let (grant, retained) =
                self.grant(&endpoints, &credentials, &pending, now).map_err(Error::state_used_up)?;
            self.flow.exchange_code(&endpoints, &credentials, &pending, &grant, &retained, now).await
        };
        let mut tokens = self.flow.at(Operation::Exchange, exchanged).map_err(Error::state_used_up)?;
        let after_exchange = self.flow.after_exchange(&endpoints, &credentials, &pending, &mut tokens).await;
        Ok(self.flow.completed(pending, tokens, after_exchange))
    }

    fn grant(
        &self,
        endpoints: &Arc<Endpoints>,
        credentials: &ClientCredentials,
        pending: &PendingFlow,
        now: SystemTime,
    ) -> Result<(Grant, BTreeMap<String, String>)> {
        let Callback { outcome, retained } =
            self.flow.read_callback(endpoints, credentials, pending, self.response, now)?;
        self.flow.check_verifier(credentials, pending)?;
        Ok((code_grant(pending, outcome)?, retained))
    }
}

impl<'a> IntoFuture for Finish<'a> {
    type Output = Result<Completed>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Completed>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let flow = self.flow;
            let work = observed!(flow.clock(), flow.provider().id(), Operation::Finish, self.run());
            flow.at(Operation::Finish, work.await)
        })
    }
}

impl Flow {
    /// Finishes a flow: checks the callback, uses the state up, exchanges the code.
    ///
    /// `binding` is what the caller can prove *now*: the user who is signed in, the secret in this browser's cookie.
    ///
    /// The order is the protection: the state is looked up with the binding first, so that a callback from elsewhere finds
    /// nothing and uses up nothing; then provider, owner, expiry, issuer and redirect URI are checked; only then is code or
    /// error read, and the code is sent once.
    ///
    /// A user or a provider may grant fewer scopes than were asked for (RFC 6749 §3.3), and that is no error. Find those that
    /// are missing with [`Scopes::missing_from`]: see [`Completed::requested_scopes`].
    ///
    /// # Errors
    ///
    /// They come when it is awaited. [`Error::recovery`] says of each what to do.
    ///
    /// The same callback may work later, since the state is not used up:
    ///
    /// - [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): the state store does not answer.
    /// - [`Randomness`](crate::ErrorKind::Randomness), with a binding to this process only.
    ///
    /// The user begins again; this callback will not work later:
    ///
    /// - [`StateNotFound`](crate::ErrorKind::StateNotFound): no pending flow fits, whatever the reason.
    /// - [`StoreOutcomeUnknown`](crate::ErrorKind::StoreOutcomeUnknown): the store's answer was lost, and the state may be used
    ///   up.
    /// - [`StoreCorrupt`](crate::ErrorKind::StoreCorrupt): what the store held cannot be read, and is gone.
    /// - [`CallbackMalformed`](crate::ErrorKind::CallbackMalformed): this is no authorization response, or it came in another
    ///   mode than the one asked for.
    /// - [`InvalidGrant`](crate::ErrorKind::InvalidGrant): the provider does not take the code.
    /// - [`Network`](crate::ErrorKind::Network), [`RateLimited`](crate::ErrorKind::RateLimited) and
    ///   [`Unavailable`](crate::ErrorKind::Unavailable): the provider was not reached, or did not do it. Wait where
    ///   [`Error::retry_after`] says so.
    ///
    /// The answer was no:
    ///
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied): by the user, or for them. Ask them before beginning again.
    /// - [`AuthorizationFailed`](crate::ErrorKind::AuthorizationFailed) and [`Refused`](crate::ErrorKind::Refused): by the
    ///   provider, in the answer to the authorization request or to the token request. Its code
    ///   ([`Error::server_error`]) decides between beginning again, a mistake in the configuration, and giving up.
    /// - [`IssuerMismatch`](crate::ErrorKind::IssuerMismatch): another issuer answered, or none is named. Nothing was sent. A
    ///   person has to look: it is an attack, or an issuer that is set wrong.
    ///
    /// A person has to change something:
    ///
    /// - [`Usage`](crate::ErrorKind::Usage): the binding ties to nothing.
    /// - [`Configuration`](crate::ErrorKind::Configuration): the provider, its credentials, a hook, or an HTTP client that
    ///   follows redirects. So it is where the redirect URI of a pending flow is no longer registered.
    /// - [`ForeignOrigin`](crate::ErrorKind::ForeignOrigin): a request would have left the provider's origins.
    /// - [`InvalidResponse`](crate::ErrorKind::InvalidResponse): the token response is not what the protocol or the quirks say.
    ///
    /// What fails after the exchange is no error of this call: see [`Completed::after_exchange`].
    pub fn finish<'a>(&'a self, response: &'a AuthorizationResponse<'a>, binding: &'a Binding) -> Finish<'a> {
        Finish { flow: self, response, binding, extensions: Cow::Owned(http::Extensions::new()) }
    }

    /// Finishes a flow that began at the provider, such as an install from its marketplace: **there is no state, so nothing
    /// shows that this user asked for it**. An attacker can make a victim's browser finish the attacker's own installation.
    ///
    /// Accept the result only into an account that has nothing to lose, or ask the user first. The response must hold no
    /// state: one with a state belongs to [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish), without [`StateNotFound`](crate::ErrorKind::StateNotFound) and without those of the
    /// state store, which is not asked. [`Usage`](crate::ErrorKind::Usage) if the response holds a state.
    ///
    /// Once the code may have been sent, [`Error::recovery`] never says *retry*: a code is good once, and the user installs
    /// again.
    pub async fn finish_install_without_state(
        &self,
        response: &AuthorizationResponse<'_>,
    ) -> Result<Completed> {
        self.at(Operation::Finish, self.run_without_state(response).await)
    }

    async fn run_without_state(&self, response: &AuthorizationResponse<'_>) -> Result<Completed> {
        let name =
            self.provider().quirks().authorization_response.state_parameter.as_deref().unwrap_or("state");
        if response.get(name)?.is_some() {
            return Err(Error::usage("a callback with a state is finished with `finish`"));
        }
        self.check_parameters(response)?;
        let credentials = self.credentials();
        let redirect_uri = credentials.choose_redirect_uri(None)?;
        let now = self.inner.clock.now();
        let mut pending =
            PendingFlow::new(self.provider().shared_id(), redirect_uri, now, self.inner.state_ttl);
        pending.scopes = self.provider().default_scopes().clone();
        let endpoints = self.resolve().await?;
        pending.issuer = endpoints.issuer.as_deref().map(Arc::from);
        self.check_callback(&credentials, &pending, response)?;
        let callback = self.read_callback(&endpoints, &credentials, &pending, response, now)?;
        // The code may have come without our asking, so without a verifier.
        let grant = code_grant(&pending, callback.outcome)?;
        let retained = &callback.retained;
        // A code is good once, with a state or without.
        let exchanged = self.exchange_code(&endpoints, &credentials, &pending, &grant, retained, now).await;
        let mut tokens = exchanged.map_err(Error::state_used_up)?;
        let after_exchange = self.after_exchange(&endpoints, &credentials, &pending, &mut tokens).await;
        Ok(self.completed(pending, tokens, after_exchange))
    }

    fn completed(&self, pending: PendingFlow, tokens: TokenSet, after_exchange: Result<()>) -> Completed {
        Completed {
            tokens,
            owner: pending.owner,
            requested_scopes: pending.scopes,
            return_to: pending.return_to.map(Arc::from),
            nonce: pending.nonce,
            after_exchange: self.at(Operation::Finish, after_exchange).err(),
        }
    }
}
