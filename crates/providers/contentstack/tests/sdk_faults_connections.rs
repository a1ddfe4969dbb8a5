//! The faults of the vendor's SDKs that show where tokens are kept, refreshed and sent again: none is ours where
//! `Connections` does it. The numbers are those of `sdk_faults.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Clock as _, ConnectionKey, Connections, ErrorKind, EventKind, Expiry, Flow,
    HttpRequest, HttpResponse, MemoryTokenStore, Next, Removal, Revocation, User,
};
use authflow_testkit::ManualClock;
use http::Method;
use support::{LIST_REPLY, Scripted, builder, form, header, query, response, user};
use url::Url;

const EXPIRED: &str = r#"{"error_message":"The access token is invalid or expired","error_code":105}"#;
const HOUR: Duration = Duration::from_secs(3600);

/// What the API says to an access token.
type Api = fn(&str) -> (u16, &'static str);

/// A user's connection at a provider that numbers its tokens, the first of which is AT1.
struct World {
    http: Arc<Scripted>,
    clock: ManualClock,
    connections: Connections,
    key: ConnectionKey,
}

impl World {
    async fn new(api: Api) -> Self {
        Self::with(None, api).await
    }

    /// A provider that answers each refresh so.
    async fn with(refresh: Option<(u16, &'static str)>, api: Api) -> Self {
        let mut issued = 0;
        let http = Scripted::new(move |request| {
            if request.url.path() == "/token" {
                let refresh = refresh.filter(|_| form(request)["grant_type"] == "refresh_token");
                issued += 1;
                return Ok(refresh.map_or_else(|| tokens(issued), |(status, body)| response(status, body)));
            }
            let (status, body) = match (&request.method, request.url.path()) {
                _ if api(bearer(request)).0 != 200 => api(bearer(request)),
                (&Method::DELETE, _) => (200, "{}"),
                (_, path) if path.ends_with("/authorizations") => (200, LIST_REPLY),
                _ => api(bearer(request)),
            };
            Ok(response(status, body))
        });
        let clock = ManualClock::new();
        let flow = Flow::builder(builder().build().unwrap()).http_client(Arc::clone(&http));
        let flow = flow.clock(Arc::new(clock.clone())).build().unwrap();
        let connections = Connections::builder().flow(flow).token_store(MemoryTokenStore::new());
        let connections = connections.clock(Arc::new(clock.clone())).build().unwrap();
        let key = connect(&connections).await;
        Self { http, clock, connections, key }
    }

    async fn get(&self) -> authflow_core::Result<HttpResponse> {
        let url = Url::parse("https://api.contentstack.io/v3/stacks").unwrap();
        soon(async { self.connections.send(&self.key, HttpRequest::get(url)).await }).await
    }

    /// The access tokens that came to the API, in order.
    fn api(&self) -> Vec<String> {
        let sent = self.http.sent();
        let requests = sent.iter().filter(|request| request.url.path() == "/v3/stacks");
        requests.map(|request| bearer(request).to_owned()).collect()
    }

    /// The refresh tokens that were sent, in order.
    fn refreshes(&self) -> Vec<String> {
        let sent = self.http.sent();
        let token_requests = sent.iter().filter(|request| request.url.path() == "/token").skip(1);
        token_requests.map(|request| form(request)["refresh_token"].clone()).collect()
    }
}

fn tokens(number: u32) -> HttpResponse {
    let body = format!(
        r#"{{"access_token":"AT{number}","refresh_token":"RT{number}","expires_in":3600,"user_uid":"bltUSER","organization_uid":"bltORG"}}"#
    );
    response(200, &body)
}

fn bearer(request: &HttpRequest) -> &str {
    header(request, "authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
}

async fn connect(connections: &Connections) -> ConnectionKey {
    let authorization = connections.begin("contentstack", &user()).unwrap().await.unwrap();
    let callback = format!("code=c&location=NA&state={}", query(authorization.url())["state"]);
    let callback = AuthorizationResponse::from_query(&callback).unwrap();
    connections.complete("contentstack", &callback, &user()).await.unwrap().key
}

/// What is scripted needs no time: who is not done after so many turns waits for ever.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    let turns = async {
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = turns => panic!("it hangs"),
    }
}

fn all_but_the_first(token: &str) -> (u16, &'static str) {
    if token == "AT1" { (401, EXPIRED) } else { (200, "{}") }
}

#[tokio::test]
async fn sdk_py_03_a_401_is_answered_with_a_refresh_and_the_request_sent_again() {
    let world = World::new(all_but_the_first).await;
    assert_eq!(world.get().await.unwrap().status, 200);
    assert_eq!(world.api(), ["AT1", "AT2"]);
    assert_eq!(world.refreshes(), ["RT1"]);
    for request in world.http.sent().iter().filter(|request| request.method == Method::GET) {
        assert_eq!(header(request, "organization_uid"), Some("bltORG"));
    }
}

#[tokio::test]
async fn sdk_py_03_a_token_that_is_over_is_replaced_before_it_is_sent() {
    let world = World::new(|_| (200, "{}")).await;
    world.clock.advance(HOUR);
    assert_eq!(world.get().await.unwrap().status, 200);
    assert_eq!((world.api(), world.refreshes()), (vec!["AT2".to_owned()], vec!["RT1".to_owned()]));
}

#[tokio::test]
async fn sdk_py_04_two_401s_in_a_row_are_an_answer_and_nobody_hangs() {
    let world = World::new(|token| if token == "AT3" { (200, "{}") } else { (401, EXPIRED) }).await;
    for _ in 0..2 {
        assert_eq!(world.get().await.unwrap().status, 401);
    }
    assert_eq!(world.api(), ["AT1", "AT2", "AT2"]);
    assert_eq!(world.refreshes(), ["RT1"], "a new token that is refused too is not replaced at once");
    world.clock.advance(HOUR);
    assert_eq!(world.get().await.unwrap().status, 200);
}

#[tokio::test]
async fn sdk_py_06_without_a_connection_there_is_a_typed_error() {
    let world = World::new(|_| (200, "{}")).await;
    let nobody = ConnectionKey::new(&User::new("tenant", "nobody"), "contentstack");
    let error = world.connections.token(&nobody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
}

#[tokio::test]
async fn sdk_py_08_a_refresh_after_a_401_does_not_carry_the_refused_token() {
    let world = World::new(all_but_the_first).await;
    world.get().await.unwrap();
    let sent = world.http.sent();
    let refresh = sent
        .iter()
        .find(|request| request.url.path() == "/token" && form(request)["grant_type"] == "refresh_token");
    let refresh = refresh.unwrap();
    assert!(!refresh.headers.contains_key("authorization"));
    assert!(!String::from_utf8_lossy(&refresh.body).contains("AT1"));
}

#[tokio::test]
async fn sdk_py_09_a_reply_without_refresh_token_leaves_the_old_one_with_the_connection() {
    let world =
        World::with(Some((200, r#"{"access_token":"AT2","expires_in":3600}"#)), |_| (200, "{}")).await;
    for _ in 0..2 {
        world.clock.advance(HOUR);
        world.get().await.unwrap();
    }
    assert_eq!(world.refreshes(), ["RT1", "RT1"]);
}

#[tokio::test]
async fn sdk_py_10_a_disconnect_revokes_at_the_provider_and_keeps_no_token() {
    let world = World::new(|_| (200, "{}")).await;
    let gone = world.connections.disconnect(&world.key).await.unwrap();
    assert_eq!(gone.removal.unwrap(), Removal::Removed);
    assert_eq!(gone.revocation.unwrap().unwrap(), Revocation::Revoked);
    let sent = world.http.sent();
    let deletions: Vec<_> = sent.iter().filter(|request| request.method == Method::DELETE).collect();
    assert_eq!(deletions.len(), 1);
    assert_eq!(bearer(deletions[0]), "AT1");
    assert_eq!(world.connections.token(&world.key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(world.get().await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(world.api().is_empty());
}

#[tokio::test]
async fn sdk_py_13_who_is_refused_together_refreshes_once() {
    let world = World::new(all_but_the_first).await;
    let (one, two, three) = tokio::join!(world.get(), world.get(), world.get());
    for response in [one, two, three] {
        assert_eq!(response.unwrap().status, 200);
    }
    assert_eq!(world.api(), ["AT1", "AT1", "AT1", "AT2", "AT2", "AT2"]);
    assert_eq!(world.refreshes(), ["RT1"]);
}

#[tokio::test]
async fn sdk_py_13_who_is_refused_with_a_token_that_another_has_replaced_refreshes_nothing() {
    let world = World::new(all_but_the_first).await;
    let refused = world.connections.token(&world.key).await.unwrap();
    world.get().await.unwrap();
    let fresh = world.connections.token_refused(&refused).await.unwrap().unwrap();
    assert_eq!(fresh.expose(), "AT2");
    assert_eq!(world.refreshes(), ["RT1"]);
}

#[tokio::test]
async fn sdk_js_01_an_expired_token_costs_one_refresh_without_a_token() {
    let world = World::new(|_| (200, "{}")).await;
    world.clock.advance(HOUR);
    world.get().await.unwrap();
    let sent = world.http.sent();
    let paths: Vec<_> = sent.iter().map(|request| request.url.path()).collect();
    assert_eq!(paths, ["/token", "/token", "/v3/stacks"]);
    assert_eq!(bearer(&sent[1]), "");
}

#[tokio::test]
async fn sdk_js_03_whoever_needs_a_refresh_that_fails_is_told() {
    for (status, body, kind) in
        [(400, r#"{"error":"invalid_grant"}"#, ErrorKind::NeedsReconnect), (503, "", ErrorKind::Unavailable)]
    {
        let world = World::with(Some((status, body)), |_| (200, "{}")).await;
        world.clock.advance(HOUR);
        assert_eq!(world.get().await.unwrap_err().kind(), kind);
        assert!(world.api().is_empty(), "no request with a token that is over");
    }
}

#[tokio::test]
async fn sdk_java_01_a_token_that_the_clock_calls_good_is_replaced_once_it_is_refused() {
    let world = World::new(all_but_the_first).await;
    let expiry = world.connections.token(&world.key).await.unwrap().expiry();
    assert_eq!(expiry, Expiry::At(world.clock.now() + HOUR));
    assert_eq!(world.get().await.unwrap().status, 200);
    assert_eq!(world.api(), ["AT1", "AT2"], "the second time with another one");
}

#[tokio::test]
async fn sdk_java_04_who_listens_hears_of_each_change_and_of_the_end() {
    let world = World::new(all_but_the_first).await;
    let mut events = world.connections.subscribe();
    world.get().await.unwrap();
    world.connections.disconnect(&world.key).await.unwrap();
    for kind in [EventKind::Refreshed, EventKind::Disconnected] {
        let Some(Next::Event(event)) = soon(events.next()).await else { panic!("no event") };
        assert_eq!((event.kind, &event.key), (kind, &world.key));
    }
}

/// No fault, but what the JavaScript SDK does right.
#[tokio::test]
async fn a_401_about_a_second_factor_or_a_permission_refreshes_nothing() {
    let second_factor: Api = |_| (401, r#"{"error_message":"2FA","error_code":294}"#);
    let permission: Api = |_| (401, r#"{"error_message":"permission","error_code":161}"#);
    for api in [second_factor, permission] {
        let world = World::new(api).await;
        let answer = world.get().await.unwrap();
        assert_eq!(answer.status, 401);
        assert!(String::from_utf8_lossy(&answer.body).contains("error_code"), "the API's own answer");
        assert_eq!(world.api(), ["AT1"]);
        assert!(world.refreshes().is_empty());
    }
}

/// Contentstack's own revocation is three requests with the access token, which lives an hour.
#[tokio::test]
async fn sdk_py_10_the_end_of_a_connection_that_nobody_used_for_long_revokes() {
    let world = World::new(all_but_the_first).await;
    world.clock.advance(2 * HOUR);
    let disconnected = soon(world.connections.disconnect(&world.key)).await.unwrap();
    assert_eq!(disconnected.revocation.unwrap().unwrap(), Revocation::Revoked);
    assert_eq!(world.refreshes(), ["RT1"]);
    let sent = world.http.sent();
    let deleted = sent.iter().find(|request| request.method == Method::DELETE).unwrap();
    assert_eq!((bearer(deleted), sent.len()), ("AT2", 5));
}

#[tokio::test]
async fn the_end_of_a_connection_that_cannot_be_revoked_says_so() {
    let other = r#"{"access_token":"AT9","user_uid":"bltOTHER"}"#;
    for (refresh, api, status, sent) in [
        (Some((400, r#"{"error":"invalid_grant"}"#)), all_but_the_first as Api, 401, 3),
        (Some((200, other)), all_but_the_first, 401, 3),
        (None, |_| (401, EXPIRED), 401, 4),
        // Another access token would not help.
        (None, |_| (401, r#"{"error":"invalid_client"}"#), 401, 2),
        (None, |_| (403, r#"{"error":"forbidden"}"#), 403, 2),
    ] {
        let world = World::with(refresh, api).await;
        let disconnected = soon(world.connections.disconnect(&world.key)).await.unwrap();
        let error = disconnected.revocation.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Refused, status));
        assert_eq!(world.http.sent().len(), sent, "{error:?}");
    }
}

/// F7: the tokens of another user are nobody's here, and are not kept under this one's name.
#[tokio::test]
async fn f7_a_refresh_that_is_answered_for_another_user_is_not_kept() {
    let other = r#"{"access_token":"AT9","refresh_token":"RT9","expires_in":3600,"user_uid":"bltOTHER"}"#;
    let world = World::with(Some((200, other)), |_| (200, "{}")).await;
    world.clock.advance(HOUR);
    let error = world.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccountChanged);
    assert!(world.api().is_empty());
}
