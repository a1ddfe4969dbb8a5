//! What its class does: each method, and each hook that a subclass overrides.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use authflow::quirks::RequestFormat;
use authflow::rfc::AuthorizationParameters;
use authflow::{
    Call, ClientCredentials, ConfiguredProvider, Delivery, ErrorKind, Expiry, Flow, FlowManager,
    HttpClient as _, HttpError, HttpErrorKind, HttpRequest, Limits, MemoryStateStore, Operation, Provider,
    Quirks, Recovery, Result, Scopes, StateStore, async_trait, rfc,
};
use http::HeaderValue;

use crate::common::{Script, pairs, value};
use crate::{CODE, Rig, TOKENS, code_grant, credentials, names, provider, query, user, with_token};

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
