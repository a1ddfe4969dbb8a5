//! What the fuzz targets try, and what must hold. Plain `cargo test` replays the seeds through the same functions.

use std::collections::{BTreeMap, BTreeSet};
use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::quirks::{Quirks, ResponseFormat};
use authflow_core::{
    AuthorizationResponse, Call, ClientCredentials, Expiry, Grant, HttpResponse, Key, KeyRing, Operation,
    Provider, SealContext, TokenSet, VariableSources, rfc,
};

/// A target: its name, and what is done with its input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. The ids are those of the plan.
pub const TARGETS: [Target; 9] = [
    ("z01_callback_query", z01_callback_query),
    ("z03_token_response", z03_token_response),
    ("z04_error_response", z04_error_response),
    ("z05_expires_in", z05_expires_in),
    ("z16_sealed_record", z16_sealed_record),
    ("z17_stored_tokens", z17_stored_tokens),
    ("z20_retry_after", z20_retry_after),
    ("z21_authorization_url", z21_authorization_url),
    ("z22_basic_auth", z22_basic_auth),
];

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + NOW
}

fn provider(quirks: Quirks) -> Provider {
    let built = Provider::builder("p")
        .authorization_endpoint("https://as.example/authorize")
        .token_endpoint("https://as.example/token")
        .quirks(quirks)
        .build();
    built.expect("a fixed provider")
}

fn with_call<T>(provider: &Provider, credentials: &ClientCredentials, run: impl FnOnce(&Call<'_>) -> T) -> T {
    let config = BTreeMap::new();
    let urls = provider.endpoints().resolve(&VariableSources::new(&config)).expect("fixed endpoints");
    let grant = Grant::AuthorizationCode { code: "CODE".into(), code_verifier: None, redirect_uri: None };
    let mut cx = Call::new(Operation::Exchange, provider, &urls, credentials, now());
    cx.grant = Some(&grant);
    run(&cx)
}

fn client() -> ClientCredentials {
    ClientCredentials::public("client-1").redirect_uri("https://app.example/cb")
}

/// The state of the one flow that is pending in [`z01_callback_query`]. The seeds hold others too.
const STATE: &str = "xyz";

fn is_text(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER)
}

