//! Parity with `auth-code-flow` 0.2.1, the Python package whose idea this project carries on: each of its fields, methods and
//! hooks has an equal or better answer here, and none of its five traps. The table in `ARCHITECTURE.md` names these tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use authflow::quirks::{RequestFormat, RequestShape};
use authflow::rfc::AuthorizationParameters;
use authflow::{
    AuthorizationResponse, Binding, Call, ClientAuthentication, ClientCredentials, Completed,
    ConfiguredProvider, Delivery, ErrorKind, Expiry, Flow, FlowManager, Grant, HttpClient as _, HttpError,
    HttpErrorKind, HttpRequest, Limits, MemoryStateStore, Operation, Provider, ProviderBuilder,
    ProviderDefinition, Quirks, Recovery, Result, Scopes, Secret, StateStore, async_trait, rfc,
};
use common::{Script, functions, named_tests, pairs, read, value};
use http::HeaderValue;

const REDIRECT_URI: &str = "https://app.example/callback";
const SECRET: &str = "planted-client-secret";
const CODE: &str = "planted-code";
const TOKENS: &str = r#"{"access_token":"planted-access-token","token_type":"Bearer","expires_in":3600}"#;

fn provider() -> ProviderBuilder {
    Provider::builder("example")
        .base_uri("https://provider.example")
        .authorization_endpoint("/authorize")
        .token_endpoint("/access_token")
        .default_scopes(["read", "write"])
}

fn credentials() -> ClientCredentials {
    ClientCredentials::confidential("client-1", SECRET).redirect_uri(REDIRECT_URI)
}

fn with_token(change: impl FnOnce(&mut RequestShape)) -> Quirks {
    let mut quirks = Quirks::default();
    change(&mut quirks.token);
    quirks
}

struct Rig {
    flow: Flow,
    http: Arc<Script>,
}

impl Rig {
    fn new(provider: ProviderBuilder) -> Self {
        let provider = provider.build().unwrap();
        Self::over(
            ConfiguredProvider::from_provider(provider, credentials(), MemoryStateStore::new()).unwrap(),
        )
    }

    fn over(manager: impl FlowManager) -> Self {
        let http = Script::new();
        Self { flow: Flow::builder(manager).http_client(Arc::clone(&http)).build().unwrap(), http }
    }

    /// `get_authorization_endpoint`, and then the user's approval.
    async fn begin(&self) -> (String, String) {
        let url = self.flow.begin(&user()).await.unwrap().url().to_owned();
        let state = value(&query(&url), "state").unwrap();
        (url, format!("code={CODE}&state={state}"))
    }

    /// `fetch_access_token`.
    async fn finish(&self, callback: &str) -> Result<Completed> {
        self.flow.finish(&AuthorizationResponse::from_query(callback)?, &user()).await
    }

    async fn whole_flow(&self) -> Result<Completed> {
        let (_, callback) = self.begin().await;
        self.finish(&callback).await
    }
}

fn user() -> Binding {
    Binding::user("", "user-42")
}

fn query(url: &str) -> Vec<(String, String)> {
    pairs(url.split_once('?').unwrap().1.as_bytes())
}

fn names(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().map(|(name, _)| name.as_str()).collect()
}

fn code_grant() -> Grant {
    Grant::AuthorizationCode {
        code: Secret::new(CODE),
        code_verifier: None,
        redirect_uri: Some(REDIRECT_URI.into()),
    }
}

#[tokio::test]
async fn acf_01_base_uri_and_paths_are_joined() {
    for base in ["https://provider.example/oauth", "https://provider.example/oauth/"] {
        let provider = Provider::builder("p")
            .base_uri(base)
            .authorization_endpoint("/go?tenant=1")
            .token_endpoint("/token");
        let rig = Rig::new(provider);
        let (url, _) = rig.begin().await;
        assert!(url.starts_with("https://provider.example/oauth/go?tenant=1&response_type=code&"), "{url}");
        let request = rig.flow.token_request(&code_grant(), &Scopes::none()).await.unwrap();
        assert_eq!(request.url.as_str(), "https://provider.example/oauth/token");
    }
    let error = Provider::builder("p").authorization_endpoint("/go").build().unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Configuration,
        "a path without a base is found when the provider is built"
    );
}

