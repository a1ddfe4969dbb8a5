//! Requests to a server with an API and a ledger.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../tower/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use authflow_core::quirks::{Quirks, TokenPlacement};
use authflow_core::{ConnectionKey, ErrorKind, User};
use authflow_reqwest_middleware::{ConnectionMiddleware, Replayable, connection_error};
use authflow_testkit::{AuthorizationServer, Endpoint, ErrorCode, Fault, LeakDetector, Personality};
use http::{Extensions, HeaderValue, StatusCode};
use reqwest::{Body, Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, RequestBuilder, Result};
use support::World;
use tokio::sync::Barrier;

fn middleware(world: &World) -> ConnectionMiddleware {
    ConnectionMiddleware::new(world.connections.clone(), world.key.clone())
}

fn client(world: &World) -> ClientWithMiddleware {
    middleware(world).client(Client::builder().no_proxy()).unwrap()
}

/// A client with another middleware between ours and the API.
fn client_with(world: &World, inside: impl Middleware) -> ClientWithMiddleware {
    let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    ClientBuilder::new(client).with(middleware(world)).with(inside).build()
}

fn with_body(request: RequestBuilder) -> RequestBuilder {
    request.header("content-type", "application/x-www-form-urlencoded").body("field=value")
}

#[track_caller]
fn kind(sent: Result<Response>) -> ErrorKind {
    connection_error(&sent.unwrap_err()).expect("an error of the connection").kind()
}

#[tokio::test]
async fn a_request_carries_the_token() {
    let world = World::rfc().await;
    let response = with_body(client(&world).post(world.api())).send().await.unwrap();
    assert_eq!((response.status(), response.url().as_str()), (StatusCode::OK, &*world.api()));
    let [entry] = world.requests().try_into().unwrap();
    assert_eq!(entry.header("authorization"), Some(&*format!("Bearer {}", world.token().await)));
    assert_eq!(entry.form_value("field"), Some("value"));
    assert!(entry.query().is_empty());
}

#[tokio::test]
async fn what_stands_in_the_place_of_the_token_is_replaced() {
    let world = World::rfc().await;
    let defaults = [("authorization".parse().unwrap(), HeaderValue::from_static("Basic ZGVmYXVsdA=="))];
    let builder = Client::builder().no_proxy().default_headers(defaults.into_iter().collect());
    let client = middleware(&world).client(builder).unwrap();
    let request = client.get(world.api()).bearer_auth("another").basic_auth("a", Some("b"));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.requests()[0].headers().get_all("authorization").iter().count(), 1);
}

/// C5: another origin is asked nothing, and the token leaves nowhere.
#[tokio::test]
async fn c5_a_token_goes_to_the_providers_origins_only() {
    let world = World::rfc().await;
    let other = AuthorizationServer::builder().start().await.unwrap();
    let own = world.server.base_url().strip_prefix("http://").unwrap();
    let others = other.base_url().strip_prefix("http://").unwrap();
    for url in [
        other.resource_url(),
        format!("http://{own}@{others}/resource"),
        format!("https://{own}/resource"),
        format!("http://localhost:{}/resource", own.rsplit_once(':').unwrap().1),
        "http://127.0.0.1/resource".to_owned(),
    ] {
        assert_eq!(kind(client(&world).get(&url).send().await), ErrorKind::ForeignOrigin, "{url}");
    }
    // What reqwest's builder would take out of the URL.
    let url = format!("http://user:password@{own}/resource").parse().unwrap();
    let request = Request::new(http::Method::GET, url);
    assert_eq!(kind(client(&world).execute(request).await), ErrorKind::ForeignOrigin);
    assert!(other.ledger().is_empty());
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn c5_a_host_header_names_the_host_of_the_url() {
    let world = World::rfc().await;
    let own = world.server.base_url().strip_prefix("http://").unwrap();
    let others = ["evil.example", "127.0.0.1", "127.0.0.1:1", ""].map(str::to_owned);
    let lookalikes = [format!("user@{own}"), format!("{own}/x"), format!("{own}.evil"), format!(" {own}")];
    for host in others.into_iter().chain(lookalikes) {
        let sent = client(&world).get(world.api()).header("host", &host).send().await;
        assert_eq!(kind(sent), ErrorKind::ForeignOrigin, "{host}");
    }
    let two = client(&world).get(world.api()).header("host", own).header("host", "evil.example");
    assert_eq!(kind(two.send().await), ErrorKind::ForeignOrigin);
    assert!(world.requests().is_empty());

    let response = client(&world).get(world.api()).header("host", own).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn f22_a_refused_token_is_replaced_and_the_request_sent_once_more() {
    let world = World::rfc().await;
    let before = world.token().await;
    world.expire();
    let response = with_body(client(&world).put(world.api())).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.statuses(), [401, 200]);
    assert_eq!(world.refreshes(), 1);
    assert_ne!(world.token().await, before);
    for entry in world.requests() {
        assert_eq!((entry.method().as_str(), entry.form_value("field")), ("PUT", Some("value")));
        assert_eq!(entry.header("content-type"), Some("application/x-www-form-urlencoded"));
    }
}

/// Those who wait for the others before they hear of their 401.
struct Together {
    all: Arc<Barrier>,
}

#[async_trait::async_trait]
impl Middleware for Together {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let response = next.run(request, extensions).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.all.wait().await;
        }
        Ok(response)
    }
}

