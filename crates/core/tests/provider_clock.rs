//! X18: a provider whose clock is ten minutes ahead of ours, or behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod client_support;
mod connections_support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::{
    Binding, Clock as _, Connections, ErrorKind, Expiry, Flow, HttpClient, HttpError, HttpRequest,
    HttpResponse, Limits, Quirks, Recovery, async_trait,
};
use connections_support::{Fault, ManualClock, Rotates, SECOND, Server, World, callback};

const OFF: u64 = 600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skew {
    Ahead,
    Behind,
}

/// The server with a clock of its own, which it tells in every way that a reply knows.
#[derive(Debug)]
struct Skewed {
    server: Arc<Server>,
    clock: ManualClock,
    skew: Skew,
    /// Adds members to a token reply, from the server's own time in seconds since 1970.
    tells: fn(u64, &mut serde_json::Map<String, serde_json::Value>),
    /// `Retry-After`, as a date so many seconds from now, by the server's clock.
    retry_after: Mutex<Option<u64>>,
}

impl Skewed {
    fn now(&self) -> SystemTime {
        let off = Duration::from_secs(OFF);
        match self.skew {
            Skew::Ahead => self.clock.now() + off,
            Skew::Behind => self.clock.now() - off,
        }
    }
}

#[async_trait]
impl HttpClient for Skewed {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let is_token = request.url.path() == "/token";
        let mut answer = self.server.send(request, limits).await?;
        let now = self.now();
        let date = |time| httpdate::fmt_http_date(time).parse().unwrap();
        answer.headers.insert("date", date(now));
        if let Some(seconds) = self.retry_after.lock().unwrap().take() {
            answer.headers.insert("retry-after", date(now + Duration::from_secs(seconds)));
        }
        if is_token && answer.status.is_success() {
            let mut reply: serde_json::Map<_, _> = serde_json::from_slice(&answer.body).unwrap();
            let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            (self.tells)(now, &mut reply);
            answer.body = serde_json::to_vec(&reply).unwrap();
        }
        Ok(answer)
    }
}

type Tells = fn(u64, &mut serde_json::Map<String, serde_json::Value>);

fn client(world: &World, skew: Skew, tells: Tells) -> Arc<Skewed> {
    let (server, clock) = (Arc::clone(&world.server), world.clock.clone());
    Arc::new(Skewed { server, clock, skew, tells, retry_after: Mutex::default() })
}

fn flow(world: &World, skew: Skew, quirks: &str, tells: Tells) -> Flow {
    let quirks: Quirks = serde_json::from_str(quirks).unwrap();
    client_support::flow(world, world.provider("p").quirks(quirks), client(world, skew, tells))
}

/// What a reply says of the access token's end, in seconds from now by our clock.
async fn left(world: &World, flow: &Flow) -> u64 {
    let user = Binding::user("tenant", "user-42");
    let query = callback(flow.begin(&user).await.unwrap().url());
    let response = authflow_core::AuthorizationResponse::from_query(&query).unwrap();
    let tokens = flow.finish(&response, &user).await.unwrap().tokens;
    assert_eq!(tokens.received_at, world.clock.now(), "by our clock");
    match tokens.expiry {
        Expiry::At(at) => at.duration_since(world.clock.now()).unwrap_or_default().as_secs(),
        other => panic!("{other:?}"),
    }
}

const SKEWS: [Skew; 2] = [Skew::Ahead, Skew::Behind];

/// RFC 6749 §5.1: seconds from the reply on. No other time that the reply holds has a say.
#[tokio::test]
async fn x18_expires_in_counts_by_our_clock_whatever_the_providers_says() {
    let world = World::new(Rotates::Strictly);
    for skew in SKEWS {
        let tells: Tells = |now, reply| {
            reply.insert("issued_at".into(), now.into());
            reply.insert("expires_at".into(), (now + 3600).into());
        };
        assert_eq!(left(&world, &flow(&world, skew, "{}", tells)).await, 3600, "{skew:?}");
    }
}

/// From a time of issue a token's life gets shorter, never longer.
#[tokio::test]
async fn x18_a_time_of_issue_makes_no_token_live_longer() {
    let world = World::new(Rotates::Strictly);
    let quirks = r#"{"token_response": {"expiry": {"issued_at": "/issued_at"}}}"#;
    for (skew, expected) in [(Skew::Ahead, 3600), (Skew::Behind, 3600 - OFF)] {
        let tells: Tells = |now, reply| drop(reply.insert("issued_at".into(), now.into()));
        assert_eq!(left(&world, &flow(&world, skew, quirks, tells)).await, expected, "{skew:?}");
    }
}

