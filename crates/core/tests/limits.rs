//! What a request, an answer and a callback may have at most, to the byte; and how long a flow lasts, to the second.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::{
    AuthorizationResponse, Binding, ConfiguredProvider, ErrorKind, Flow, HttpClient, HttpError, HttpRequest,
    HttpResponse, Limits, MemoryStateStore, PendingFlow, Secret, StateContext, StateKey, StateStore,
    StoreError, StoreErrorKind, async_trait, check_return_to,
};
use common::{Rig, callback, credentials, provider, user};

/// Answers every request with the same body, and remembers what it was allowed.
#[derive(Debug)]
struct Allowed {
    body: String,
    limits: Mutex<Vec<Limits>>,
}

impl Allowed {
    fn answering(length: usize) -> Arc<Self> {
        let frame = r#"{"access_token":""}"#.len();
        let body = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(length - frame));
        Arc::new(Self { body, limits: Mutex::default() })
    }
}

#[async_trait]
impl HttpClient for Allowed {
    async fn send(&self, _: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        self.limits.lock().unwrap().push(limits.clone());
        Ok(HttpResponse::new(http::StatusCode::OK, self.body.as_str()))
    }
}

async fn run(http: &Arc<Allowed>, limits: &Limits) -> authflow_core::Result<authflow_core::Completed> {
    let store = MemoryStateStore::default();
    let manager =
        ConfiguredProvider::from_provider(provider("p").build().unwrap(), credentials(), store).unwrap();
    let flow = Flow::builder(manager).http_client(Arc::clone(http)).limits(limits.clone()).build().unwrap();
    let authorization = flow.begin(&user()).await.unwrap();
    let query = callback(authorization.url());
    flow.finish(&AuthorizationResponse::from_query(&query).unwrap(), &user()).await
}

/// Less than the defaults, and more.
#[tokio::test]
async fn c1_the_flows_limits_hold_for_its_requests() {
    for (total, connect, max_body) in [(7, 3, 1000), (70, 20, 2 << 20)] {
        let limits = Limits::default()
            .with_total(Duration::from_secs(total))
            .with_connect(Duration::from_secs(connect))
            .with_max_body(max_body);
        let seconds = (limits.total.as_secs(), limits.connect.as_secs());
        assert_eq!((seconds, limits.max_body), ((total, connect), max_body));
        let http = Allowed::answering(max_body);
        run(&http, &limits).await.expect("as long as it may be");
        assert_eq!(http.limits.lock().unwrap().as_slice(), std::slice::from_ref(&limits));
        let error = run(&Allowed::answering(max_body + 1), &limits).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    }
}

#[test]
fn b12_a_callback_has_64_kib_at_most() {
    let query = format!("code={}", "x".repeat(64 * 1024 - 5));
    assert!(AuthorizationResponse::from_query(&query).is_ok());
    let error = AuthorizationResponse::from_query(&format!("{query}x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CallbackMalformed);
}

#[test]
fn b17_a_return_to_has_2048_bytes_at_most() {
    let path = format!("/{}", "a".repeat(2047));
    assert!(check_return_to(&path).is_ok());
    assert!(check_return_to(&format!("{path}a")).is_err());
}

#[tokio::test]
async fn a1_a_browsers_secret_has_22_characters_at_least() {
    let rig = Rig::new();
    let begin = |length: usize| rig.flow.begin(&Binding::browser(Secret::new("x".repeat(length))));
    assert!(begin(22).await.is_ok());
    assert_eq!(begin(21).await.unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a4_a_flow_lasts_to_the_second() {
    let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let ttl = Duration::from_secs(600);
    let second = Duration::from_secs(1);
    let flow = PendingFlow::new("p", "https://app.example/callback", begun, ttl);
    for (now, is_expired) in [
        (begun, false),
        (begun + ttl - second, false),
        (begun + ttl, true),
        (begun - ttl, false),
        (begun - ttl - second, true),
    ] {
        assert_eq!(flow.is_expired(now), is_expired, "{now:?}");
    }
}

#[tokio::test]
async fn a4_it_is_told_until_when_the_callback_is_accepted() {
    let rig = Rig::new();
    let authorization = rig.flow.begin(&user()).await.unwrap();
    let begun = authflow_core::Clock::now(&*rig.clock);
    assert_eq!(authorization.expires_at(), begun + Duration::from_secs(600));
}

#[test]
fn a_flow_lasts_a_second_at_least_and_a_day_at_most() {
    let build = |ttl| {
        let store = MemoryStateStore::default();
        let manager =
            ConfiguredProvider::from_provider(provider("p").build().unwrap(), credentials(), store).unwrap();
        Flow::builder(manager).http_client(Allowed::answering(100)).state_ttl(ttl).build()
    };
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let short = Duration::from_millis(1);
    for (ttl, fits) in [(second, true), (day, true), (second - short, false), (day + short, false)] {
        assert_eq!(build(ttl).is_ok(), fits, "{ttl:?}");
    }
    assert_eq!(build(day).unwrap().state_ttl(), day);
}

/// Never has room.
#[derive(Debug, Default)]
struct Full(Mutex<Vec<StateKey>>);

#[async_trait]
impl StateStore for Full {
    async fn store_state(
        &self,
        _: &StateContext<'_>,
        key: &StateKey,
        _: PendingFlow,
        _: Duration,
    ) -> Result<(), StoreError> {
        let mut keys = self.0.lock().unwrap();
        keys.push(*key);
        assert!(keys.len() < 10, "begin does not try for ever");
        Err(StoreError::new(StoreErrorKind::Conflict))
    }

    async fn check_state(
        &self,
        _: &StateContext<'_>,
        _: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        Ok(None)
    }
}

#[tokio::test]
async fn begin_tries_three_states_at_most() {
    let store = Arc::new(Full::default());
    let unused = Arc::new(MemoryStateStore::default());
    let rig = Rig::with_store(provider("p").build().unwrap(), credentials(), Arc::clone(&store), unused);
    let error = rig.flow.begin(&user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreConflict);
    assert_eq!(store.0.lock().unwrap().len(), 3);
}

/// The allocator of the C library has pieces of up to 1,032 bytes at hand for each thread. A future that does not fit costs
/// more than the work it does.
#[test]
fn the_futures_of_a_flow_are_small() {
    use std::future::IntoFuture as _;

    let (rig, user) = (Rig::new(), Binding::user("", "user-42"));
    let response = AuthorizationResponse::from_query("code=c&state=s").unwrap();
    let begin = size_of_val(&*rig.flow.begin(&user).into_future());
    let finish = size_of_val(&*rig.flow.finish(&response, &user).into_future());
    // One that is watched is held twice: as it is handed over, and as it runs.
    let most = if cfg!(any(feature = "metrics", feature = "tracing")) { 2 * 1032 } else { 1032 };
    assert!(begin <= most && finish <= most, "begin {begin}, finish {finish}");
}