/// Z1: Ok only with one code, one state and no error; equal to a slow reader; no parameter is accepted twice.
pub fn z01_callback_query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        // What is no text is in no name, and in no value that the engine reads by the name that the RFC gives it.
        if let Ok(response) = AuthorizationResponse::from_form(data) {
            let is_read = |name: &str| matches!(name, "code" | "state" | "iss" | "error" | "error_uri");
            assert!(response.iter().all(|(name, value)| is_text(name) && (is_text(value) || !is_read(name))));
        }
        return;
    };
    let Ok(response) = AuthorizationResponse::from_query(text) else { return };
    let quirks = Quirks::default();
    let provider = provider(quirks);
    let read = with_call(&provider, &client(), |cx| rfc::callback(cx, &response));
    let slow: Vec<(String, String)> =
        url::form_urlencoded::parse(text.strip_prefix('?').unwrap_or(text).as_bytes()).into_owned().collect();
    let values = |name: &str| {
        slow.iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect::<Vec<_>>()
    };
    // The state is the engine's business, so the whole of `finish` is asked. It does not get far without a pending flow.
    let binding = authflow_core::Binding::user("", "user-42");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let manager =
        authflow_core::ConfiguredProvider::from_provider(provider, client(), OnePending(Arc::clone(&asked)))
            .expect("fixed");
    let flow = authflow_core::Flow::builder(manager)
        .http_client(OneToken(Arc::clone(&sent)))
        .build()
        .expect("fixed");
    let finished = block_on(flow.finish(&response, &binding).into_future());
    let (asked, sent) = (taken(&asked), taken(&sent));
    // The store is asked for exactly the state that a slow reader finds, and for nothing if there is not exactly one.
    let state = match values("state")[..] {
        [state] if !state.is_empty() => Some(state),
        _ => None,
    };
    let key =
        |state: &String| authflow_core::StateKey::new("p", state, &binding).expect("it is bound to a user");
    assert!(asked.len() <= 1);
    assert!(asked.iter().all(|asked| state.map(key).as_ref() == Some(asked)), "{text:?}");
    let code = read.as_ref().ok().and_then(|callback| callback.outcome.as_ref().ok());
    assert_eq!(sent.len(), usize::from(finished.is_ok()), "{text:?}");
    if finished.is_ok() {
        assert_eq!(values("state"), [STATE]);
        assert_eq!(
            code.map(|code| vec![code.expose().to_owned()]),
            Some(values("code").into_iter().cloned().collect())
        );
        // That code is what was sent, once.
        let body: Vec<_> = url::form_urlencoded::parse(&sent[0]).into_owned().collect();
        let codes: Vec<_> = body.iter().filter(|(name, _)| name == "code").map(|(_, code)| code).collect();
        assert_eq!(codes, values("code"));
    } else {
        // Nothing else is wrong with it: no parameter is there twice, and no other issuer is named.
        let names: BTreeSet<_> = slow.iter().map(|(name, _)| name).collect();
        let is_good = code.is_some_and(|code| !code.expose().is_empty())
            && names.len() == slow.len()
            && slow.iter().all(|(_, value)| is_text(value))
            && state.is_some_and(|state| state == STATE)
            && !names.iter().any(|name| matches!(name.as_str(), "iss" | "response"));
        assert!(!is_good, "{text:?}: {finished:?}");
    }
    if let Ok(callback) = read {
        for name in ["code", "error", "access_token", "id_token"] {
            assert!(values(name).len() <= 1, "{name} twice");
        }
        match callback.outcome {
            Ok(code) => {
                assert_eq!(values("code"), [code.expose()]);
                assert!(values("error").is_empty());
                assert!(code.expose().bytes().all(|b| (0x20..=0x7e).contains(&b)));
            }
            Err(error) => {
                assert_eq!(values("error").len(), 1);
                assert!(values("code").is_empty());
                assert!(error.code().len() <= 1024);
            }
        }
    }
    for (name, _) in response.iter() {
        assert_eq!(response.get(name).is_ok(), values(name).len() == 1);
    }
}

fn response(data: &[u8]) -> HttpResponse {
    // The first byte chooses status and content type.
    let (choice, body) = data.split_first().map_or((0, data), |(first, rest)| (*first, rest));
    let status = [200, 201, 204, 301, 400, 401, 403, 429, 500, 503][usize::from(choice % 10)];
    let content_type = ["application/json", "application/x-www-form-urlencoded", "text/html", "text/plain"]
        [usize::from(choice / 10 % 4)];
    let status = http::StatusCode::from_u16(status).expect("a status");
    HttpResponse::new(status, body)
        .with_header(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type))
}

/// Z3: Ok means a token that a header can carry, an expiry under the cap, and a token set that is the same once it was written and
/// read; the body is in no error.
pub fn z03_token_response(data: &[u8]) {
    let response = response(data);
    for format in [ResponseFormat::Auto, ResponseFormat::Json, ResponseFormat::Form] {
        let mut quirks = Quirks::default();
        quirks.token_response.format = format;
        let provider = provider(quirks);
        let read = with_call(&provider, &client(), |cx| rfc::token_response(cx, &response));
        match read {
            Ok(tokens) => {
                assert!(response.status.is_success());
                assert!(visible(tokens.access_token.expose()));
                assert!(tokens.refresh_token.as_ref().is_none_or(|token| visible(token.expose())));
                for expiry in [tokens.expiry, tokens.refresh_expiry] {
                    if let Expiry::At(at) = expiry {
                        assert!(at <= SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799));
                    }
                }
                let shown = format!("{tokens:?}");
                let secret = tokens.access_token.expose();
                assert!(secret.len() < 24 || !shown.contains(secret));
                // What was read is the same after it was written and read again. What is nested too deep cannot be written.
                match tokens.to_exposed_bytes() {
                    Ok(written) => check_round_trip(&tokens, written.expose()),
                    Err(_) => assert!(depth(&tokens.extra) > 127, "it can be written"),
                }
            }
            Err(error) => check_error(&error),
        }
    }
}

fn visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (0x21..=0x7e).contains(&b))
}

