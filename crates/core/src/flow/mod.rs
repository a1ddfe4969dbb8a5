//! The engine: one provider, the whole protocol, no token kept.

mod begin;
mod finish;
mod guard;
mod render;
mod return_to;
mod steps;
mod token_check;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub use self::begin::{Authorization, Begin};
pub use self::finish::{Completed, Finish};
pub use self::return_to::{ReturnTo, check_return_to};
pub use self::steps::Prepared;

use crate::binding::Binding;
use crate::call::Call;
use crate::clock::{Clock, SystemClock};
use crate::credentials::ClientCredentials;
use crate::endpoints::{EndpointUrls, Endpoints, VariableSources};
use crate::error::{Error, Operation, Result};
use crate::http_client::{HttpClient, Limits};
use crate::manager::FlowManager;
use crate::provider::Provider;
use crate::token::TokenSet;
use guard::GuardedClient;
use render::Encoded;

/// Runs the protocol for one provider and keeps no token. Concrete, cheap to clone, without type parameters.
///
/// ```
/// # use std::sync::Arc;
/// # use authflow_core::{Binding, Flow, FlowManager, HttpClient, AuthorizationResponse};
/// # async fn example(manager: impl FlowManager, http: Arc<dyn HttpClient>, query: &str) -> authflow_core::Result<()> {
/// let flow = Flow::builder(manager).http_client(http).build()?;
///
/// let user = Binding::user("", "user-42");
/// let authorization = flow.begin(&user).return_to("/settings").await?;
/// println!("redirect to {}", authorization.url());
///
/// let completed = flow.finish(&AuthorizationResponse::from_query(query)?, &user).await?;
/// println!("granted: {:?}", completed.tokens.scopes);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Flow {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    manager: Box<dyn FlowManager>,
    http: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    state_ttl: Duration,
    encoded: Encoded,
}

/// Builds a [`Flow`].
#[derive(Debug)]
#[must_use]
pub struct FlowBuilder {
    manager: Box<dyn FlowManager>,
    http: Option<Result<Arc<dyn HttpClient>>>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    state_ttl: Duration,
}

/// The longest time between `begin` and the callback that is not an oversight.
const MAX_STATE_TTL: Duration = Duration::from_secs(24 * 60 * 60);

impl FlowBuilder {
    /// The HTTP client. Required here; the facade crate presets one.
    pub fn http_client(mut self, http: impl HttpClient) -> Self {
        self.http = Some(Ok(Arc::new(http)));
        self
    }

    /// The HTTP client, or why there is none: [`build`](Self::build) reports it. For those who preset a client.
    pub fn try_http_client(mut self, http: Result<impl HttpClient>) -> Self {
        self.http = Some(http.map(|http| Arc::new(http) as Arc<dyn HttpClient>));
        self
    }

    /// The clock. Default: the operating system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What one request to the provider may cost. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long the user has between `begin` and the callback. Default: ten minutes; one second to one day.
    pub const fn state_ttl(mut self, state_ttl: Duration) -> Self {
        self.state_ttl = state_ttl;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) with the first mistake.
    pub fn build(self) -> Result<Flow> {
        let id = self.manager.provider().id().to_owned();
        self.build_checked().map_err(|error| error.at(&id, Operation::Build))
    }

    fn build_checked(self) -> Result<Flow> {
        let http = self.http.ok_or_else(|| Error::configuration("a flow needs an HTTP client"))??;
        if self.state_ttl < Duration::from_secs(1) || self.state_ttl > MAX_STATE_TTL {
            return Err(Error::configuration("state_ttl is one second to one day"));
        }
        let credentials = self.manager.credentials();
        self.manager.provider().check_credentials(&credentials)?;
        let encoded = Encoded::new(self.manager.provider(), &credentials);
        let Self { manager, clock, limits, state_ttl, .. } = self;
        Ok(Flow { inner: Arc::new(Inner { manager, http, clock, limits, state_ttl, encoded }) })
    }
}

impl Flow {
    /// Begins a flow over `manager`.
    pub fn builder(manager: impl FlowManager) -> FlowBuilder {
        FlowBuilder {
            manager: Box::new(manager),
            http: None,
            clock: Arc::new(SystemClock::new()),
            limits: Limits::default(),
            state_ttl: Duration::from_secs(600),
        }
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        self.manager().provider()
    }