#[tokio::test]
async fn f22_fifty_refusals_make_one_refresh() {
    let world = World::rfc().await;
    world.expire();
    let client = client_with(&world, Together { all: Arc::new(Barrier::new(50)) });
    let requests: Vec<_> = (0..50).map(|_| tokio::spawn(client.get(world.api()).send())).collect();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(world.statuses().iter().filter(|status| **status == 401).count(), 50);
    assert_eq!(world.requests().len(), 100);
    assert_eq!(world.refreshes(), 1);
}

/// No loop.
#[tokio::test]
async fn f22_an_api_that_refuses_every_token_is_asked_twice_and_refreshed_for_once() {
    let world = World::rfc().await;
    world.server.fault_all(Endpoint::Resource, Fault::Refuse(ErrorCode::InvalidToken));
    for _ in 0..3 {
        let response = client(&world).get(world.api()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.statuses(), [401, 401, 401, 401]);
    assert_eq!(world.refreshes(), 1);
}

/// The same answer with another status.
struct WithStatus(StatusCode);

#[async_trait::async_trait]
impl Middleware for WithStatus {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let url = request.url().clone();
        let response = next.run(request, extensions).await?;
        let made = reqwest::ResponseBuilderExt::url(http::Response::builder().status(self.0), url);
        let mut made = made.body(Body::default()).unwrap();
        *made.headers_mut() = response.headers().clone();
        Ok(made.into())
    }
}

#[tokio::test]
async fn c5_the_port_of_the_scheme_may_be_left_out_of_a_host() {
    let world = World::rfc().await;
    let client = client_with(&world, Stub);
    for url in ["https://api.example/me", "https://API.example:443/me"] {
        for (host, is_same) in [
            ("api.example", true),
            ("Api.Example:443", true),
            ("api.example:80", false),
            ("api.example:", false),
            ("api.example.", false),
            ("evil.example", false),
        ] {
            match client.get(url).header("host", host).send().await {
                Ok(_) => assert!(is_same, "{host}"),
                sent => {
                    assert_eq!(kind(sent), ErrorKind::ForeignOrigin);
                    assert!(!is_same, "{host}");
                }
            }
        }
    }
}

/// Answers without a network.
struct Stub;

#[async_trait::async_trait]
impl Middleware for Stub {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        assert_eq!(request.url().as_str(), "https://api.example/me");
        assert!(request.headers()["authorization"].is_sensitive());
        Ok(http::Response::new(Body::default()).into())
    }
}

