//! X19: token replies in which bytes are flipped, that are cut off, or whose members have another type.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod client_support;
mod common;
mod connections_support;

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::{
    AuthorizationResponse, Binding, Clock as _, ErrorKind, Expiry, Health, HttpClient, HttpError,
    HttpRequest, HttpResponse, Limits, Result, Scopes, Secret, TokenSet, async_trait,
};
use common::Rig;
use connections_support::{Fault, Rotates, SECOND, Server, World, user};

const BODY: &str = r#"{"access_token":"access-new","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-new","scope":"read write"}"#;

fn before() -> TokenSet {
    let mut tokens = TokenSet::new("access-old", SystemTime::UNIX_EPOCH + Duration::from_secs(1_799_000_000));
    tokens.refresh_token = Some(Secret::new("refresh-old"));
    tokens.scopes = Scopes::new(["read", "write"]);
    tokens
}

async fn read(rig: &Rig, body: impl Into<Vec<u8>>) -> Result<TokenSet> {
    let json = "application/json".parse().unwrap();
    let response = HttpResponse::new(http::StatusCode::OK, body);
    rig.http.push(Ok(response.with_header(http::header::CONTENT_TYPE, json)));
    let read = rig.flow.refresh(&before()).await;
    if let Err(error) = &read {
        let shown = format!("{error} {error:?}");
        assert!(matches!(error.kind(), ErrorKind::InvalidResponse | ErrorKind::Refused), "{shown}");
        for secret in ["access-new", "refresh-new", "access-old", "refresh-old", common::SECRET] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    read
}

/// Where in [`BODY`] a value stands.
fn place(value: &str) -> Range<usize> {
    let from = BODY.find(value).unwrap();
    from..from + value.len()
}

/// The text of `body` at `place`, as it came: so may a token read.
fn own_text(body: &[u8], place: &Range<usize>) -> String {
    String::from_utf8_lossy(&body[place.clone()]).into_owned()
}

/// What changed outside of a value can take it away, and cannot change it.
fn check(tokens: &TokenSet, body: &[u8], at: usize, now: SystemTime) {
    let what = String::from_utf8_lossy(body);
    let (access, refresh, life) = (place("access-new"), place("refresh-new"), place("3600"));
    assert!(tokens.access_token.ct_eq(&own_text(body, &access)), "{what}");
    let refresh_token = tokens.refresh_token.as_ref().expect("there was one, and there is").expose();
    let is_kept = refresh_token == "refresh-old" && !refresh.contains(&at);
    assert!(is_kept || refresh_token == own_text(body, &refresh), "{what}");
    match tokens.expiry {
        Expiry::At(end) if life.contains(&at) => assert!(end <= now + 9999 * SECOND, "{what}"),
        Expiry::At(end) => assert_eq!(end, now + 3600 * SECOND, "{what}"),
        Expiry::Unknown => assert!(!access.contains(&at) && !refresh.contains(&at), "{what}"),
        Expiry::Never => panic!("nothing says so: {what}"),
    }
    assert!(!tokens.is_expired(now) || life.contains(&at), "{what}");
}

#[tokio::test]
async fn x19_no_flipped_bit_changes_what_stands_elsewhere() {
    let rig = Rig::new();
    let now = rig.clock.now();
    check(&read(&rig, BODY).await.unwrap(), BODY.as_bytes(), BODY.len(), now);
    let mut good = 0;
    for at in 0..BODY.len() {
        for flip in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= flip;
            if let Ok(tokens) = read(&rig, body.clone()).await {
                check(&tokens, &body, at, now);
                good += 1;
            }
        }
    }
    assert!((100..BODY.len() * 9).contains(&good), "{good} were readable");
}

#[tokio::test]
async fn x19_no_part_of_a_reply_is_a_reply() {
    let rig = Rig::new();
    for length in 0..BODY.len() {
        let error = read(&rig, &BODY[..length]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{length}");
        // Nor is one whose end comes twice, or whose middle is gone.
        let (head, tail) = BODY.split_at(length);
        let doubled = format!("{BODY}{}", if tail.trim().is_empty() { "}" } else { tail });
        assert!(read(&rig, doubled).await.is_err(), "{length}");
        if let (true, Some(tail)) = (length > 0, tail.get(1..)) {
            if let Ok(tokens) = read(&rig, format!("{head}{tail}")).await {
                let text = tokens.access_token.expose();
                assert!(text == "access-new" || place("access-new").contains(&length), "{head}{tail}");
            }
        }
    }
}

const SHAPES: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "1.5",
    "1e400",
    "18446744073709551616",
    r#""""#,
    r#"" ""#,
    r#""a b""#,
    r#""a\u0000""#,
    r#""a\r\nX: y""#,
    r#""\ud800""#,
    r#""\u00e9""#,
    "[]",
    r#"["access-new"]"#,
    r#"[["access-new"]]"#,
    "{}",
    r#"{"access_token":"access-new"}"#,
    r#"{"expires_in":3600}"#,
    "[null,null]",
    r#""x","x":"x""#,
];

