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
use std::time::SystemTime;

use authflow_contentstack::{Contentstack, ContentstackBuilder};
use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Completed, Flow, HttpClient, HttpError, HttpRequest,
    HttpResponse, Limits, Secret, TokenSet, async_trait,
};
use http::{Method, StatusCode};
use url::Url;

pub const CALLBACK: &str = "https://app.example/callback";
pub const USER_REPLY: &str = r#"{"access_token":"AT-canary","refresh_token":"RT-canary","token_type":"Bearer","expires_in":3600,"location":"NA","region":"NA","organization_uid":"bltORG","authorization_type":"user","user_uid":"bltUSER","stack_api_key":""}"#;
pub const LIST_REPLY: &str = r#"{"data":[{"authorization_uid":"AUTH1","user":{"uid":"bltUSER"}},{"authorization_uid":"AUTH2","user":{"uid":"bltOTHER"}}]}"#;

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
    pub fn always(status: u16, body: &str) -> Arc<Self> {
        let body = body.to_owned();
        Self::new(move |_| Ok(response(status, &body)))
    }

    /// A provider where all goes well.
    pub fn provider() -> Arc<Self> {
        Self::new(|request| Ok(response(200, usual(request))))
    }

    pub fn sent(&self) -> Vec<HttpRequest> {
        self.sent.lock().unwrap().clone()
    }

    pub fn urls(&self) -> Vec<String> {
        self.sent().iter().map(|request| request.url.to_string()).collect()
    }
}

/// What the provider says to each request.
pub fn usual(request: &HttpRequest) -> &'static str {
    if request.url.path().ends_with("/token") {
        USER_REPLY
    } else if request.method == Method::GET && request.url.path().ends_with("/authorizations") {
        LIST_REPLY
    } else {
        "{}"
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
    ClientCredentials::confidential("client-id", "secret-canary").redirect_uri(CALLBACK)
}

pub fn public() -> ClientCredentials {
    ClientCredentials::public("client-id").redirect_uri(CALLBACK)
}

pub fn with(credentials: ClientCredentials) -> ContentstackBuilder {
    Contentstack::builder(credentials).app_uid("app-uid")
}

pub fn builder() -> ContentstackBuilder {
    with(confidential())
}

pub fn flow(builder: ContentstackBuilder, http: &Arc<Scripted>) -> Flow {
    Flow::builder(builder.build().unwrap()).http_client(Arc::clone(http)).build().unwrap()
}

pub fn user() -> Binding {
    Binding::user("tenant", "user-42")
}

/// The parameters of the query of a URL, wherever in it the query is.
pub fn query(url: &str) -> BTreeMap<String, String> {
    let (_, query) = url.split_once('?').unwrap();
    let query = query.split('#').next().unwrap();
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The parameters of a form, each once.
pub fn form(request: &HttpRequest) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    let form: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(form.len(), pairs.len(), "a parameter twice");
    form
}

/// Begins, comes back with a code and `more`, and finishes.
pub async fn complete_with(flow: &Flow, more: &str) -> authflow_core::Result<Completed> {
    let authorization = flow.begin(&user()).await?;
    let state = query(authorization.url())["state"].clone();
    let callback = format!("code=code-canary&state={state}{more}");
    flow.finish(&AuthorizationResponse::from_query(&callback)?, &user()).await
}

pub async fn complete(flow: &Flow) -> authflow_core::Result<Completed> {
    complete_with(flow, "&location=NA").await
}

/// A token set with these extra fields.
pub fn tokens(extra: &[(&str, &str)]) -> TokenSet {
    let mut tokens = TokenSet::new("AT-canary", SystemTime::UNIX_EPOCH);
    tokens.refresh_token = Some(Secret::new("RT-canary"));
    for (name, value) in extra {
        tokens.extra.insert((*name).to_owned(), (*value).into());
    }
    tokens
}

pub fn user_tokens() -> TokenSet {
    tokens(&[("user_uid", "bltUSER"), ("organization_uid", "bltORG"), ("location", "NA")])
}

/// An API request, with the token attached.
pub async fn attached(flow: &Flow, tokens: &TokenSet, url: &str) -> authflow_core::Result<HttpRequest> {
    let mut request = HttpRequest::get(Url::parse(url).unwrap());
    flow.authenticate(tokens, &mut request).await.map(|()| request)
}

pub fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}
