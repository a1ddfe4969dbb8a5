//! API requests with a connection's token.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::{Arc, Mutex};

use authflow_core::http::{HeaderMap, Method, StatusCode};
use authflow_core::quirks::{RefreshInput, TokenPlacement};
use authflow_core::url::Url;
use authflow_core::{
    AuthorizationResponse, BearerChallenge, Binding, ClientCredentials, ConfiguredProvider, Connections,
    ErrorKind, FlowManager, HttpRequest, HttpResponse, MemoryTokenStore, Operation, Provider, StateStore,
};
use connections_support::{REDIRECT_URI, Rotates, SECOND, World};

const INVALID_TOKEN: &str = r#"Bearer realm="api", error="invalid_token""#;

fn get() -> HttpRequest {
    HttpRequest::get(Url::parse("https://api.example/me").unwrap())
}

fn post() -> HttpRequest {
    HttpRequest::new(Method::POST, Url::parse("https://api.example/posts").unwrap()).with_body("text")
}

#[tokio::test]
async fn a_request_carries_the_token() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let response = connections.send(&key, get()).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(world.server.api(), ["AT-1"]);
}

#[tokio::test]
async fn a_request_goes_to_the_providers_api_only() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    for url in ["https://api.example.evil.example/", "http://api.example/", "https://evil.example/"] {
        let request = HttpRequest::get(Url::parse(url).unwrap());
        let error = connections.send(&key, request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignOrigin, "{url}");
    }
    assert!(world.server.api().is_empty());
}

#[tokio::test]
async fn f22_a_refused_token_is_replaced_and_the_request_sent_once_more() {
    for challenge in ["", INVALID_TOKEN, "Bearer", r#"Basic realm="x""#] {
        let (world, connections, key) = World::connected(Rotates::Strictly).await;
        world.server.api_answers(401, challenge);
        let response = connections.send(&key, get()).await.unwrap();
        assert_eq!(response.status, 200, "{challenge}");
        assert_eq!(world.server.api(), ["AT-1", "AT-2"]);
        assert_eq!(world.server.refreshes(), 1);
    }
}

#[tokio::test]
async fn f22_a_hundred_refusals_make_one_refresh() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.hold();
    for _ in 0..100 {
        world.server.api_answers(401, INVALID_TOKEN);
    }
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (connections, key) = (connections.clone(), key.clone());
            tokio::spawn(async move { connections.send(&key, get()).await.unwrap().status })
        })
        .collect();
    world.until(|| world.server.api().len() == 100).await;
    world.server.let_go();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(world.server.refreshes(), 1);
}

/// MCP TypeScript SDK 7146eede0: no loop.
#[tokio::test]
async fn f22_an_api_that_refuses_every_token_is_asked_twice_and_refreshed_for_once() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    for _ in 0..10 {
        world.server.api_answers(401, INVALID_TOKEN);
    }
    for _ in 0..5 {
        assert_eq!(connections.send(&key, get()).await.unwrap().status, 401);
    }
    assert_eq!(world.server.api(), ["AT-1", "AT-2", "AT-2", "AT-2", "AT-2", "AT-2"]);
    assert_eq!(world.server.refreshes(), 1);
    // After a minute it may have been something else.
    for (seconds, refreshes) in [(59, 1), (1, 2)] {
        world.clock.advance(seconds * SECOND);
        assert_eq!(connections.send(&key, get()).await.unwrap().status, 401);
        assert_eq!(world.server.refreshes(), refreshes);
    }
}