fn check_error(error: &authflow_core::Error) {
    let printable = |text: &str| text.bytes().all(|b| (0x20..=0x7e).contains(&b));
    if let Some(server_error) = error.server_error() {
        let words = [Some(server_error.code()), server_error.description(), server_error.uri()];
        for words in words.into_iter().flatten() {
            assert!(words.len() <= 1024 && printable(words), "{words:?}");
        }
    }
    if let Some(prefix) = error.body_prefix() {
        assert!(prefix.len() <= 256 && printable(prefix), "{prefix:?}");
    }
    let _ = error.recovery();
}

/// Z4: whatever the provider writes as an error is printable ASCII, 1 KiB at most.
pub fn z04_error_response(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let server_error = authflow_core::ServerError::new(&text, Some(&text), Some(&text));
    check_error(&authflow_core::Error::refused(server_error));
    let object = serde_json::json!({ "error": text, "error_description": text, "error_uri": text });
    let mut body = vec![4];
    body.extend_from_slice(object.to_string().as_bytes());
    let response = response(&body);
    let provider = provider(Quirks::default());
    let error = with_call(&provider, &client(), |cx| rfc::token_response(cx, &response)).expect_err("a 400");
    check_error(&error);
    let mut raw = vec![4];
    raw.extend_from_slice(data);
    let response = self::response(&raw);
    check_error(
        &with_call(&provider, &client(), |cx| rfc::token_response(cx, &response)).expect_err("a 400"),
    );
}

/// Z5: a lifetime never fails the reply, saturates, and grows with its number.
pub fn z05_expires_in(data: &[u8]) {
    let provider = provider(Quirks::default());
    let expiry = |value: &str| {
        let mut body = vec![0];
        body.extend_from_slice(format!(r#"{{"access_token":"a","expires_in":{value}}}"#).as_bytes());
        let response = response(&body);
        with_call(&provider, &client(), |cx| rfc::token_response(cx, &response)).map(|tokens| tokens.expiry)
    };
    if let Ok(text) = std::str::from_utf8(data) {
        if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
            && !text.contains(['{', '[', '"'])
        {
            assert!(expiry(text.trim()).is_ok(), "{text}");
        }
        assert!(expiry(&serde_json::Value::from(text).to_string()).is_ok(), "{text}");
    }
    if let Some(eight) = data.first_chunk::<8>() {
        let number = u64::from_le_bytes(*eight) / 2;
        match (expiry(&number.to_string()), expiry(&(number + 4096).to_string())) {
            (Ok(Expiry::At(one)), Ok(Expiry::At(two))) => assert!(one <= two, "{number}"),
            other => panic!("{number}: {other:?}"),
        }
    }
}

/// The records that open, sealed by another program.
const SEALED: [&[u8]; 3] = [
    include_bytes!("seeds/z16_sealed_record/00"),
    include_bytes!("seeds/z16_sealed_record/01"),
    include_bytes!("seeds/z16_sealed_record/02"),
];

/// Z16: what was not sealed does not open, and what was opens in its own place only.
pub fn z16_sealed_record(data: &[u8]) {
    let key = |first: u8| Key::from_bytes(&std::array::from_fn(|at| first + at as u8));
    let ring = KeyRing::new("k1", key(0)).and_then(|ring| ring.with("k2", key(1))).expect("a fixed ring");
    let cx = SealContext {
        tenant: "t",
        user: "user-42",
        provider_id: "stackexchange",
        account: "1",
        incarnation: &[1, 2, 3],
        ..SealContext::new("connection")
    };
    let opened = ring.open(&cx, data);
    assert_eq!(opened.is_ok(), SEALED.contains(&data));
    assert!(ring.open(&SealContext { user: "user-43", ..cx }, data).is_err());
    match (opened, ring.needs_reseal(data)) {
        (Ok(opened), needs_reseal) => assert_eq!(Some(opened.needs_reseal()), needs_reseal.ok()),
        (Err(error), _) => assert!(!error.to_string().is_empty()),
    }
}

/// Z17: what is read is written so that it is read as the same again.
pub fn z17_stored_tokens(data: &[u8]) {
    let Ok(tokens) = TokenSet::from_exposed_bytes(data) else {
        return;
    };
    let written = tokens.to_exposed_bytes().expect("what was read can be written");
    check_round_trip(&tokens, written.expose());
}

/// Reads what was written of the token set: every field is as before, and it is written as the same bytes again.
fn check_round_trip(tokens: &TokenSet, written: &[u8]) {
    let again = TokenSet::from_exposed_bytes(written).expect("what was written can be read");
    let exposed =
        |secret: &Option<authflow_core::Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    assert_eq!(again.access_token.expose(), tokens.access_token.expose());
    assert_eq!(again.token_type, tokens.token_type);
    assert_eq!(exposed(&again.refresh_token), exposed(&tokens.refresh_token));
    assert_eq!((again.expiry, again.refresh_expiry), (tokens.expiry, tokens.refresh_expiry));
    assert_eq!((&again.scopes, again.scopes_assumed), (&tokens.scopes, tokens.scopes_assumed));
    assert_eq!(exposed(&again.id_token), exposed(&tokens.id_token));
    assert_eq!(again.account, tokens.account);
    assert_eq!(again.resources, tokens.resources);
    assert_eq!(again.callback, tokens.callback);
    assert_eq!(again.extra, tokens.extra);
    assert_eq!(again.received_at, tokens.received_at);
    assert_eq!(again.to_exposed_bytes().expect("it was written before").expose(), written);
}

/// How many levels of objects and lists there are.
fn depth(map: &serde_json::Map<String, serde_json::Value>) -> usize {
    fn of(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Object(map) => depth(map),
            serde_json::Value::Array(list) => 1 + list.iter().map(of).max().unwrap_or_default(),
            _ => 0,
        }
    }
    1 + map.values().map(of).max().unwrap_or_default()
}

/// Z20: never negative, never over the cap.
pub fn z20_retry_after(data: &[u8]) {
    let Ok(value) = http::HeaderValue::from_bytes(data) else { return };
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::RETRY_AFTER, value);
    if let Some(wait) = rfc::retry_after(&headers, now()) {
        assert!(wait <= rfc::MAX_RETRY_AFTER);
    }
}

