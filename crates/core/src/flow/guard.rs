//! The HTTP client that the engine and the hooks get.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};

use crate::endpoints::EndpointUrls;
use crate::http_client::{
    Delivery, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, is_secure,
};

/// Lets through what goes to the provider's own origins, within the flow's limits, and adds the headers of protocol calls.
#[derive(Debug)]
pub(super) struct GuardedClient {
    http: Arc<dyn HttpClient>,
    urls: Arc<EndpointUrls>,
    limits: Limits,
}

impl GuardedClient {
    pub(super) const fn new(http: Arc<dyn HttpClient>, urls: Arc<EndpointUrls>, limits: Limits) -> Self {
        Self { http, urls, limits }
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl GuardedClient {
    /// What [`HttpClient::send`] does, for the engine, which needs no trait object.
    pub(super) async fn send_within(
        &self,
        mut request: HttpRequest,
        limits: &Limits,
    ) -> Result<HttpResponse, HttpError> {
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
            (USER_AGENT, HeaderValue::from_static(concat!("authflow/", env!("CARGO_PKG_VERSION")))),
        ];
        for (name, value) in defaults {
            request.headers.entry(name).or_insert(value);
        }
        let limits = Limits {
            total: limits.total.min(self.limits.total),
            connect: limits.connect.min(self.limits.connect),
            max_body: limits.max_body.min(self.limits.max_body),
        };
        // The client itself: through the Arc each call would be boxed twice.
        let response = (*self.http).send(request, &limits).await?;
        if response.body.len() > limits.max_body {
            return Err(HttpError::new(HttpErrorKind::TooLarge, Delivery::Answered));
        }
        Ok(response)
    }
}

#[async_trait]
impl HttpClient for GuardedClient {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        self.send_within(request, limits).await
    }
}