/// RFC 6750 §3.1.
#[tokio::test]
async fn other_refusals_are_not_answered_with_a_refresh() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let answers = [
        (401, r#"Bearer error="insufficient_scope", scope="admin""#),
        (401, r#"Bearer error="invalid_request""#),
        (403, INVALID_TOKEN),
        (500, ""),
    ];
    for (status, challenge) in answers {
        world.server.api_answers(status, challenge);
        let response = connections.send(&key, get()).await.unwrap();
        assert_eq!(response.status, status);
        assert!(!BearerChallenge::refuses_token(response.status, &response.headers));
        if status == 401 {
            assert!(BearerChallenge::of(&response.headers).unwrap().error.is_some());
        }
    }
    assert_eq!(world.server.refreshes(), 0);
}

/// A provider whose API says in the body what a 401 is about.
#[derive(Debug)]
struct Reads {
    provider: ConfiguredProvider,
    is_about_the_token: bool,
    read: Mutex<Vec<Vec<u8>>>,
}

impl FlowManager for Reads {
    fn provider(&self) -> &Provider {
        self.provider.provider()
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.provider.credentials()
    }

    fn state_store(&self) -> &dyn StateStore {
        self.provider.state_store()
    }

    fn refuses_token(&self, response: &HttpResponse) -> bool {
        self.read.lock().unwrap().push(response.body.clone());
        self.is_about_the_token
    }
}

#[tokio::test]
async fn a_provider_may_say_that_a_401_is_not_about_the_token() {
    let not_about_it = r#"Bearer error="insufficient_scope""#;
    for (status, challenge, is_about_the_token, asked, refreshes) in [
        (401, "", true, 1, 1),
        (401, "", false, 1, 0),
        (401, INVALID_TOKEN, false, 1, 0),
        (401, not_about_it, true, 0, 0),
        (403, "", true, 0, 0),
    ] {
        let world = World::new(Rotates::Strictly);
        let provider = world.manager(world.provider("p"), REDIRECT_URI, Arc::clone(&world.states));
        let manager = Arc::new(Reads { provider, is_about_the_token, read: Mutex::default() });
        let connections = world.process_over(Arc::clone(&manager));
        let key = world.connect(&connections).await;
        world.server.api_answers(status, challenge);
        let response = connections.send(&key, get()).await.unwrap();
        assert_eq!(response.status, if refreshes == 0 { status } else { 200 }, "{challenge}");
        assert_eq!(world.server.refreshes(), refreshes, "{challenge}");
        assert_eq!(*manager.read.lock().unwrap(), vec![b"{}"; asked], "with the body");
    }
}

#[tokio::test]
async fn f23_a_body_is_sent_again_only_where_the_caller_says_so() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(connections.send(&key, post()).await.unwrap().status, 401);
    assert_eq!(world.server.api(), ["AT-1"]);
    assert_eq!(connections.send(&key, post()).await.unwrap().status, 200, "with the token that came of it");
    assert_eq!(world.server.api(), ["AT-1", "AT-2"]);
    world.clock.advance(61 * SECOND);
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(connections.send(&key, post()).replayable().await.unwrap().status, 200);
    assert_eq!(world.server.api()[2..], ["AT-2", "AT-3"]);
}

/// Two processes are refused with one token: the second finds the first one's refresh.
#[tokio::test]
async fn f22_another_processes_refresh_is_adopted() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    let other = world.process();
    assert_eq!(other.token(&key).await.unwrap().expose(), "AT-1");
    world.server.api_answers(401, INVALID_TOKEN);
    one.send(&key, get()).await.unwrap();
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(other.send(&key, get()).await.unwrap().status, 200);
    assert_eq!(world.server.refreshes(), 1);
    assert_eq!(world.server.api(), ["AT-1", "AT-2", "AT-1", "AT-2"]);
}

/// What is begun early, and left to another process, lands with the token that was refused: that is no answer to a refusal.
#[tokio::test]
async fn f22_a_refusal_is_answered_by_a_refresh_and_not_by_a_look() {
    let (world, two, key) = World::connected(Rotates::Strictly).await;
    let one = world.near_its_end(&key).await;
    // The other process has the lease, and new tokens to save.
    world.store.saves_open.send_replace(false);
    assert_eq!(two.token(&key).await.unwrap().expose(), "AT-1");
    world.until(|| world.server.refreshes() == 1).await;
    world.store.hold("load");
    assert_eq!(one.token(&key).await.unwrap().expose(), "AT-1");
    world.until(|| world.store.is_holding()).await;
    world.server.api_answers(401, INVALID_TOKEN);
    let refused = {
        let (one, key) = (one.clone(), key.clone());
        tokio::spawn(async move { one.send(&key, get()).await })
    };
    world.until(|| world.server.api() == ["AT-1"]).await;
    world.clock.settle().await;
    world.store.let_go();
    world.clock.settle().await;
    world.store.saves_open.send_replace(true);
    let response = world.clock.drive(async move { refused.await.unwrap() }).await;
    assert_eq!(response.unwrap().status, 200);
    assert_eq!(world.server.api(), ["AT-1", "AT-2"]);
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (1, 1));
}

#[tokio::test]
async fn an_expiry_that_nobody_told_is_learned_from_a_401() {
    let world = World::new(Rotates::Strictly);
    world.server.expires_in(None);
    let connections = world.process();
    let key = world.connect(&connections).await;
    world.clock.advance(1_000_000 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(connections.send(&key, get()).await.unwrap().status, 200);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
}

#[tokio::test]
async fn a_refused_token_whose_refresh_is_refused_is_not_served_again() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.end_all();
    world.server.api_answers(401, INVALID_TOKEN);
    let error = connections.send(&key, get()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsReconnect);
    for connections in [&connections, &world.process()] {
        assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
    }
    assert_eq!(world.server.refreshes(), 1);
}

/// A provider that gives nothing to refresh with: the 401 is the API's answer.
#[tokio::test]
async fn f22_a_401_is_an_answer_where_no_other_token_is_to_be_had() {
    let mut world = World::new(Rotates::Strictly);
    world.quirks.refresh_policy.input = RefreshInput::None;
    let connections = world.process();
    let key = world.connect(&connections).await;
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(connections.send(&key, get()).await.unwrap().status, 401);
}

