//! Requests through hyper-util's client, to a server with an API and a ledger.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::convert::Infallible;

use authflow_core::quirks::{Quirks, TokenPlacement};
use authflow_core::{ConnectionKey, ErrorKind, User};
use authflow_testkit::{AuthorizationServer, Endpoint, ErrorCode, Fault, LeakDetector, Personality};
use authflow_tower::{ConnectionLayer, ConnectionService, Error, Replayable, SendOnce};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use support::World;
use tower::{Layer as _, ServiceExt as _};

type Body = Full<Bytes>;
type HyperClient = Client<HttpConnector, Body>;

fn hyper() -> HyperClient {
    hyper_with()
}

fn hyper_with<B: hyper::body::Body<Data: Send> + Send>() -> Client<HttpConnector, B> {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn refusing() -> (World, ConnectionLayer) {
    let world = World::rfc().await;
    world.expire();
    let layer = ConnectionLayer::new(world.connections.clone(), world.key.clone());
    (world, layer)
}

fn client(world: &World) -> ConnectionService<HyperClient> {
    ConnectionLayer::new(world.connections.clone(), world.key.clone()).layer(hyper())
}

fn request(method: Method, uri: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(uri);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from("field=value")).unwrap()
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::default()).unwrap()
}

async fn send(world: &World, request: Request<Body>) -> Result<Response<Incoming>, Error> {
    client(world).oneshot(request).await
}

#[track_caller]
fn kind(sent: Result<Response<Incoming>, Error>) -> ErrorKind {
    sent.unwrap_err().connection().expect("an error of the connection").kind()
}

#[tokio::test]
async fn a_request_carries_the_token() {
    let world = World::rfc().await;
    assert_eq!(send(&world, request(Method::POST, &world.api())).await.unwrap().status(), StatusCode::OK);
    let [entry] = world.requests().try_into().unwrap();
    assert_eq!(entry.header("authorization"), Some(&*format!("Bearer {}", world.token().await)));
    assert_eq!(entry.form_value("field"), Some("value"));
    assert_eq!(entry.headers().get_all("authorization").iter().count(), 1);
    assert!(entry.query().is_empty());
}

#[tokio::test]
async fn what_stands_in_the_place_of_the_token_is_replaced() {
    let world = World::rfc().await;
    let mut request = get(&world.api());
    for value in ["Bearer another", "Basic YTpi"] {
        request.headers_mut().append("authorization", value.parse().unwrap());
    }
    assert_eq!(send(&world, request).await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.requests()[0].headers().get_all("authorization").iter().count(), 1);
}