/// Z21: reading the URL gives back what was put in; protocol parameters are unique; extras override nothing.
pub fn z21_authorization_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut pieces = text.splitn(3, '\n');
    let (name, value, scope) = (
        pieces.next().unwrap_or_default(),
        pieces.next().unwrap_or_default(),
        pieces.next().unwrap_or_default(),
    );
    let manager =
        authflow_core::ConfiguredProvider::from_provider(provider(Quirks::default()), client(), Nowhere)
            .expect("fixed");
    let flow = authflow_core::Flow::builder(manager).http_client(Offline).build().expect("fixed");
    let binding = authflow_core::Binding::process();
    let begun = block_on(flow.begin(&binding).scope(scope).param(name, value).into_future());
    let Ok(authorization) = begun else { return };
    let url = url::Url::parse(authorization.url()).expect("a URL");
    assert_eq!(url.origin().ascii_serialization(), "https://as.example");
    assert!(url.fragment().is_none());
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: BTreeSet<_> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), pairs.len(), "a parameter occurs twice");
    let get = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(get("response_type"), Some("code"));
    assert_eq!(get("client_id"), Some("client-1"));
    assert_eq!(get("redirect_uri"), Some("https://app.example/cb"));
    assert_eq!(get("code_challenge_method"), Some("S256"));
    assert_eq!(get("state").map(str::len), Some(43));
    if !value.is_empty() {
        assert_eq!(get(name), Some(value));
    }
    assert_eq!(get("scope").unwrap_or_default(), scope);
}

/// Z22: what the server decodes is what was put in (RFC 6749 appendix B).
pub fn z22_basic_auth(data: &[u8]) {
    use base64::Engine as _;
    let text = String::from_utf8_lossy(data);
    let (id, secret) = text.split_once('\n').unwrap_or(("client-1", &text));
    if secret.is_empty() || id.is_empty() || !id.bytes().all(|b| (0x20..=0x7e).contains(&b)) {
        return;
    }
    let credentials = ClientCredentials::confidential(id, secret).redirect_uri("https://app.example/cb");
    let provider = provider(Quirks::default());
    let request = with_call(&provider, &credentials, rfc::token_request).expect("a request");
    let header = request.headers[http::header::AUTHORIZATION].to_str().expect("ASCII");
    let decoded =
        base64::engine::general_purpose::STANDARD.decode(&header["Basic ".len()..]).expect("base64");
    let decoded = String::from_utf8(decoded).expect("ASCII");
    let (sent_id, sent_secret) = decoded.split_once(':').expect("a colon");
    let decode = |text: &str| {
        url::form_urlencoded::parse(text.as_bytes())
            .next()
            .map(|(name, _)| name.into_owned())
            .unwrap_or_default()
    };
    assert_eq!((decode(sent_id).as_str(), decode(sent_secret).as_str()), (id, secret));
}

