//! axum: the routes and the extractors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use authflow_axum::{AllConnected, Connected, CurrentUser, Failure, Refusal};
use authflow_core::{Error, MemoryTokenStore};
use authflow_web::{Accounts, ClientAddress, Missing};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, Path, Request};
use axum::http::Extensions;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{any, get};
use support::{Example, Peer, Web, World, suite};
use tower::ServiceExt as _;

struct Axum(Router);

impl Axum {
    fn new(accounts: &Accounts) -> Self {
        let part = Router::new().route("/mine", any(mine)).route("/accounts", get(all)).route("/me", get(me));
        let app = Router::new()
            .route("/mine", any(mine))
            .route("/maybe", get(maybe))
            .route("/accounts", get(all))
            .route("/me", get(me))
            .route("/why", get(why))
            .route("/failure/{kind}", get(failure))
            .nest("/app", part)
            .merge(authflow_axum::router(accounts.clone()))
            .fallback(async || "application")
            .layer(from_fn(behind_a_proxy))
            .with_state(accounts.clone());
        Self(app)
    }
}

impl Web for Axum {
    async fn send(&self, request: axum::http::Request<Bytes>) -> axum::http::Response<Bytes> {
        let mut request = request.map(Body::from);
        if let Some(Peer(address)) = request.extensions_mut().remove() {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        let (parts, body) = self.0.clone().oneshot(request).await.unwrap().into_parts();
        Response::from_parts(parts, axum::body::to_bytes(body, usize::MAX).await.unwrap())
    }
}

async fn behind_a_proxy(mut request: Request, next: Next) -> Response {
    if let Some(from) = request.headers().get("x-from") {
        let address = ClientAddress(from.to_str().unwrap().parse().unwrap());
        request.extensions_mut().insert(address);
    }
    next.run(request).await
}

async fn mine(client: Connected<Example>) -> Result<Vec<u8>, Refusal> {
    let url = client.connections().flow("example").unwrap().provider().endpoints().issuer.clone().unwrap();
    Ok(client.get(&format!("{url}/resource")).await?.read(support::body)?)
}

async fn all(AllConnected(clients): AllConnected<Example>) -> String {
    support::accounts(clients.iter().map(|client| client.connection()))
}

async fn maybe(client: Option<Connected<Example>>) -> &'static str {
    if client.is_some() { "yes" } else { "no" }
}

async fn me(CurrentUser(user): CurrentUser) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.id.to_string())
}

async fn why(client: Result<Connected<Example>, Refusal>) -> &'static str {
    match client.as_ref().map_err(Refusal::missing) {
        Ok(_) => "connected",
        Err(Missing::SignedOut { .. }) => "signed out",
        Err(_) => "something else",
    }
}

async fn failure(Path(kind): Path<String>) -> Failure {
    support::failure(&kind).into()
}

async fn rig() -> (World, Axum) {
    let world = World::new().await;
    let web = Axum::new(&world.accounts);
    (world, web)
}

#[tokio::test]
async fn a_user_connects_and_the_handler_gets_a_client() {
    suite::a_user_connects_and_the_handler_gets_a_client(&rig().await.1).await;
}

#[tokio::test]
async fn a16_each_of_several_cookies_arrives_and_bytes_stay_bytes() {
    suite::a16_each_of_several_cookies_arrives_and_bytes_stay_bytes(&rig().await.1).await;
}

#[tokio::test]
async fn headers_reach_the_application_as_they_were_sent() {
    let (world, web) = rig().await;
    suite::headers_reach_the_application_as_they_were_sent(&web, &world).await;
}

#[tokio::test]
async fn a12_the_peer_is_who_a_flow_is_counted_for() {
    let (world, web) = rig().await;
    suite::a12_the_peer_is_who_a_flow_is_counted_for(&web, &world).await;
}

/// As applications' own tests name a peer where there is no server.
#[tokio::test]
async fn a_peer_of_a_test_counts_where_there_is_no_server() {
    let (world, web) = rig().await;
    let [server, test] =
        ["192.0.2.1:1", "198.51.100.1:1"].map(|address| address.parse::<SocketAddr>().unwrap());
    let ask = async |with: &dyn Fn(&mut Extensions)| {
        let mut request = Request::get("/auth/example/connect").body(Body::empty()).unwrap();
        request.extensions_mut().insert(MockConnectInfo(test));
        with(request.extensions_mut());
        web.0.clone().oneshot(request).await.unwrap();
        world.seen.last().1
    };
    assert_eq!(ask(&|_| ()).await, Some(ClientAddress(test.ip())));
    let served = |extensions: &mut Extensions| {
        extensions.insert(ConnectInfo(server));
    };
    assert_eq!(ask(&served).await, Some(ClientAddress(server.ip())));
}

