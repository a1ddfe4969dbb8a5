//! What core's tests share: a client that answers from a script, and a clock that is moved by hand.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses a part"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Clock, ConfiguredProvider, Flow, HttpClient,
    HttpError, HttpRequest, HttpResponse, Limits, MemoryStateStore, Provider, ProviderBuilder, Quirks,
    StateStore, async_trait,
};

pub const REDIRECT_URI: &str = "https://app.example/callback";
pub const SECRET: &str = "planted-client-secret-1";

#[derive(Debug)]
pub struct ManualClock(Mutex<SystemTime>);

impl ManualClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))))
    }

    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }

    pub fn step_back(&self, by: Duration) {
        *self.0.lock().unwrap() -= by;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {}
}

/// Answers from a script, and remembers what it was asked.
#[derive(Debug, Default)]
pub struct Script {
    answers: Mutex<VecDeque<Result<HttpResponse, HttpError>>>,
    requests: Mutex<Vec<HttpRequest>>,
}

impl Script {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn json(&self, body: &str) {
        self.answer(200, "application/json", body);
    }

    pub fn answer(&self, status: u16, content_type: &str, body: &str) {
        let status = http::StatusCode::from_u16(status).unwrap();
        let response = HttpResponse::new(status, body);
        self.push(Ok(response.with_header(http::header::CONTENT_TYPE, content_type.parse().unwrap())));
    }

    pub fn push(&self, answer: Result<HttpResponse, HttpError>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    pub fn requests(&self) -> Vec<HttpRequest> {
        self.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The form of the last request.
    pub fn last_form(&self) -> Vec<(String, String)> {
        let requests = self.requests.lock().unwrap();
        url::form_urlencoded::parse(&requests.last().unwrap().body).into_owned().collect()
    }
}

#[async_trait]
impl HttpClient for Script {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        self.requests.lock().unwrap().push(request);
        self.answers.lock().unwrap().pop_front().expect("the script is at its end")
    }
}

pub fn provider(id: &str) -> ProviderBuilder {
    Provider::builder(id)
        .base_uri("https://as.example")
        .authorization_endpoint("/authorize")
        .token_endpoint("/token")
        .revocation_endpoint("/revoke")
        .api_origin("https://api.example")
        .default_scopes(["read", "write"])
}

pub fn credentials() -> ClientCredentials {
    ClientCredentials::confidential("client-1", SECRET).redirect_uri(REDIRECT_URI)
}

pub struct Rig {
    pub flow: Flow,
    pub http: Arc<Script>,
    pub clock: Arc<ManualClock>,
    pub store: Arc<MemoryStateStore>,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(provider("p").build().unwrap(), credentials())
    }

    pub fn quirks(quirks: Quirks) -> Self {
        Self::with(provider("p").quirks(quirks).build().unwrap(), credentials())
    }

    pub fn with(provider: Provider, credentials: ClientCredentials) -> Self {
        let store = Arc::new(MemoryStateStore::default());
        Self::with_store(provider, credentials, Arc::clone(&store), store)
    }

    pub fn with_store(
        provider: Provider,
        credentials: ClientCredentials,
        states: impl StateStore,
        store: Arc<MemoryStateStore>,
    ) -> Self {
        let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
        let (http, clock) = (Script::new(), ManualClock::new());
        let clock_handle: Arc<dyn Clock> = clock.clone();
        let flow = Flow::builder(manager).http_client(Arc::clone(&http)).clock(clock_handle).build().unwrap();
        Self { flow, http, clock, store }
    }

    /// Begins a flow and returns the query of the provider's callback.
    pub async fn begin(&self, binding: &Binding) -> String {
        let authorization = self.flow.begin(binding).await.unwrap();
        callback(authorization.url())
    }

    pub async fn finish(
        &self,
        query: &str,
        binding: &Binding,
    ) -> authflow_core::Result<authflow_core::Completed> {
        self.flow.finish(&AuthorizationResponse::from_query(query)?, binding).await
    }

    pub fn tokens(&self) {
        self.http.json(r#"{"access_token":"planted-access-1","token_type":"Bearer","expires_in":3600}"#);
    }
}

pub fn user() -> Binding {
    Binding::user("tenant", "user-42")
}

pub fn query_value(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

pub fn callback(url: &str) -> String {
    format!("code=planted-code-1&state={}", query_value(url, "state").unwrap())
}