#[tokio::test]
async fn x19_no_type_is_taken_for_another() {
    let rig = Rig::new();
    let now = rig.clock.now();
    for shape in SHAPES {
        let with = |value: &str| BODY.replacen(value, shape, 1);
        // Of these shapes none is a token; what is no text is none, and what no header can carry is an error.
        assert!(read(&rig, with(r#""access-new""#)).await.is_err() || shape.starts_with(r#""x""#), "{shape}");
        if let Ok(tokens) = read(&rig, with(r#""refresh-new""#)).await {
            let text = tokens.refresh_token.unwrap().expose().to_owned();
            assert!(text == "refresh-old" || (shape.starts_with(r#""x""#) && text == "x"), "{shape}");
            assert_eq!(tokens.expiry, Expiry::At(now + 3600 * SECOND), "{shape}");
        }
        for value in ["3600", r#""Bearer""#, r#""read write""#] {
            // What is beside the tokens never costs a user the connection, unless it is no JSON, or not one reading.
            let tokens = read(&rig, with(value)).await.unwrap();
            assert!(tokens.access_token.ct_eq("access-new"), "{value} {shape}");
            assert!(tokens.refresh_token.unwrap().ct_eq("refresh-new"), "{value} {shape}");
            assert_ne!(tokens.expiry, Expiry::Never, "{value} {shape}");
        }
        // Neither is any of them a reply, nor a reply in a list.
        if !shape.contains(r#"{"access_token""#) {
            assert!(read(&rig, shape).await.is_err(), "{shape}");
        }
        assert!(read(&rig, format!("[{shape}]")).await.is_err(), "{shape}");
    }
}

/// The server, whose next refresh is answered with another body.
#[derive(Debug)]
struct Mutating {
    server: Arc<Server>,
    body: Mutex<Option<Vec<u8>>>,
}

#[async_trait]
impl HttpClient for Mutating {
    async fn send(
        &self,
        request: HttpRequest,
        limits: &Limits,
    ) -> std::result::Result<HttpResponse, HttpError> {
        let body = self.body.lock().unwrap().take();
        let answer = self.server.send(request, limits).await;
        let Some(body) = body else { return answer };
        let json = "application/json".parse().unwrap();
        Ok(HttpResponse::new(http::StatusCode::OK, body).with_header(http::header::CONTENT_TYPE, json))
    }
}

/// A connection whose refresh is answered with `body`; `is_done` if the provider did what it was asked for.
async fn after_a_bad_reply(rotates: Rotates, body: &[u8], is_done: bool) {
    let what = format!("{rotates:?}, done: {is_done}, {}", String::from_utf8_lossy(body));
    let (world, _, key) = World::connected(rotates).await;
    let client = Arc::new(Mutating { server: Arc::clone(&world.server), body: Mutex::default() });
    let connections = client_support::process(&world, Arc::clone(&client));
    world.expire();
    if !is_done {
        world.server.fault(Fault::LoseRequest);
    }
    *client.body.lock().unwrap() = Some(body.to_vec());
    let asked = connections.token(&key).await;
    if rotates != Rotates::Strictly {
        // What may be sent twice is, at once.
        assert_eq!(asked.unwrap().expose(), if is_done { "AT-3" } else { "AT-2" }, "{what}");
        assert_eq!(world.server.refreshes(), 2, "{what}");
        return;
    }
    let error = asked.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::InvalidResponse, Some("p")), "{what}");
    assert_eq!(world.server.refreshes(), 1, "{what}");
    let listed = connections.list(&user()).await.unwrap();
    assert_eq!((listed.connections.len(), listed.unreadable), (1, 0), "{what}");
    assert_eq!(listed.connections[0].health, Health::InDoubt, "{what}");
    world.clock.advance(5 * SECOND);
    let later = world.process().token(&key).await;
    match is_done {
        true => assert_eq!(later.unwrap_err().kind(), ErrorKind::RotationLost, "{what}"),
        false => assert_eq!(later.unwrap().expose(), "AT-2", "{what}"),
    }
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (2, 1), "{what}");
}

/// The code is used up and the user begins again; what they had is as it was.
#[tokio::test]
async fn x19_i5_a_bad_reply_to_a_code_leaves_the_connection_of_before() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    let client = Arc::new(Mutating { server: Arc::clone(&world.server), body: Mutex::default() });
    let connections = client_support::process(&world, Arc::clone(&client));
    let binding = Binding::user("tenant", "user-42");
    for length in (0..BODY.len()).step_by(5) {
        let query = world.callback(&connections, &binding).await;
        *client.body.lock().unwrap() = Some(BODY.as_bytes()[..length].to_vec());
        let response = AuthorizationResponse::from_query(&query).unwrap();
        let error = connections.complete("p", &response, &binding).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{length}");
        let kept = world.process().token(&key).await.unwrap();
        assert_eq!((kept.expose(), kept.version().counter()), ("AT-1", 1), "{length}");
    }
    world.expire();
    assert!(world.server.takes(connections.token(&key).await.unwrap().expose()));
}

#[tokio::test]
async fn x19_i5_no_reply_that_cannot_be_read_loses_a_connection() {
    let mut bodies: Vec<Vec<u8>> = SHAPES
        .iter()
        .filter(|shape| !shape.starts_with(r#""x""#))
        .map(|shape| BODY.replacen(r#""access-new""#, shape, 1).into_bytes())
        .collect();
    bodies.extend((0..BODY.len()).step_by(9).map(|length| BODY.as_bytes()[..length].to_vec()));
    bodies.extend((0..BODY.len()).filter(|at| !BODY.as_bytes()[*at].is_ascii_alphanumeric()).map(|at| {
        let mut body = BODY.as_bytes().to_vec();
        body[at] ^= 0xff;
        body
    }));
    for rotates in [Rotates::Strictly, Rotates::WithGrace, Rotates::Never] {
        for is_done in [true, false] {
            for body in &bodies {
                after_a_bad_reply(rotates, body, is_done).await;
            }
        }
    }
}