#[tokio::test]
async fn b12_a_body_over_the_limit_is_413() {
    suite::b12_a_body_over_the_limit_is_413(&rig().await.1).await;
}

#[tokio::test]
async fn b12_a_body_without_end_is_not_read_to_its_end() {
    let (_world, web) = rig().await;
    let chunks =
        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 600])));
    let request = Request::post("/auth/example/disconnect").body(Body::from_stream(chunks)).unwrap();
    assert_eq!(web.0.oneshot(request).await.unwrap().status(), 413);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_handled() {
    let (world, web) = rig().await;
    let broken =
        futures_util::stream::iter([Ok(Bytes::from_static(b"account=")), Err(std::io::Error::other("gone"))]);
    let request = Request::post("/auth/example/disconnect").header("x-user", "ann");
    let request = request.header("sec-fetch-site", "same-origin").body(Body::from_stream(broken)).unwrap();
    let answer = web.0.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 400);
    suite::a18_b20_an_error_has_the_headers(answer.headers());
    assert!(world.seen.is_empty());
}

#[tokio::test]
async fn only_the_routes_are_taken() {
    suite::only_the_routes_are_taken(&rig().await.1).await;
}

#[tokio::test]
async fn at_the_root_only_the_routes_are_taken() {
    let world = World::at("", MemoryTokenStore::new()).await;
    suite::at_the_root_only_the_routes_are_taken(&Axum::new(&world.accounts)).await;
}

#[tokio::test]
async fn b13_the_method_is_handed_on() {
    suite::b13_the_method_is_handed_on(&rig().await.1).await;
}

#[tokio::test]
async fn head_has_the_content_length_of_get() {
    suite::head_has_the_content_length_of_get(&rig().await.1).await;
}

#[tokio::test]
async fn a_missing_connection_is_a_way_to_connect() {
    let (_world, web) = rig().await;
    suite::a_missing_connection_is_a_way_to_connect(&web).await;
    assert_eq!(web.send(support::get("/why")).await.body(), "signed out");
}

#[tokio::test]
async fn a_connection_that_turns_out_to_be_over_is_a_way_to_connect() {
    let (world, web) = rig().await;
    suite::a_connection_that_turns_out_to_be_over_is_a_way_to_connect(&web, &world).await;
}

#[tokio::test]
async fn a_handler_below_a_prefix_is_come_back_to() {
    let (world, web) = rig().await;
    suite::a_handler_below_a_prefix_is_come_back_to(&web, &world).await;
}

#[tokio::test]
async fn a_handler_below_a_prefix_is_come_back_to_after_the_sign_in() {
    let world = World::with_its_own_sign_in().await;
    suite::a_handler_below_a_prefix_is_come_back_to_after_the_sign_in(&Axum::new(&world.accounts)).await;
}

#[tokio::test]
async fn all_accounts_are_there_to_choose_from() {
    let (world, web) = rig().await;
    suite::all_accounts_are_there_to_choose_from(&web, &world).await;
}

#[tokio::test]
async fn a_store_that_is_down_is_503() {
    let world = World::down().await;
    suite::a_store_that_is_down_is_503(&Axum::new(&world.accounts)).await;
}

#[tokio::test]
async fn a_session_that_is_down_is_503() {
    suite::a_session_that_is_down_is_503(&rig().await.1).await;
}

#[tokio::test]
async fn a_handler_is_told_who_is_signed_in() {
    suite::a_handler_is_told_who_is_signed_in(&rig().await.1).await;
}

#[tokio::test]
async fn b11_an_error_of_a_handler_says_its_kind_and_no_strangers_words() {
    let (_world, web) = rig().await;
    suite::b11_an_error_of_a_handler_says_its_kind_and_no_strangers_words(&web).await;
    let answer = web.send(support::get("/failure/refused")).await;
    let error = answer.extensions().get::<Arc<Error>>().unwrap();
    assert!(error.to_string().contains("stranger"));
    support::is_an_error_like(&Failure(support::failure("refused")));
}
