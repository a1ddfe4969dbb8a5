//! The HTTP client that the engine and the hooks get.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{ACCEPT, ACCEPT_ENCODING};

use super::Flow;
use crate::endpoints::EndpointUrls;
use crate::http_client::{
    Delivery, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, is_secure,
};

/// Lets through what goes to the provider's own origins, within the flow's limits, and adds the headers of protocol calls.
#[derive(Debug)]
pub(super) struct GuardedClient {
    flow: Flow,
    urls: Arc<EndpointUrls>,
}

impl GuardedClient {
    pub(super) const fn new(flow: Flow, urls: Arc<EndpointUrls>) -> Self {
        Self { flow, urls }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.flow.inner.limits
    }
}

impl GuardedClient {
    /// Refuses what goes elsewhere, and adds the headers of protocol calls. The limits are those that hold for this request.
    pub(super) fn admit(&self, request: &mut HttpRequest, limits: &Limits) -> Result<Limits, HttpError> {
        if !is_secure(&request.url) {
            return Err(HttpError::new(HttpErrorKind::Insecure, Delivery::NotSent));
        }
        if !self.urls.is_api(&request.url) {
            return Err(HttpError::new(HttpErrorKind::ForeignOrigin, Delivery::NotSent));
        }
        let defaults = [
            (ACCEPT, HeaderValue::from_static("application/json")),
            // Nothing that may hold a secret is compressed, and no bomb is asked for.
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        ];
        for (name, value) in defaults {
            request.headers.entry(name).or_insert(value);
        }
        let own = self.limits();
        Ok(Limits {
            total: limits.total.min(own.total),
            connect: limits.connect.min(own.connect),
            max_body: limits.max_body.min(own.max_body),
        })
    }

    /// The client itself, for a request that was admitted: through this one, and through the `Arc`, it would be boxed again.
    pub(super) fn client(&self) -> &dyn HttpClient {
        &*self.flow.inner.http
    }
}

/// Once more, whatever client this is.
pub(super) fn check_size(response: &HttpResponse, limits: &Limits) -> Result<(), HttpError> {
    if response.body.len() > limits.max_body {
        return Err(HttpError::new(HttpErrorKind::TooLarge, Delivery::Answered));
    }
    Ok(())
}

#[async_trait]
impl HttpClient for GuardedClient {
    async fn send(&self, mut request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let limits = self.admit(&mut request, limits)?;
        let response = self.client().send(request, &limits).await?;
        check_size(&response, &limits)?;
        Ok(response)
    }
}