#[tokio::test]
async fn acf_02_the_client_id_is_in_both_requests() {
    let rig = Rig::new(provider().quirks(with_token(|token| {
        token.client_authentication = Some(ClientAuthentication::ClientSecretPost);
    })));
    rig.http.json(TOKENS);
    let (url, callback) = rig.begin().await;
    rig.finish(&callback).await.unwrap();
    assert_eq!(value(&query(&url), "client_id").unwrap(), "client-1");
    assert_eq!(value(&pairs(&rig.http.last().body), "client_id").unwrap(), "client-1");
}

#[tokio::test]
async fn acf_03_the_client_secret_is_optional_and_goes_to_the_token_endpoint_only() {
    for (method, in_body) in
        [(ClientAuthentication::ClientSecretPost, true), (ClientAuthentication::ClientSecretBasic, false)]
    {
        let rig = Rig::new(provider().quirks(with_token(|token| token.client_authentication = Some(method))));
        rig.http.json(TOKENS);
        let (url, callback) = rig.begin().await;
        rig.finish(&callback).await.unwrap();
        assert!(!url.contains(SECRET));
        let request = rig.http.last();
        assert_eq!(value(&pairs(&request.body), "client_secret").is_some(), in_body);
        let header = request.headers.get(http::header::AUTHORIZATION);
        assert_eq!(header.is_some_and(HeaderValue::is_sensitive), !in_body);
    }
    let public = ClientCredentials::public("client-1").redirect_uri(REDIRECT_URI);
    let provider = provider().build().unwrap();
    let rig =
        Rig::over(ConfiguredProvider::from_provider(provider, public, MemoryStateStore::new()).unwrap());
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    assert!(value(&pairs(&rig.http.last().body), "code_verifier").is_some());
}

#[tokio::test]
async fn acf_04_the_redirect_uri_is_the_same_in_both_requests() {
    let provider = provider().build().unwrap();
    let credentials = credentials().redirect_uri("https://app.example/other?x=%2F");
    let rig =
        Rig::over(ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::new()).unwrap());
    for redirect_uri in [REDIRECT_URI, "https://app.example/other?x=%2F"] {
        rig.http.json(TOKENS);
        let url = rig.flow.begin(&user()).redirect_uri(redirect_uri).await.unwrap().url().to_owned();
        assert_eq!(value(&query(&url), "redirect_uri").unwrap(), redirect_uri);
        rig.finish(&format!("code={CODE}&state={}", value(&query(&url), "state").unwrap())).await.unwrap();
        assert_eq!(value(&pairs(&rig.http.last().body), "redirect_uri").unwrap(), redirect_uri);
    }
    let error = rig.flow.begin(&user()).redirect_uri("https://evil.example/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn acf_05_scopes_are_joined_as_the_provider_wants_them() {
    let mut quirks = Quirks::default();
    quirks.authorization.scope_delimiter = Some(",".to_owned());
    let rig = Rig::new(provider().quirks(quirks));
    assert_eq!(value(&query(&rig.begin().await.0), "scope").unwrap(), "read,write");
    let url = rig.flow.begin(&user()).scope("admin").await.unwrap().url().to_owned();
    assert_eq!(value(&query(&url), "scope").unwrap(), "admin");
    let none = Rig::new(provider().default_scopes::<[&str; 0]>([]));
    assert_eq!(value(&query(&none.begin().await.0), "scope"), None, "an empty scope is not sent");
}

#[tokio::test]
async fn acf_06_the_access_token_path_is_the_token_endpoint() {
    let rig = Rig::new(provider());
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    assert_eq!(rig.http.last().url.as_str(), "https://provider.example/access_token");
}

#[tokio::test]
async fn acf_07_the_authorization_path_is_the_authorization_endpoint() {
    let (url, _) = Rig::new(provider()).begin().await;
    assert!(url.starts_with("https://provider.example/authorize?"), "{url}");
    let error = Provider::builder("p").base_uri("https://provider.example").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "no path is guessed");
}