/// Takes every flow, and keeps none.
#[derive(Debug)]
struct Nowhere;

#[authflow_core::async_trait]
impl authflow_core::StateStore for Nowhere {
    async fn store_state(
        &self,
        _: &authflow_core::StateContext<'_>,
        _: &authflow_core::StateKey,
        flow: authflow_core::PendingFlow,
        _: Duration,
    ) -> Result<(), authflow_core::StoreError> {
        let bytes = flow.to_bytes();
        assert!(authflow_core::PendingFlow::from_bytes(&bytes).is_ok());
        Ok(())
    }

    async fn check_state(
        &self,
        _: &authflow_core::StateContext<'_>,
        _: &authflow_core::StateKey,
    ) -> Result<Option<authflow_core::PendingFlow>, authflow_core::StoreError> {
        Ok(None)
    }
}

/// Has one pending flow, and writes down what it is asked for.
#[derive(Debug)]
struct OnePending(Arc<Mutex<Vec<authflow_core::StateKey>>>);

#[authflow_core::async_trait]
impl authflow_core::StateStore for OnePending {
    async fn store_state(
        &self,
        _: &authflow_core::StateContext<'_>,
        _: &authflow_core::StateKey,
        _: authflow_core::PendingFlow,
        _: Duration,
    ) -> Result<(), authflow_core::StoreError> {
        Ok(())
    }

    async fn check_state(
        &self,
        cx: &authflow_core::StateContext<'_>,
        key: &authflow_core::StateKey,
    ) -> Result<Option<authflow_core::PendingFlow>, authflow_core::StoreError> {
        self.0.lock().expect("no other thread").push(*key);
        let binding = authflow_core::Binding::user("", "user-42");
        let own = authflow_core::StateKey::new("p", STATE, &binding).expect("it is bound to a user");
        Ok((*key == own).then(|| {
            let redirect_uri = "https://app.example/cb";
            let mut pending =
                authflow_core::PendingFlow::new("p", redirect_uri, cx.now, Duration::from_secs(600));
            pending.owner = Some(authflow_core::User::new("", "user-42"));
            pending.code_verifier = Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
            pending
        }))
    }
}

/// Answers every request with a token, and writes down what was sent.
#[derive(Debug)]
struct OneToken(Arc<Mutex<Vec<Vec<u8>>>>);

#[authflow_core::async_trait]
impl authflow_core::HttpClient for OneToken {
    async fn send(
        &self,
        request: authflow_core::HttpRequest,
        _: &authflow_core::Limits,
    ) -> Result<HttpResponse, authflow_core::HttpError> {
        self.0.lock().expect("no other thread").push(request.body.to_vec());
        let mut reply = vec![0];
        reply.extend_from_slice(br#"{"access_token":"AT","token_type":"Bearer"}"#);
        Ok(response(&reply))
    }
}

fn taken<T>(list: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *list.lock().expect("no other thread"))
}

/// Sends nothing.
#[derive(Debug)]
struct Offline;

#[authflow_core::async_trait]
impl authflow_core::HttpClient for Offline {
    async fn send(
        &self,
        _: authflow_core::HttpRequest,
        _: &authflow_core::Limits,
    ) -> Result<HttpResponse, authflow_core::HttpError> {
        Err(authflow_core::HttpError::new(
            authflow_core::HttpErrorKind::Transport,
            authflow_core::Delivery::NotSent,
        ))
    }
}

/// Nothing in `begin` and `finish` waits, so one poll is enough.
fn block_on<T>(future: impl std::future::Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("nothing here waits"),
    }
}
