//! authflow, as an application uses it.

use std::sync::Arc;

use authflow_core::{
    ClientCredentials, Clock, ConfiguredProvider, Flow, HttpClient, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, Limits, MemoryStateStore, Provider, StateStore, SystemClock, async_trait,
};

use crate::registration::{
    AUTHORIZATION_ENDPOINT, CLIENT_ID, CLIENT_SECRET, PROVIDER_ID, REDIRECT_URI, SCOPES,
};

/// A flow over `store`, whose tokens come from `token_endpoint`.
pub(crate) fn flow(token_endpoint: &str, store: impl StateStore, http: impl HttpClient) -> Flow {
    flow_by(Arc::new(SystemClock::new()), token_endpoint, store, http)
}

/// The same by another clock.
pub(crate) fn flow_by(
    clock: Arc<dyn Clock>,
    token_endpoint: &str,
    store: impl StateStore,
    http: impl HttpClient,
) -> Flow {
    flow_to(REDIRECT_URI, clock, token_endpoint, store, http)
}

/// The same with another redirect URI.
pub(crate) fn flow_to(
    redirect_uri: &str,
    clock: Arc<dyn Clock>,
    token_endpoint: &str,
    store: impl StateStore,
    http: impl HttpClient,
) -> Flow {
    let provider = Provider::builder(PROVIDER_ID)
        .authorization_endpoint(AUTHORIZATION_ENDPOINT)
        .token_endpoint(token_endpoint)
        .default_scopes(SCOPES)
        .build()
        .unwrap();
    let credentials = ClientCredentials::confidential(CLIENT_ID, CLIENT_SECRET).redirect_uri(redirect_uri);
    let manager = ConfiguredProvider::from_provider(provider, credentials, store).unwrap();
    Flow::builder(manager).http_client(http).clock(clock).build().unwrap()
}

/// A flow that never gets as far as to send something.
pub(crate) fn offline_flow() -> Flow {
    offline_flow_over(MemoryStateStore::new())
}

/// The same over `store`.
pub(crate) fn offline_flow_over(store: impl StateStore) -> Flow {
    flow("https://provider.example/oauth2/token", store, Offline)
}

#[derive(Debug)]
struct Offline;

#[async_trait]
impl HttpClient for Offline {
    async fn send(&self, _: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        Err(HttpError::new(HttpErrorKind::Transport, authflow_core::Delivery::NotSent))
    }
}