#[tokio::test]
async fn acf_08_the_grant_type_has_the_rfcs_value_or_the_providers() {
    for (configured, expected) in [(None, "authorization_code"), (Some("code_of_ours"), "code_of_ours")] {
        let rig =
            Rig::new(provider().quirks(with_token(|token| token.type_value = configured.map(str::to_owned))));
        rig.http.json(TOKENS);
        rig.whole_flow().await.unwrap();
        assert_eq!(value(&pairs(&rig.http.last().body), "grant_type").unwrap(), expected);
    }
}

#[tokio::test]
async fn acf_09_the_response_type_has_the_rfcs_value_or_the_providers() {
    for (configured, expected) in [(None, "code"), (Some("Assertion"), "Assertion")] {
        let mut quirks = Quirks::default();
        quirks.authorization.type_value = configured.map(str::to_owned);
        let (url, _) = Rig::new(provider().quirks(quirks)).begin().await;
        assert_eq!(value(&query(&url), "response_type").unwrap(), expected);
    }
}

#[tokio::test]
async fn acf_10_the_authorization_url_is_one_call() {
    let rig = Rig::new(provider());
    // With the state kept by us, or as the first single step with nothing stored.
    let prepared = rig.flow.prepare().await.unwrap();
    let sent = query(&prepared.url);
    assert_eq!(value(&sent, "state").unwrap(), prepared.state);
    assert_eq!(
        names(&sent),
        [
            "response_type",
            "client_id",
            "redirect_uri",
            "scope",
            "state",
            "code_challenge",
            "code_challenge_method"
        ]
    );
    rig.flow.store_state(&http::Extensions::new(), &prepared.state, &user(), prepared.pending).await.unwrap();
    rig.http.json(TOKENS);
    rig.finish(&format!("code={CODE}&state={}", prepared.state)).await.unwrap();
}

/// A subclass, as the ancestor's users wrote them: each overrides one method and calls the parent's.
#[derive(Debug)]
struct Overriding {
    provider: Provider,
    credentials: Arc<ClientCredentials>,
    states: MemoryStateStore,
}

impl Overriding {
    fn new() -> Self {
        let provider = provider().build().unwrap();
        Self { provider, credentials: Arc::new(credentials()), states: MemoryStateStore::new() }
    }
}

#[async_trait]
impl FlowManager for Overriding {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &self.states
    }

    fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
        let mut parameters = rfc::authorization_parameters(cx)?;
        parameters.set("prompt", "consent");
        parameters.remove("response_type");
        Ok(parameters)
    }

    fn token_request(&self, cx: &Call<'_>) -> Result<HttpRequest> {
        let mut request = rfc::token_request(cx)?;
        request.body.extend_from_slice(b"&audience=api");
        Ok(request.with_header(http::header::USER_AGENT, HeaderValue::from_static("ours/1")))
    }
}

#[tokio::test]
async fn acf_11_the_authorization_parameters_can_be_overridden() {
    let (url, _) = Rig::over(Overriding::new()).begin().await;
    let sent = query(&url);
    assert_eq!(names(&sent).first(), Some(&"client_id"), "in the order of the list");
    assert_eq!(value(&sent, "prompt").unwrap(), "consent");
    // Extra parameters need no subclass.
    let rig = Rig::new(provider());
    let url = rig.flow.begin(&user()).param("login_hint", "a@b.example").await.unwrap().url().to_owned();
    assert_eq!(value(&query(&url), "login_hint").unwrap(), "a@b.example");
}

#[tokio::test]
async fn acf_12_the_token_endpoint_can_be_looked_at() {
    let rig = Rig::new(provider());
    let request = rig.flow.token_request(&code_grant(), &Scopes::none()).await.unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://provider.example/access_token")
    );
    assert!(rig.http.requests().is_empty(), "looking at it sends nothing");
}