/// RFC 6750 §3.1.
#[tokio::test]
async fn other_refusals_are_not_answered_with_a_refresh() {
    let world = World::rfc().await;
    for error in ["insufficient_scope", "invalid_request"] {
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            let fault = Fault::Refuse(ErrorCode::Other(error.to_owned()));
            world.server.fault_next(Endpoint::Resource, fault);
            let response = client_with(&world, WithStatus(status)).get(world.api()).send().await.unwrap();
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
    for status in [StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR] {
        assert_eq!(client(&world).get(world.api()).send().await.unwrap().status(), status);
        world.server.fault_next(Endpoint::Resource, Fault::ServerError(authflow_testkit::RetryAfter::Absent));
    }
    assert_eq!(world.refreshes(), 0);
}

#[tokio::test]
async fn f23_a_post_is_sent_again_only_where_the_caller_says_so() {
    let world = World::rfc().await;
    world.expire();
    let post = |world: &World| with_body(client(world).post(world.api()));
    assert_eq!(post(&world).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.statuses(), [401]);
    assert_eq!(world.refreshes(), 1, "the next one has the new token");
    assert_eq!(post(&world).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.statuses(), [401, 200]);

    let world = World::rfc().await;
    world.expire();
    let response = post(&world).with_extension(Replayable).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.statuses(), [401, 200]);
    assert_eq!(world.requests()[1].form_value("field"), Some("value"));
}

#[tokio::test]
async fn f23_a_body_that_cannot_be_had_twice_is_sent_once() {
    let world = World::rfc().await;
    world.expire();
    let stream = Body::wrap("field=value".to_owned());
    let response = client(&world).put(world.api()).body(stream).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.statuses(), [401]);
}

#[tokio::test]
async fn each_request_may_name_its_connection() {
    let world = World::rfc().await;
    let other = world.connect("user-43").await;
    let others_token = world.connections.token(&other).await.unwrap();
    let bearer = format!("Bearer {}", others_token.expose());
    let per_request = ConnectionMiddleware::per_request(world.connections.clone());
    let client = per_request.client(Client::builder().no_proxy()).unwrap();
    for (key, bearer) in [(other, bearer), (world.key.clone(), format!("Bearer {}", world.token().await))] {
        let response = client.get(world.api()).with_extension(key).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(world.requests().last().unwrap().header("authorization"), Some(&*bearer));
    }
}

/// Neither goes a request with another user's token, nor does the middleware become one of many connections by chance.
#[tokio::test]
async fn a_middleware_of_one_connection_refuses_a_request_that_names_another() {
    let world = World::rfc().await;
    let other = world.connect("user-43").await;
    for key in [other, ConnectionKey::new(&User::new("", "nobody"), "rfc")] {
        let request = with_body(client(&world).put(world.api())).with_extension(key);
        let error = request.send().await.unwrap_err();
        let error = connection_error(&error).expect("an error of the connection");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("use `per_request`"), "{error}");
    }
    assert!(world.requests().is_empty());

    // The same one, made anew.
    let same = ConnectionKey::from_bytes(&world.key.to_bytes()).unwrap();
    let response = client(&world).get(world.api()).with_extension(same).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let bearer = format!("Bearer {}", world.token().await);
    assert_eq!(world.requests().last().unwrap().header("authorization"), Some(&*bearer));
}