/// C5: another origin is asked nothing, and the token leaves nowhere.
#[tokio::test]
async fn c5_a_token_goes_to_the_providers_origins_only() {
    let world = World::rfc().await;
    let other = AuthorizationServer::builder().start().await.unwrap();
    let own = world.server.base_url().strip_prefix("http://").unwrap();
    let others = other.base_url().strip_prefix("http://").unwrap();
    for uri in [
        other.resource_url(),
        format!("http://{own}@{others}/resource"),
        format!("http://user:password@{own}/resource"),
        format!("https://{own}/resource"),
        format!("http://localhost:{}/resource", own.rsplit_once(':').unwrap().1),
        "http://127.0.0.1/resource".to_owned(),
    ] {
        assert_eq!(kind(send(&world, get(&uri)).await), ErrorKind::ForeignOrigin, "{uri}");
    }
    assert!(other.ledger().is_empty());
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn c5_a_host_header_names_the_host_of_the_uri() {
    let world = World::rfc().await;
    let own = world.server.base_url().strip_prefix("http://").unwrap();
    let others = ["evil.example", "127.0.0.1", "127.0.0.1:1", ""].map(str::to_owned);
    let lookalikes = [format!("user@{own}"), format!("{own}/x"), format!("{own}.evil"), format!(" {own}")];
    for host in others.into_iter().chain(lookalikes) {
        let mut request = get(&world.api());
        request.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(kind(send(&world, request).await), ErrorKind::ForeignOrigin, "{host}");
    }
    let mut request = get(&world.api());
    for host in [own, "evil.example"] {
        request.headers_mut().append("host", host.parse().unwrap());
    }
    assert_eq!(kind(send(&world, request).await), ErrorKind::ForeignOrigin, "two");
    assert!(world.requests().is_empty());

    let mut request = get(&world.api());
    request.headers_mut().insert("host", own.parse().unwrap());
    assert_eq!(send(&world, request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_does_not_say_where_it_goes_is_refused() {
    let world = World::rfc().await;
    world.store.set_down(true);
    for uri in ["/resource", "*", "127.0.0.1:80", "api.example:443"] {
        let mut request = get(uri);
        // Whose token would have to be looked up.
        request.extensions_mut().insert(ConnectionKey::new(&User::new("", "nobody"), "rfc"));
        assert_eq!(kind(send(&world, request).await), ErrorKind::Usage, "{uri}");
    }
}

#[tokio::test]
async fn f22_a_refused_token_is_replaced_and_the_request_sent_once_more() {
    let world = World::rfc().await;
    let before = world.token().await;
    world.expire();
    let request = request(Method::PUT, &world.api());
    assert_eq!(send(&world, request).await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.statuses(), [401, 200]);
    assert_eq!(world.refreshes(), 1);
    assert_ne!(world.token().await, before);
    for entry in world.requests() {
        assert_eq!((entry.method(), entry.form_value("field")), (&Method::PUT, Some("value")));
        assert_eq!(entry.header("content-type"), Some("application/x-www-form-urlencoded"));
    }
}

/// No loop.
#[tokio::test]
async fn f22_an_api_that_refuses_every_token_is_asked_twice_and_refreshed_for_once() {
    let world = World::rfc().await;
    world.server.fault_all(Endpoint::Resource, Fault::Refuse(ErrorCode::InvalidToken));
    for _ in 0..3 {
        assert_eq!(send(&world, get(&world.api())).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.statuses(), [401, 401, 401, 401]);
    assert_eq!(world.refreshes(), 1);
}

/// RFC 6750 §3.1.
#[tokio::test]
async fn other_refusals_are_not_answered_with_a_refresh() {
    let world = World::rfc().await;
    for error in ["insufficient_scope", "invalid_request"] {
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            let fault = Fault::Refuse(ErrorCode::Other(error.to_owned()));
            world.server.fault_next(Endpoint::Resource, fault);
            let client = hyper().map_response(move |mut response| {
                *response.status_mut() = status;
                response
            });
            let layer = ConnectionLayer::new(world.connections.clone(), world.key.clone());
            let response = layer.layer(client).oneshot(get(&world.api())).await.unwrap();
            assert_eq!(response.status(), status);
        }
    }
    assert_eq!(world.requests().len(), 4);
    assert_eq!(world.refreshes(), 0);
}

#[tokio::test]
async fn only_a_401_is_about_the_token() {
    let world = World::rfc().await;
    world.server.fault_next(Endpoint::Resource, Fault::Refuse(ErrorCode::Other("invalid_token".to_owned())));
    assert_eq!(send(&world, get(&world.api())).await.unwrap().status(), StatusCode::BAD_REQUEST);
    world.server.fault_next(Endpoint::Resource, Fault::ServerError(authflow_testkit::RetryAfter::Absent));
    assert_eq!(send(&world, get(&world.api())).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.refreshes(), 0);
}

#[tokio::test]
async fn f23_a_post_is_sent_again_only_where_the_caller_says_so() {
    let world = World::rfc().await;
    world.expire();
    let post = || request(Method::POST, &world.api());
    assert_eq!(send(&world, post()).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.statuses(), [401]);
    assert_eq!(world.refreshes(), 1, "the next one has the new token");
    assert_eq!(send(&world, post()).await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.statuses(), [401, 200]);

    let world = World::rfc().await;
    world.expire();
    let mut post = request(Method::POST, &world.api());
    post.extensions_mut().insert(Replayable);
    assert_eq!(send(&world, post).await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.statuses(), [401, 200]);
    assert_eq!(world.requests()[1].form_value("field"), Some("value"));
}

#[tokio::test]
async fn f23_a_body_that_cannot_be_had_twice_is_sent_once() {
    let (world, layer) = refusing().await;
    let client = layer.keep_body(|_: &Body| None).layer(hyper());
    let response = client.oneshot(request(Method::PUT, &world.api())).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.statuses(), [401]);

    // A body that is not even `Clone`.
    let (world, layer) = refusing().await;
    let client = layer.keep_body(SendOnce).layer(hyper_with::<BoxBody<Bytes, Infallible>>());
    let response = client.oneshot(request(Method::PUT, &world.api()).map(BodyExt::boxed)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.statuses(), [401]);

    let (world, layer) = refusing().await;
    let client = layer.keep_body(|body: &Body| Some(body.clone())).layer(hyper());
    let response = client.oneshot(request(Method::PUT, &world.api())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn each_request_may_name_its_connection() {
    let world = World::rfc().await;
    let other = world.connect("user-43").await;
    let others_token = world.connections.token(&other).await.unwrap();
    let bearer = format!("Bearer {}", others_token.expose());
    let client = ConnectionLayer::per_request(world.connections.clone()).layer(hyper());
    for (key, bearer) in [(other, bearer), (world.key.clone(), format!("Bearer {}", world.token().await))] {
        let mut request = get(&world.api());
        request.extensions_mut().insert(key);
        assert_eq!(client.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
        assert_eq!(world.requests().last().unwrap().header("authorization"), Some(&*bearer));
    }
}

/// Neither goes a request with another user's token, nor does the layer become one of many connections by chance.
#[tokio::test]
async fn a_layer_of_one_connection_refuses_a_request_that_names_another() {
    let world = World::rfc().await;
    let other = world.connect("user-43").await;
    for key in [other, ConnectionKey::new(&User::new("", "nobody"), "rfc")] {
        let mut request = request(Method::PUT, &world.api());
        request.extensions_mut().insert(key);
        let error = send(&world, request).await.unwrap_err();
        let error = error.connection().expect("an error of the connection");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("use `per_request`"), "{error}");
    }
    assert!(world.requests().is_empty());

    // The same one, made anew.
    let same = ConnectionKey::from_bytes(&world.key.to_bytes()).unwrap();
    let mut request = get(&world.api());
    request.extensions_mut().insert(same);
    assert_eq!(send(&world, request).await.unwrap().status(), StatusCode::OK);
    let bearer = format!("Bearer {}", world.token().await);
    assert_eq!(world.requests().last().unwrap().header("authorization"), Some(&*bearer));
}

#[tokio::test]
async fn a_request_without_connection_is_not_sent() {
    let world = World::rfc().await;
    let client = ConnectionLayer::per_request(world.connections.clone()).layer(hyper());
    assert_eq!(kind(client.clone().oneshot(get(&world.api())).await), ErrorKind::Usage);

    for (key, expected) in [
        (ConnectionKey::new(&User::new("", "nobody"), "rfc"), ErrorKind::NotConnected),
        (ConnectionKey::new(&User::new("", ""), "rfc"), ErrorKind::Usage),
        (ConnectionKey::new(&User::new("", "user-42"), "other"), ErrorKind::Usage),
    ] {
        let mut request = get(&world.api());
        request.extensions_mut().insert(key);
        assert_eq!(kind(client.clone().oneshot(request).await), expected);
    }
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn where_the_store_is_down_nothing_is_sent() {
    let world = World::rfc().await;
    let key = world.connect("user-43").await;
    world.store.set_down(true);
    // Not the one of which this process holds a token.
    let other = authflow_core::Connections::builder()
        .flow(world.connections.flow("rfc").unwrap().clone())
        .token_store(std::sync::Arc::clone(&world.store))
        .build()
        .unwrap();
    let client = ConnectionLayer::new(other, key).layer(hyper());
    assert_eq!(kind(client.oneshot(get(&world.api())).await), ErrorKind::StoreUnavailable);
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn where_the_store_is_down_a_refused_request_is_not_sent_again() {
    let world = World::rfc().await;
    world.token().await;
    world.expire();
    world.store.set_down(true);
    assert_eq!(kind(send(&world, get(&world.api())).await), ErrorKind::StoreUnavailable);
    assert_eq!(world.statuses(), [401]);
    assert_eq!(world.refreshes(), 0);
}

#[tokio::test]
async fn a_connection_that_has_ended_at_the_provider_is_an_error() {
    let world = World::rfc().await;
    assert_eq!(world.server.revoke_grants_of("user-1"), 1);
    assert_eq!(kind(send(&world, get(&world.api())).await), ErrorKind::NeedsReconnect);
    assert_eq!(world.statuses(), [401]);
}

#[tokio::test]
async fn a_provider_that_takes_the_token_in_the_body_is_refused() {
    let mut quirks = Quirks::default();
    quirks.access_token_usage.placement = TokenPlacement::Form { name: "access_token".to_owned() };
    let world = World::with(Personality::Rfc, quirks).await;
    let mut empty = request(Method::POST, &world.api());
    empty.headers_mut().clear();
    for request in [request(Method::POST, &world.api()), empty] {
        assert_eq!(kind(send(&world, request).await), ErrorKind::Unsupported);
    }
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn stack_exchange_takes_the_token_in_the_query() {
    let world = World::of(Personality::StackExchange).await;
    let uri = format!("{}?order=desc&filter=%21a%20b", world.api());
    assert_eq!(send(&world, get(&uri)).await.unwrap().status(), StatusCode::OK);
    let [entry] = world.requests().try_into().unwrap();
    assert_eq!(entry.query_value("access_token"), Some(&*world.token().await));
    assert_eq!(entry.query_value("key"), Some(world.server.public_client().api_key()));
    assert_eq!(entry.query_value("site"), Some("stackoverflow"));
    assert_eq!(entry.query_value("filter"), Some("!a b"));
    assert_eq!(entry.query().len(), 5);
    assert_eq!(entry.header("authorization"), None);
}

#[tokio::test]
async fn contentstack_takes_headers_of_its_own() {
    let world = World::of(Personality::Contentstack).await;
    world.expire();
    assert_eq!(send(&world, get(&world.api())).await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.statuses(), [401, 200]);
    assert_eq!(world.refreshes(), 1);
    let entry = world.requests().pop().unwrap();
    assert_eq!(entry.header("authorization"), Some(&*format!("Bearer {}", world.token().await)));
    assert_eq!(entry.header("organization_uid"), Some("planted-organization"));
}

#[tokio::test]
async fn h1_nothing_shows_the_token() {
    for personality in [Personality::Rfc, Personality::StackExchange, Personality::Contentstack] {
        let world = World::of(personality).await;
        let leaks = LeakDetector::new();
        leaks.plant("access token", world.token().await);
        let layer = ConnectionLayer::new(world.connections.clone(), world.key.clone());
        let client = layer.layer(hyper());
        let sending = client.clone().oneshot(get(&world.api()));
        let future = tower::Service::call(&mut client.clone(), get(&world.api()));
        leaks.scan(format!("{layer:?} {client:?} {sending:?} {future:?}"));
        leaks.scan(format!("{:?}", sending.await.unwrap()));

        world.server.fault_next(Endpoint::Resource, Fault::ResetBeforeResponse);
        let error = send(&world, get(&world.api())).await.unwrap_err();
        assert!(error.connection().is_none());
        leaks.scan_error("the service's", &error);
        leaks.scan_error("the connection's", &send(&world, get("http://127.0.0.1:1/")).await.unwrap_err());
        leaks.assert_clean();
    }
}