#[tokio::test]
async fn acf_13_the_token_parameters_can_be_overridden() {
    let rig = Rig::over(Overriding::new());
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    let request = rig.http.last();
    assert_eq!(value(&pairs(&request.body), "audience").unwrap(), "api");
    assert_eq!(request.headers[http::header::USER_AGENT], "ours/1");
}

#[tokio::test]
async fn acf_14_fetching_the_token_is_one_call_and_the_answer_is_read() {
    let rig = Rig::new(provider());
    rig.http
        .json(r#"{"access_token":"t","expires_in":"60","refresh_token":"r","scope":"read","team":{"id":7}}"#);
    let tokens = rig.whole_flow().await.unwrap().tokens;
    assert_eq!(tokens.access_token.expose(), "t");
    assert_eq!(tokens.refresh_token.unwrap().expose(), "r");
    assert!(matches!(tokens.expiry, Expiry::At(_)));
    assert_eq!(tokens.scopes, Scopes::new(["read"]));
    assert_eq!(tokens.extra["team"]["id"], 7, "what the protocol does not know is kept");
}

#[tokio::test]
async fn acf_15_the_body_is_a_form_or_json() {
    for (format, content_type) in [
        (RequestFormat::Form, "application/x-www-form-urlencoded"),
        (RequestFormat::Json, "application/json"),
    ] {
        let rig = Rig::new(provider().quirks(with_token(|token| token.format = format)));
        rig.http.json(TOKENS);
        rig.whole_flow().await.unwrap();
        let request = rig.http.last();
        assert_eq!(request.headers[http::header::CONTENT_TYPE], content_type);
        let code = match format {
            RequestFormat::Json => {
                let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
                body["code"].as_str().map(str::to_owned)
            }
            _ => value(&pairs(&request.body), "code"),
        };
        assert_eq!(code.unwrap(), CODE);
    }
}

#[tokio::test]
async fn acf_16_deadlines_are_set_for_a_flow_or_for_one_call() {
    let http = Script::new();
    let provider = provider().build().unwrap();
    let manager =
        ConfiguredProvider::from_provider(provider, credentials(), MemoryStateStore::new()).unwrap();
    let (connect, total) = (Duration::from_secs(5), Duration::from_secs(10));
    let limits = Limits::default().with_connect(connect).with_total(total);
    let flow = Flow::builder(manager).http_client(Arc::clone(&http)).limits(limits).build().unwrap();
    let rig = Rig { flow, http };
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    assert_eq!((rig.http.last_limits().connect, rig.http.last_limits().total), (connect, total));

    // One call with its own: the request is built here, sent by the caller, and its answer read here.
    rig.http.json(TOKENS);
    let (grant, scopes) = (code_grant(), Scopes::none());
    let request = rig.flow.token_request(&grant, &scopes).await.unwrap();
    let response =
        rig.http.send(request, &Limits::default().with_total(Duration::from_secs(1))).await.unwrap();
    rig.flow.token_response(&grant, &scopes, &response).await.unwrap();
    assert_eq!(rig.http.last_limits().total, Duration::from_secs(1));
}

#[tokio::test]
async fn acf_17_the_raw_response_is_at_hand_on_success_and_failure() {
    let rig = Rig::new(provider());
    rig.http.json(r#"{"access_token":"t","odd":true}"#);
    rig.http.answer(400, "application/json", r#"{"error":"invalid_grant","hint":"too late"}"#);
    let (grant, scopes) = (code_grant(), Scopes::none());
    for status in [200, 400] {
        let request = rig.flow.token_request(&grant, &scopes).await.unwrap();
        let response = rig.http.send(request, &Limits::default()).await.unwrap();
        assert_eq!(response.status, status);
        assert!(!response.body.is_empty() && response.headers.contains_key(http::header::CONTENT_TYPE));
        let read = rig.flow.token_response(&grant, &scopes, &response).await;
        assert_eq!(read.is_ok(), status == 200);
    }
}

#[tokio::test]
async fn acf_18_headers_and_the_http_client_are_the_callers_to_choose() {
    // What Python took as keywords of `requests`: headers are data or a hook, the rest is the client that is given.
    let quirks: Quirks = serde_json::from_str(r#"{"token":{"headers":{"x-app":"{client_id}/1"}}}"#).unwrap();
    let rig = Rig::new(provider().quirks(quirks));
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    assert_eq!(rig.http.last().headers["x-app"], "client-1/1");
    assert_eq!(rig.http.requests().len(), 1, "everything went through the client that was given");
}

#[tokio::test]
async fn acf_19_an_error_is_typed_and_holds_what_the_provider_said() {
    let rig = Rig::new(provider());
    rig.http.answer(
        400,
        "application/json",
        r#"{"error":"invalid_client","error_description":"no such client"}"#,
    );
    let error = rig.whole_flow().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.status().unwrap(), 400);
    assert_eq!(error.server_error().unwrap().code(), "invalid_client");
    assert_eq!((error.provider(), error.operation()), (Some("example"), Some(Operation::Exchange)));
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
}

#[tokio::test]
async fn acf_20_a_network_failure_has_a_cause_and_no_response() {
    let rig = Rig::new(provider());
    rig.http.push(Err(HttpError::new(HttpErrorKind::Timeout, Delivery::Unknown)));
    let error = rig.whole_flow().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(error.status(), None);
    let cause = error.source().unwrap().downcast_ref::<HttpError>().unwrap();
    assert_eq!((cause.kind(), cause.delivery()), (HttpErrorKind::Timeout, Delivery::Unknown));
}

#[tokio::test]
async fn acf_21_whether_to_try_again_is_told_and_left_to_the_caller() {
    let rig = Rig::new(provider());
    let tokens = {
        rig.http.json(r#"{"access_token":"a","refresh_token":"r"}"#);
        rig.whole_flow().await.unwrap().tokens
    };
    let wait = |seconds| Recovery::Retry { after: Some(Duration::from_secs(seconds)) };
    for (status, kind) in
        [(429, ErrorKind::RateLimited), (500, ErrorKind::Unavailable), (503, ErrorKind::Unavailable)]
    {
        let response = authflow::HttpResponse::new(http::StatusCode::from_u16(status).unwrap(), "");
        rig.http.push(Ok(response.with_header(http::header::RETRY_AFTER, HeaderValue::from_static("7"))));
        let before = rig.http.requests().len();
        let error = rig.flow.refresh(&tokens).await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (kind, wait(7)));
        assert_eq!(rig.http.requests().len(), before + 1);
    }
}

#[tokio::test]
async fn acf_22_the_readmes_stack_exchange_is_a_file() {
    let definition: ProviderDefinition = toml::from_str(
        r#"
        id = "stackexchange"
        default_scopes = ["no_expiry"]

        [endpoints]
        authorization_endpoint = "https://stackoverflow.com/oauth"
        token_endpoint = "https://stackoverflow.com/oauth/access_token/json"
        api_origins = ["https://api.stackexchange.com"]

        [quirks.token]
        client_authentication = "client_secret_post"

        [quirks.token_response]
        fields.expires_in = "/expires"
        expiry.default = "never"
        "#,
    )
    .unwrap();
    let rig = Rig::over(ConfiguredProvider::new(definition, credentials(), MemoryStateStore::new()).unwrap());
    rig.http.json(r#"{"access_token":"se-token"}"#);
    let (url, callback) = rig.begin().await;
    assert!(url.starts_with("https://stackoverflow.com/oauth?"), "{url}");
    assert_eq!(value(&query(&url), "scope").unwrap(), "no_expiry");
    let tokens = rig.finish(&callback).await.unwrap().tokens;
    assert_eq!((tokens.access_token.expose(), tokens.expiry), ("se-token", Expiry::Never));
    assert_eq!(rig.http.last().url.as_str(), "https://stackoverflow.com/oauth/access_token/json");
    assert!(pairs(&rig.http.last().body).iter().any(|(name, _)| name == "client_secret"));
}

#[test]
fn acf_23_a_definition_is_a_value_that_can_be_compared_and_written() {
    let text = r#"
        id = "example"
        [endpoints]
        authorization_endpoint = "https://provider.example/authorize"
        token_endpoint = "https://provider.example/access_token"
    "#;
    let first: ProviderDefinition = toml::from_str(text).unwrap();
    let second: ProviderDefinition = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn acf_trap_a_a_code_is_never_sent_twice() {
    for answer in [429, 500, 502, 503, 504, 0] {
        let rig = Rig::new(provider());
        if answer == 0 {
            rig.http.push(Err(HttpError::new(HttpErrorKind::Transport, Delivery::Unknown)));
        } else {
            rig.http.answer(answer, "text/html", "<h1>later</h1>");
        }
        let (_, callback) = rig.begin().await;
        rig.finish(&callback).await.unwrap_err();
        assert_eq!(rig.http.requests().len(), 1, "{answer}");
        // Nor by the same callback once more: the state is used up.
        assert_eq!(rig.finish(&callback).await.unwrap_err().kind(), ErrorKind::StateNotFound);
        assert_eq!(rig.http.requests().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn acf_trap_b_no_debug_shows_a_secret() {
    let rig = Rig::new(provider());
    rig.http.json(TOKENS);
    let authorization = rig.flow.begin(&user()).await.unwrap();
    let completed = rig.whole_flow().await.unwrap();
    let request = rig.http.last();
    let shown = format!(
        "{:?} {:?} {authorization:?} {completed:?} {request:?} {:?}",
        credentials(),
        rig.flow,
        code_grant()
    );
    let state = value(&query(authorization.url()), "state").unwrap();
    for secret in [SECRET, CODE, "planted-access-token", state.as_str()] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn acf_trap_c_the_default_body_is_the_rfcs_form() {
    let rig = Rig::new(provider());
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    let request = rig.http.last();
    assert_eq!(request.headers[http::header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert_eq!(value(&pairs(&request.body), "code").unwrap(), CODE);
}

#[tokio::test]
async fn acf_trap_d_an_error_says_what_the_provider_answered() {
    let rig = Rig::new(provider());
    rig.http.answer(
        400,
        "application/json",
        r#"{"error":"invalid_grant","error_description":"code expired"}"#,
    );
    let shown = rig.whole_flow().await.unwrap_err().to_string();
    assert!(shown.contains("invalid_grant: code expired") && shown.contains("HTTP 400"), "{shown}");
    // Where the body is none of the protocol's, its beginning is there for those who ask, and not in the text.
    rig.http.answer(403, "text/html", "<title>Blocked by the proxy</title>");
    let error = rig.whole_flow().await.unwrap_err();
    assert!(error.body_prefix().unwrap().contains("Blocked by the proxy"));
    assert!(!format!("{error} {error:?}").contains("Blocked"));
}

#[tokio::test]
async fn acf_trap_e_the_state_is_not_sent_to_the_token_endpoint() {
    let rig = Rig::new(provider());
    rig.http.json(TOKENS);
    let (url, callback) = rig.begin().await;
    let state = value(&query(&url), "state").unwrap();
    rig.finish(&callback).await.unwrap();
    let request = rig.http.last();
    assert!(
        !String::from_utf8_lossy(&request.body).contains(&state) && !request.url.as_str().contains(&state)
    );
    assert_eq!(names(&pairs(&request.body)), ["grant_type", "code", "redirect_uri", "code_verifier"]);
}

#[test]
fn every_test_that_a_document_names_exists() {
    let functions = functions();
    for (document, least) in [("ARCHITECTURE.md", 28), ("SECURITY.md", 200), ("README.md", 80)] {
        let named = named_tests(&read(document));
        assert!(named.len() >= least, "{document} names only {} tests", named.len());
        let missing: Vec<_> = named.iter().filter(|name| !functions.contains(*name)).collect();
        assert!(missing.is_empty(), "{document} names tests that do not exist: {missing:?}");
    }
}

#[test]
fn every_test_of_parity_is_in_the_table() {
    let named = named_tests(&read("ARCHITECTURE.md"));
    let own = functions().into_iter().filter(|name| name.starts_with("acf_"));
    let missing: Vec<_> = own.filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "the table in ARCHITECTURE.md lacks {missing:?}");
}