/// For those who send their requests themselves.
#[tokio::test]
async fn f22_what_is_sent_by_hand_goes_the_same_way() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let refused = connections.token(&key).await.unwrap();
    let mut request = get();
    connections.authenticate(&refused, &mut request).await.unwrap();
    assert_eq!(request.headers["authorization"], "Bearer AT-1");
    assert!(request.headers["authorization"].is_sensitive());

    let answer = [("www-authenticate", INVALID_TOKEN)];
    let headers = answer.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    assert!(BearerChallenge::refuses_token(StatusCode::UNAUTHORIZED, &headers.into_iter().collect()));
    assert!(BearerChallenge::refuses_token(StatusCode::UNAUTHORIZED, &HeaderMap::new()));
    assert!(!BearerChallenge::refuses_token(StatusCode::OK, &HeaderMap::new()));
    let fresh = connections.token_refused(&refused).await.unwrap().unwrap();
    connections.authenticate(&fresh, &mut request).await.unwrap();
    assert_eq!(request.headers["authorization"], "Bearer AT-2");
    assert_eq!(request.headers.len(), 1);
    assert_eq!(world.server.refreshes(), 1);
}

/// A proxy or a server with many names goes by it, whatever the URL says.
#[tokio::test]
async fn c5_a_host_header_names_the_host_of_the_url() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    for (hosts, is_same) in [
        (&["api.example"][..], true),
        (&["Api.Example:443"], true),
        (&["api.example", "api.example:443"], true),
        (&["api.example:80"], false),
        (&["api.example:"], false),
        (&["api.example."], false),
        (&["user@api.example"], false),
        (&["evil.example"], false),
        (&[""], false),
        (&["api.example", "evil.example"], false),
    ] {
        let mut request = get();
        for host in hosts {
            request.headers.append("host", host.parse().unwrap());
        }
        let before = world.server.api().len();
        match connections.send(&key, request).await {
            Ok(_) => assert!(is_same, "{hosts:?}"),
            Err(error) => {
                assert_eq!((error.kind(), is_same), (ErrorKind::ForeignOrigin, false), "{hosts:?}");
                assert_eq!(world.server.api().len(), before, "nothing was sent");
            }
        }
    }
}

#[tokio::test]
async fn a_token_is_attached_by_hand_to_requests_of_the_providers_api_only() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let token = connections.token(&key).await.unwrap();
    for url in ["https://api.example.evil.example/", "http://api.example/", "https://a@api.example/"] {
        let mut request = HttpRequest::get(Url::parse(url).unwrap());
        let error = connections.authenticate(&token, &mut request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignOrigin, "{url}");
        assert!(request.headers.is_empty() && request.url.as_str() == url);
    }
    let other = Connections::builder()
        .flow(world.flow("other", "https://app.example/other"))
        .token_store(MemoryTokenStore::new())
        .build()
        .unwrap();
    let error = other.authenticate(&token, &mut get()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "no such provider there");
    assert_eq!((error.provider(), error.operation()), (Some("p"), Some(Operation::Authenticate)));
    let binding = Binding::user("tenant", "user-42");
    let callback = AuthorizationResponse::from_query("code=code-1&state=state-1").unwrap();
    for (error, operation) in [
        (other.begin("p", &binding).map(drop).unwrap_err(), Operation::Begin),
        (other.complete("p", &callback, &binding).await.unwrap_err(), Operation::Complete),
        (other.disconnect(&key).await.unwrap_err(), Operation::Disconnect),
        (other.send(&key, get()).await.unwrap_err(), Operation::Send),
        (other.token(&key).await.unwrap_err(), Operation::Token),
    ] {
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Usage, Some(operation)), "{error}");
    }
}

/// Whoever sends it may have the body elsewhere.
#[tokio::test]
async fn what_is_attached_by_hand_is_never_in_the_body() {
    let mut world = World::new(Rotates::Strictly);
    world.quirks.access_token_usage.placement = TokenPlacement::Form { name: "access_token".to_owned() };
    let connections = world.process();
    let key = world.connect(&connections).await;
    let token = connections.token(&key).await.unwrap();
    let form = || {
        let mut request = post().with_body("field=value");
        request.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        request
    };
    for mut request in [get(), form()] {
        let (body, headers) = (request.body.clone(), request.headers.clone());
        let error = connections.authenticate(&token, &mut request).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.operation()),
            (ErrorKind::Unsupported, Some(Operation::Authenticate))
        );
        assert_eq!((request.body, request.headers), (body, headers), "as it was");
    }
    assert_eq!(connections.send(&key, form()).await.unwrap().status, 200, "there the body is at hand");
}

/// Only the token that replaced a refused one is not replaced again at once.
#[tokio::test]
async fn f22_a_later_token_that_is_refused_is_replaced_too() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(connections.send(&key, get()).await.unwrap().status, 200);
    assert_eq!(connections.refresh_now(&key).await.unwrap().expose(), "AT-3");
    world.server.api_answers(401, INVALID_TOKEN);
    assert_eq!(connections.send(&key, get()).await.unwrap().status, 200);
    assert_eq!(world.server.api(), ["AT-1", "AT-2", "AT-3", "AT-4"]);
}