    /// The manager.
    #[must_use]
    pub fn manager(&self) -> &dyn FlowManager {
        &*self.inner.manager
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// How long the user has between `begin` and the callback.
    #[must_use]
    pub fn state_ttl(&self) -> Duration {
        self.inner.state_ttl
    }

    /// Begins a flow for `binding`: makes state, verifier and nonce, stores them, and returns the URL to send the user to.
    ///
    /// The same binding has to be proved at [`finish`](Self::finish). For a browser without a signed-in user:
    /// [`begin_in_browser`](Self::begin_in_browser).
    ///
    /// # Errors
    ///
    /// They come when it is awaited. Whatever the kind, nobody was sent anywhere.
    ///
    /// The same call may work later:
    ///
    /// - [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable): the state store does not answer.
    /// - [`StoreConflict`](crate::ErrorKind::StoreConflict): the store held something under each of three new states.
    /// - [`Randomness`](crate::ErrorKind::Randomness): the operating system gave no random bytes.
    /// - [`Network`](crate::ErrorKind::Network) and its like, where the manager's hook `resolve` asks a server.
    ///
    /// Begin again: [`StoreOutcomeUnknown`](crate::ErrorKind::StoreOutcomeUnknown), the store's answer was lost, twice. What it
    /// may have stored ends by itself.
    ///
    /// A person has to change something:
    ///
    /// - [`Usage`](crate::ErrorKind::Usage): what this call asks for is not possible, such as a redirect URI that is not
    ///   registered, an extra parameter that is one of the protocol, a `return_to` on another site, or a binding that ties to
    ///   nothing.
    /// - [`Configuration`](crate::ErrorKind::Configuration): the provider or its credentials lack something, such as an
    ///   authorization endpoint or a variable's value, or a hook left out state, challenge or its method.
    /// - [`ForeignOrigin`](crate::ErrorKind::ForeignOrigin): a hook points the user at another origin than the provider's.
    pub fn begin(&self, binding: &Binding) -> Begin<'_> {
        Begin::new(self, Ok(binding.clone()))
    }

    /// Begins a flow for a browser without a signed-in user: makes a secret of 256 bits for it, which
    /// [`Authorization::browser_secret`] returns, to be kept in a `__Host-` cookie.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin).
    pub fn begin_in_browser(&self) -> Begin<'_> {
        Begin::new(self, Binding::new_browser())
    }

    #[cfg(feature = "connections")]
    pub(crate) fn http_client(&self) -> &dyn HttpClient {
        &*self.inner.http
    }

    #[cfg(feature = "connections")]
    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.manager().credentials()
    }

    /// The endpoints for this call; with the values of a callback or a token set where they depend on one.
    async fn urls(
        &self,
        callback: Option<&std::collections::BTreeMap<String, String>>,
        tokens: Option<&TokenSet>,
    ) -> Result<Cow<'_, Arc<EndpointUrls>>> {
        let endpoints = self.resolve().await?;
        self.urls_of(&endpoints, callback, tokens)
    }

    /// The provider's endpoints, with their variables.
    async fn resolve(&self) -> Result<Arc<Endpoints>> {
        self.manager().resolve(&*self.inner.http).await
    }

    fn urls_of(
        &self,
        endpoints: &Arc<Endpoints>,
        callback: Option<&std::collections::BTreeMap<String, String>>,
        tokens: Option<&TokenSet>,
    ) -> Result<Cow<'_, Arc<EndpointUrls>>> {
        let provider = self.provider();
        if Arc::ptr_eq(endpoints, provider.endpoints()) {
            if let Some(urls) = provider.fixed_urls() {
                return Ok(Cow::Borrowed(urls));
            }
        }
        let sources = VariableSources {
            config: provider.config_values(),
            callback: callback.or_else(|| tokens.map(|tokens| &tokens.callback)),
            token_response: tokens.map(|tokens| &tokens.extra),
        };
        endpoints.resolve(&sources).map(|urls| Cow::Owned(Arc::new(urls)))
    }

    fn guarded(&self, urls: &Arc<EndpointUrls>) -> GuardedClient {
        GuardedClient::new(self.clone(), Arc::clone(urls))
    }

    fn call<'a>(
        &'a self,
        operation: Operation,
        urls: &'a EndpointUrls,
        credentials: &'a ClientCredentials,
    ) -> Call<'a> {
        Call::new(operation, self.provider(), urls, credentials, self.inner.clock.now())
    }

    /// Names provider and operation in an error.
    #[inline]
    fn at<T>(&self, operation: Operation, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.at(self.provider().id(), operation))
    }
}
