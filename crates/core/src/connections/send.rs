//! API requests with a connection's token.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::connection_key::ConnectionKey;
use crate::error::{Error, Operation, Result};
use crate::http_client::{HttpRequest, HttpResponse, Limits};
use crate::observe::observed;

use super::access::AccessToken;
use super::challenge::BearerChallenge;
use super::failure;
use super::inner::{Inner, Registered};
use super::plan::Demand;
use super::slots::Slot;

/// For how long a token that replaced a refused one is not replaced again for the same reason: an API that refuses every
/// token would have each request refresh.
const NOT_AGAIN_FOR: Duration = Duration::from_secs(60);

/// An API request that is about to be sent. Await it.
#[must_use = "nothing is sent until it is awaited"]
pub struct SendRequest {
    inner: Arc<Inner>,
    key: ConnectionKey,
    request: HttpRequest,
    limits: Option<Limits>,
    is_replayable: bool,
}

impl SendRequest {
    pub(super) fn new(inner: Arc<Inner>, key: ConnectionKey, request: HttpRequest) -> Self {
        // RFC 9110 §9.2.2.
        let is_replayable = request.method.is_idempotent();
        Self { inner, key, request, limits: None, is_replayable }
    }

    /// Says that the request may be sent a second time after a 401, although its method is not idempotent (RFC 9110 §9.2.2):
    /// an API that checks the token first has done nothing.
    pub const fn replayable(mut self) -> Self {
        self.is_replayable = true;
        self
    }

    /// What this one request may cost. Default: the flow's limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    async fn run(self) -> Result<HttpResponse> {
        let Self { inner, key, request, limits, is_replayable } = self;
        let provider = inner.registered(&key, Operation::Send)?;
        let limits = limits.unwrap_or_else(|| provider.flow.limits().clone());
        let slot = inner.slot(&key);
        let token = inner.obtain(&slot, Demand::Valid).await?;
        let again = is_replayable.then(|| request.clone());
        let response = attempt(provider, &token, request, &limits).await?;
        let is_refused = BearerChallenge::refuses_token(response.status, &response.headers)
            && provider.flow.manager().refuses_token(&response);
        if !is_refused {
            return Ok(response);
        }
        let Some(fresh) = inner.replace(provider, &slot, &token).await? else { return Ok(response) };
        match again {
            Some(request) => attempt(provider, &fresh, request, &limits).await,
            None => Ok(response),
        }
    }
}

async fn attempt(
    provider: &Registered,
    token: &AccessToken,
    mut request: HttpRequest,
    limits: &Limits,
) -> Result<HttpResponse> {
    provider.flow.authenticate(&token.view().contents.tokens, &mut request).await?;
    provider.flow.http_client().send(request, limits).await.map_err(Error::from)
}

impl Inner {
    /// A token instead of one that an API refused; `None` if there is no other to be had.
    pub(super) async fn replace(
        self: &Arc<Self>,
        provider: &Registered,
        slot: &Arc<Slot>,
        refused: &AccessToken,
    ) -> Result<Option<AccessToken>> {
        let version = refused.view().came_with();
        let demand = Demand::Newer { than: Some(version), rejected: true };
        let now = self.clock.monotonic();
        let was_replaced = slot
            .lock()
            .forced
            .is_some_and(|(forced, at)| forced == version && now.saturating_sub(at) < NOT_AGAIN_FOR);
        if was_replaced {
            return Ok(None);
        }
        let can_refresh = provider.policy.can_refresh(&refused.view().contents.tokens, self.clock.now());
        let fresh = match self.obtain(slot, demand).await {
            // There is nothing to refresh with, and nobody has connected again since.
            Err(_) if !can_refresh => return Ok(None),
            fresh => fresh?,
        };
        slot.lock().forced = Some((fresh.view().came_with(), self.clock.monotonic()));
        Ok(Some(fresh))
    }
}

impl IntoFuture for SendRequest {
    type Output = Result<HttpResponse>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<HttpResponse>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let key = self.key.clone();
        Box::pin(async move {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            let inner = Arc::clone(&self.inner);
            let work = observed!(&inner.clock, inner.label(key.provider_id()), Operation::Send, self.run());
            work.await.map_err(|error| failure::at(error, &key, Operation::Send))
        })
    }
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendRequest")
            .field("key", &self.key)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}
