//! `begin`.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::steps::is_protocol_parameter;
use super::{Flow, ReturnTo, check_return_to};
use crate::binding::Binding;
use crate::clock;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::observe::observed;
use crate::provider::Provider;
use crate::random;
use crate::scopes::Scopes;
use crate::secret::Secret;
use crate::state::{Bucket, StateContext};
use crate::text;

/// What a caller may ask of one flow.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) scopes: Option<Scopes>,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) redirect_uri: Option<String>,
    pub(super) resources: Vec<Arc<str>>,
    pub(super) return_to: Option<ReturnTo>,
    pub(super) bucket: Option<Bucket>,
}

impl Options {
    pub(super) fn check(&self, provider: &Provider) -> Result<()> {
        if self.parameters.iter().any(|(name, _)| name.is_empty() || is_protocol_parameter(name, provider)) {
            return Err(Error::usage(
                "an extra parameter must not name a parameter of the protocol; use scope, redirect_uri or resource",
            ));
        }
        for (at, (name, _)) in self.parameters.iter().enumerate() {
            if self.parameters.iter().take(at).any(|(known, _)| known == name) {
                return Err(Error::usage("an extra parameter is given twice (RFC 6749 §3.1)"));
            }
        }
        if self
            .scopes
            .as_ref()
            .is_some_and(|scopes| scopes.iter().any(|scope| !text::is_visible_ascii(scope)))
        {
            return Err(Error::usage("a scope is visible ASCII without spaces (RFC 6749 §3.3)"));
        }
        for resource in &self.resources {
            let parsed = url::Url::parse(resource).map_err(|source| {
                Error::usage("a resource is an absolute URI (RFC 8707 §2)").with_source(source)
            })?;
            if parsed.fragment().is_some() {
                return Err(Error::usage("a resource has no fragment (RFC 8707 §2)"));
            }
        }
        self.return_to.as_deref().map_or(Ok(()), check_return_to)
    }
}

/// A flow that is about to begin. Await it.
#[must_use = "nothing happens until it is awaited"]
#[derive(Debug)]
pub struct Begin<'f> {
    flow: &'f Flow,
    binding: Result<Binding>,
    options: Options,
    scopes: Vec<String>,
    extensions: Cow<'f, http::Extensions>,
}

impl<'f> Begin<'f> {
    pub(super) fn new(flow: &'f Flow, binding: Result<Binding>) -> Self {
        Self {
            flow,
            binding,
            options: Options::default(),
            scopes: Vec::new(),
            extensions: Cow::Owned(http::Extensions::new()),
        }
    }

    /// Asks for a scope (RFC 6749 §3.3), instead of the provider's default scopes. Repeatable.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Asks for these scopes, instead of the provider's default scopes.
    pub fn scopes<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Adds a parameter of the provider's own, such as `prompt` or `login_hint`. Not one of the protocol.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.parameters.push((name.into(), value.into()));
        self
    }

    /// Chooses one of the registered redirect URIs. Default: the first.
    pub fn redirect_uri(mut self, redirect_uri: impl Into<String>) -> Self {
        self.options.redirect_uri = Some(redirect_uri.into());
        self
    }

    /// Asks for tokens for a resource (RFC 8707 §2.1). Repeatable.
    pub fn resource(mut self, resource: impl Into<Arc<str>>) -> Self {
        self.options.resources.push(resource.into());
        self
    }

    /// Where the application goes on afterwards: a path of its own ([`check_return_to`]).
    pub fn return_to(mut self, return_to: impl Into<ReturnTo>) -> Self {
        self.options.return_to = Some(return_to.into());
        self
    }

    /// Whom a store counts this flow for. Default: the user of the binding.
    pub const fn bucket(mut self, bucket: Bucket) -> Self {
        self.options.bucket = Some(bucket);
        self
    }

    /// What the state store gets to see: the session, the request, a transaction.
    pub fn extensions(mut self, extensions: http::Extensions) -> Self {
        self.extensions = Cow::Owned(extensions);
        self
    }

    /// The same without a copy, where the request outlives the begin.
    pub fn extensions_of(mut self, extensions: &'f http::Extensions) -> Self {
        self.extensions = Cow::Borrowed(extensions);
        self
    }
}

impl Flow {
    /// Begins until a state is stored. The URL, the state, and until when the callback is accepted.
    async fn run_begin(
        &self,
        binding: &Binding,
        options: &Options,
        extensions: &http::Extensions,
    ) -> Result<(String, random::Text, SystemTime)> {
        let mut tries = 0;
        loop {
            let now = self.inner.clock.now();
            let urls = self.urls(None, None).await?;
            let (url, state, mut pending) = self.prepare_with(&urls, options, now)?;
            let key = self.bind(state.as_bytes(), binding, &mut pending)?;
            let expires_at =
                clock::saturating_add(SystemTime::UNIX_EPOCH, Duration::from_secs(pending.expires_at));
            // No function of ours in between: a flow is large, and each would move it once more.
            let cx = StateContext::new(extensions, now);
            let ttl = pending.lifetime();
            let stored = self.manager().state_store().store_state(&cx, &key, pending, ttl).await;
            match stored.map_err(Error::from) {
                Ok(()) => return Ok((url, state, expires_at)),
                // Where the answer was lost the store may have this state: it is given up, and another one is drawn.
                Err(error) => match error.kind() {
                    ErrorKind::StoreConflict if tries < 2 => tries += 1,
                    ErrorKind::StoreOutcomeUnknown if tries < 1 => tries += 1,
                    _ => return Err(error),
                },
            }
        }
    }
}

impl<'f> IntoFuture for Begin<'f> {
    type Output = Result<Authorization>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Authorization>> + Send + 'f>>;

    fn into_future(mut self) -> Self::IntoFuture {
        if !self.scopes.is_empty() {
            self.options.scopes = Some(Scopes::new(&self.scopes));
        }
        // Small, so that an allocator has a place for it at hand: what is borrowed is there once.
        let Self { flow, binding, options, extensions, .. } = self;
        Box::pin(async move {
            let binding = flow.at(Operation::Begin, binding)?;
            let work = flow.run_begin(&binding, &options, &extensions);
            let work = observed!(flow.clock(), flow.provider().id(), Operation::Begin, work);
            let (url, state, expires_at) = flow.at(Operation::Begin, work.await)?;
            Ok(Authorization { url, state, binding, expires_at })
        })
    }
}

/// A flow that has begun: the URL to send the user to, and what has to be proved at the end.
#[derive(Clone)]
pub struct Authorization {
    url: String,
    state: random::Text,
    binding: Binding,
    expires_at: SystemTime,
}

impl Authorization {
    /// Where the user is sent. It holds the state: it belongs into a redirect, not into a log.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The state (RFC 6749 §4.1.1): what finds a flow among several of the same browser. It is in the URL, unless the
    /// parameters were pushed.
    #[must_use]
    pub fn state(&self) -> &str {
        self.state.as_str()
    }

    /// What has to be proved at [`Flow::finish`].
    #[must_use]
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }

    /// The secret of the browser, if the binding has one: the value of a `__Host-` cookie.
    #[must_use]
    pub fn browser_secret(&self) -> Option<&Secret> {
        self.binding.browser_secret()
    }

    /// Until when the callback is accepted.
    #[must_use]
    pub const fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.url.split(['?', '#']).next();
        f.debug_struct("Authorization")
            .field("endpoint", &endpoint)
            .field("binding", &self.binding)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