/// Where the provider tells a point in time and nothing else, its clock is all there is.
#[tokio::test]
async fn x18_a_point_in_time_is_taken_as_it_is_told() {
    let world = World::new(Rotates::Strictly);
    let kinds: [(&str, Tells); 3] = [
        ("epoch_s", |now, reply| drop(reply.insert("expires_at".into(), (now + 3600).into()))),
        ("epoch_ms", |now, reply| drop(reply.insert("expires_at".into(), ((now + 3600) * 1000).into()))),
        // The manual clock begins on 2027-01-15 at 08:00; this is an hour later, by the server's clock.
        ("rfc3339", |now, reply| {
            let time = if now > 1_800_000_000 { "2027-01-15T09:10:00Z" } else { "2027-01-15T08:50:00Z" };
            reply.insert("expires_at".into(), time.into());
        }),
    ];
    for (kind, tells) in kinds {
        let quirks =
            format!(r#"{{"token_response": {{"expiry": {{"kind": "{kind}", "pointer": "/expires_at"}}}}}}"#);
        for (skew, expected) in [(Skew::Ahead, 3600 + OFF), (Skew::Behind, 3600 - OFF)] {
            assert_eq!(left(&world, &flow(&world, skew, &quirks, tells)).await, expected, "{kind} {skew:?}");
        }
    }
}

fn process(world: &World, flow: Flow) -> Connections {
    world.builder_of(flow).build().unwrap()
}

#[tokio::test]
async fn x18_a_connection_is_refreshed_at_the_end_of_its_token_by_our_clock() {
    for skew in SKEWS {
        let world = World::new(Rotates::Strictly);
        let connections = process(&world, flow(&world, skew, "{}", |_, _| ()));
        let key = world.connect(&connections).await;
        for round in 1..4 {
            world.clock.advance(3500 * SECOND);
            assert_eq!(connections.token(&key).await.unwrap().expose(), format!("AT-{round}"), "{skew:?}");
            world.clock.settle().await;
            assert_eq!(world.server.refreshes(), round - 1, "{skew:?}");
            world.clock.advance(100 * SECOND);
            let next = format!("AT-{}", round + 1);
            assert_eq!(connections.token(&key).await.unwrap().expose(), next, "{skew:?}");
            assert_eq!(world.server.refreshes(), round, "{skew:?}");
        }
        assert_eq!(world.server.most_uses(), 1, "{skew:?}");
    }
}

const POINT: &str = r#"{"token_response": {"expiry": {"kind": "epoch_s", "pointer": "/expires_at"}}}"#;

/// A token that is over before we think so is refused by the API: that is how it is found out.
#[tokio::test]
async fn x18_a_token_that_ends_too_early_is_replaced_when_the_api_refuses_it() {
    let world = World::new(Rotates::Strictly);
    let tells: Tells = |now, reply| drop(reply.insert("expires_at".into(), (now + 3600).into()));
    let connections = process(&world, flow(&world, Skew::Ahead, POINT, tells));
    let key = world.connect(&connections).await;
    world.clock.advance(3700 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1", "by our clock it is good");
    world.server.api_answers(401, r#"Bearer error="invalid_token""#);
    let request = HttpRequest::get("https://api.example/me".parse().unwrap());
    assert_eq!(connections.send(&key, request).await.unwrap().status, http::StatusCode::OK);
    assert_eq!((world.server.api(), world.server.refreshes()), (vec!["AT-1".into(), "AT-2".into()], 1));
}

/// A token of five minutes, by a clock that is ten behind, is over when it comes. It is given out all the same, and no call
/// sends more than one request.
#[tokio::test]
async fn x18_i6_a_token_that_is_over_when_it_comes_is_given_out_and_makes_no_loop() {
    let world = World::new(Rotates::Strictly);
    let tells: Tells = |now, reply| drop(reply.insert("expires_at".into(), (now + 300).into()));
    let connections = process(&world, flow(&world, Skew::Behind, POINT, tells));
    let key = world.connect(&connections).await;
    for call in 1..10 {
        let token = connections.token(&key).await.unwrap();
        assert_eq!(token.expose(), format!("AT-{}", call + 1));
        assert!(world.server.takes(token.expose()));
        world.clock.settle().await;
        assert_eq!((world.server.refreshes(), world.server.most_uses()), (call, 1));
    }
}

/// RFC 9110 §10.2.3: a date. Ahead, it is waited for longer, and no longer than is believed; behind, our own cool-down holds.
#[tokio::test]
async fn x18_x13_a_retry_after_by_another_clock_is_bounded_and_is_no_hot_loop() {
    for (skew, waits) in [(Skew::Ahead, 120 + OFF), (Skew::Behind, 0)] {
        let world = World::new(Rotates::Strictly);
        let client = client(&world, skew, |_, _| ());
        let connections =
            process(&world, client_support::flow(&world, world.provider("p"), Arc::clone(&client)));
        let key = world.connect(&connections).await;
        world.expire();
        world.server.fault(Fault::Answer(503, &[], "{}"));
        *client.retry_after.lock().unwrap() = Some(120);
        let error = connections.token(&key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{skew:?}");
        assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{skew:?}");
        for _ in 0..100 {
            connections.token(&key).await.unwrap_err();
        }
        assert_eq!(world.server.refreshes(), 1, "{skew:?}");
        world.clock.advance(Duration::from_secs(waits.max(1)));
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2", "{skew:?}");
    }
}
