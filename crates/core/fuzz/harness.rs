//! What the fuzz targets try, and what must hold. Plain `cargo test` replays the seeds through the same functions.

use std::collections::{BTreeMap, BTreeSet};
use std::future::IntoFuture as _;
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

/// Z1: Ok only with one code and no error; equal to a slow reader; no parameter is accepted twice.
pub fn z01_callback_query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(AuthorizationResponse::from_form(data).is_err() || data.iter().all(|b| *b != 0xff));
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

/// Z3: Ok means a token that a header can carry, and an expiry under the cap; the body is in no error.
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
                // What was read is what a second reading of the same bytes gives.
                let again = with_call(&provider, &client(), |cx| rfc::token_response(cx, &response))
                    .expect("as before");
                assert!(again.access_token.ct_eq(secret) && again.expiry == tokens.expiry);
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
    let again = TokenSet::from_exposed_bytes(written.expose()).expect("what was written can be read");
    assert_eq!(again.expiry, tokens.expiry);
    assert_eq!(again.received_at, tokens.received_at);
    assert_eq!(again.extra, tokens.extra);
    assert_eq!(again.to_exposed_bytes().expect("it was written before").expose(), written.expose());
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

/// Nothing in `begin` waits, so one poll is enough.
fn block_on<T>(future: impl std::future::Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("begin waits for nothing"),
    }
}
