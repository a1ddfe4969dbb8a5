//! What the tests share: a scripted HTTP client, and a flow that has begun.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests; each uses a part"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Completed, Flow, HttpClient, HttpError, HttpRequest,
    HttpResponse, Limits, async_trait,
};
use authflow_stackexchange::{StackExchange, StackExchangeBuilder};
use http::StatusCode;
use url::Url;

pub const CALLBACK: &str = "https://app.example/callback";
pub const JSON_REPLY: &str = r#"{"access_token":"AT-canary))","expires":86400}"#;
pub const ME_REPLY: &str = r#"{"items":[{"account_id":4711,"user_id":42,"display_name":"Jo"}],"has_more":false,"quota_max":10000,"quota_remaining":9999}"#;

type Answer = Box<dyn FnMut(&HttpRequest) -> Result<HttpResponse, HttpError> + Send>;

/// Answers by a function, and keeps what was sent.
pub struct Scripted {
    answer: Mutex<Answer>,
    sent: Mutex<Vec<HttpRequest>>,
}

impl Scripted {
    pub fn new(
        answer: impl FnMut(&HttpRequest) -> Result<HttpResponse, HttpError> + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { answer: Mutex::new(Box::new(answer)), sent: Mutex::default() })
    }

    /// Answers everything with one body.
    pub fn always(status: u16, body: &'static str) -> Arc<Self> {
        Self::new(move |_| Ok(response(status, body)))
    }

    /// A provider where all goes well.
    pub fn provider() -> Arc<Self> {
        Self::new(|request| Ok(response(200, usual(request))))
    }

    pub fn sent(&self) -> Vec<HttpRequest> {
        self.sent.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.sent().iter().map(|request| request.url.path().to_owned()).collect()
    }
}

/// What the provider says at each of its paths.
pub fn usual(request: &HttpRequest) -> &'static str {
    let path = request.url.path();
    match path.strip_prefix("/se").unwrap_or(path) {
        "/oauth/access_token/json" => JSON_REPLY,
        "/oauth/access_token" => "access_token=AT-canary%29%29&expires=86400",
        "/2.3/me" => ME_REPLY,
        _ => r#"{"items":[],"has_more":false}"#,
    }
}

#[async_trait]
impl HttpClient for Scripted {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let answer = (self.answer.lock().unwrap())(&request);
        self.sent.lock().unwrap().push(request);
        answer
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

pub fn response(status: u16, body: &str) -> HttpResponse {
    HttpResponse::new(StatusCode::from_u16(status).unwrap(), body)
}

pub fn confidential() -> ClientCredentials {
    ClientCredentials::confidential("12345", "secret-canary").redirect_uri(CALLBACK)
}

pub fn public() -> ClientCredentials {
    ClientCredentials::public("12345").redirect_uri(CALLBACK)
}

pub fn builder() -> StackExchangeBuilder {
    StackExchange::builder(confidential()).key("key-canary")
}

pub fn flow(builder: StackExchangeBuilder, http: &Arc<Scripted>) -> Flow {
    Flow::builder(builder.build().unwrap()).http_client(Arc::clone(http)).build().unwrap()
}

pub fn user() -> Binding {
    Binding::user("tenant", "user-42")
}

/// The parameters of a query.
pub fn query(url: &str) -> BTreeMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

/// The parameters of a form.
pub fn form(request: &HttpRequest) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

/// Begins with `scopes`, comes back with a code, and finishes.
pub async fn complete(flow: &Flow, scopes: &[&str]) -> authflow_core::Result<Completed> {
    let authorization = flow.begin(&user()).scopes(scopes.iter().copied()).await?;
    let state = query(authorization.url())["state"].clone();
    let callback = format!("code=code-canary&state={state}");
    flow.finish(&AuthorizationResponse::from_query(&callback)?, &user()).await
}