/// reqwest-middleware's own way to lose the name: the request is refused, and goes with nobody's token.
#[tokio::test]
async fn a_request_that_is_built_and_then_executed_names_no_connection() {
    let world = World::rfc().await;
    let per_request = ConnectionMiddleware::per_request(world.connections.clone());
    let client = per_request.client(Client::builder().no_proxy()).unwrap();
    let request = client.get(world.api()).with_extension(world.key.clone()).build().unwrap();
    assert_eq!(kind(client.execute(request).await), ErrorKind::Usage);
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn a_request_without_connection_is_not_sent() {
    let world = World::rfc().await;
    let per_request = ConnectionMiddleware::per_request(world.connections.clone());
    let client = per_request.client(Client::builder().no_proxy()).unwrap();
    assert_eq!(kind(client.get(world.api()).send().await), ErrorKind::Usage);
    for (key, expected) in [
        (ConnectionKey::new(&User::new("", "nobody"), "rfc"), ErrorKind::NotConnected),
        (ConnectionKey::new(&User::new("", ""), "rfc"), ErrorKind::Usage),
        (ConnectionKey::new(&User::new("", "user-42"), "other"), ErrorKind::Usage),
    ] {
        assert_eq!(kind(client.get(world.api()).with_extension(key).send().await), expected);
    }
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn where_the_store_is_down_nothing_is_sent() {
    let world = World::rfc().await;
    world.store.set_down(true);
    // A process that holds no token yet.
    let connections = authflow_core::Connections::builder()
        .flow(world.connections.flow("rfc").unwrap().clone())
        .token_store(Arc::clone(&world.store))
        .build()
        .unwrap();
    let middleware = ConnectionMiddleware::new(connections, world.key.clone());
    let client = middleware.client(Client::builder().no_proxy()).unwrap();
    assert_eq!(kind(client.get(world.api()).send().await), ErrorKind::StoreUnavailable);
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn where_the_store_is_down_a_refused_request_is_not_sent_again() {
    let world = World::rfc().await;
    world.token().await;
    world.expire();
    world.store.set_down(true);
    assert_eq!(kind(client(&world).get(world.api()).send().await), ErrorKind::StoreUnavailable);
    assert_eq!(world.statuses(), [401]);
    assert_eq!(world.refreshes(), 0);
}

#[tokio::test]
async fn a_connection_that_has_ended_at_the_provider_is_an_error() {
    let world = World::rfc().await;
    assert_eq!(world.server.revoke_grants_of("user-1"), 1);
    assert_eq!(kind(client(&world).get(world.api()).send().await), ErrorKind::NeedsReconnect);
    assert_eq!(world.statuses(), [401]);
}

#[tokio::test]
async fn a_provider_that_takes_the_token_in_the_body_is_refused() {
    let mut quirks = Quirks::default();
    quirks.access_token_usage.placement = TokenPlacement::Form { name: "access_token".to_owned() };
    let world = World::with(Personality::Rfc, quirks).await;
    for request in [client(&world).post(world.api()), with_body(client(&world).post(world.api()))] {
        assert_eq!(kind(request.send().await), ErrorKind::Unsupported);
    }
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn stack_exchange_takes_the_token_in_the_query() {
    let world = World::of(Personality::StackExchange).await;
    let url = format!("{}?order=desc&filter=%21a%20b", world.api());
    let response = client(&world).get(&url).send().await.unwrap();
    assert_eq!((response.status(), response.url().as_str()), (StatusCode::OK, &*url));
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
    assert_eq!(client(&world).get(world.api()).send().await.unwrap().status(), StatusCode::OK);
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
        leaks.scan(format!("{:?} {:?}", middleware(&world), client(&world)));

        // Its URL comes into its errors too.
        let response = client(&world).get(world.api()).send().await.unwrap();
        leaks.scan_named("the answer", format!("{response:?}"));
        world.server.fault_next(Endpoint::Resource, Fault::Refuse(ErrorCode::Other("no".to_owned())));
        let response = client(&world).get(world.api()).send().await.unwrap();
        leaks.scan_error("the answer's status", &response.error_for_status().unwrap_err());
        world.server.fault_next(Endpoint::Resource, Fault::TruncatedBody);
        let response = client(&world).get(world.api()).send().await.unwrap();
        leaks.scan_error("the answer's body", &response.bytes().await.unwrap_err());

        world.server.fault_next(Endpoint::Resource, Fault::ResetBeforeResponse);
        let error = client(&world).get(world.api()).send().await.unwrap_err();
        assert_eq!(error.url().map(reqwest::Url::as_str), Some(&*world.api()));
        assert!(connection_error(&error).is_none());
        leaks.scan_error("no answer", &error);
        leaks.scan_error("elsewhere", &client(&world).get("http://127.0.0.1:1/").send().await.unwrap_err());
        let (client, url) = (client(&world), world.api());
        drop(world);
        let error = client.get(url).send().await.unwrap_err();
        assert!(error.is_connect());
        leaks.scan_error("no server", &error);
        leaks.assert_clean();
    }
}

/// All that an answer has besides its URL.
#[tokio::test]
async fn an_answer_under_its_own_url_is_whole() {
    let world = World::of(Personality::StackExchange).await;
    let response = client(&world).get(world.api()).send().await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_11);
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(response.remote_addr().is_some());
    let length = response.content_length();
    let body = response.bytes().await.unwrap();
    assert!(body.starts_with(&[0x1f, 0x8b]));
    assert_eq!(length, u64::try_from(body.len()).ok());
}
