//! What `begin` and `finish` make of a server that has a bad day. No request ever leaves: there is no code to send.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ErrorKind, Flow, HttpClient,
    HttpError, HttpRequest, HttpResponse, Limits, Provider, Recovery, async_trait,
};
use authflow_redis::{RedisConfig, RedisStateStore};
use support::{Proxy, Server, in_time, until_noticed};

#[derive(Debug)]
struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn send(&self, _: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        panic!("no request is sent without a state")
    }
}

fn flow(store: RedisStateStore) -> Flow {
    let provider = Provider::builder("example")
        .authorization_endpoint("https://login.example/authorize")
        .token_endpoint("https://login.example/token")
        .build()
        .unwrap();
    let credentials = ClientCredentials::public("client-1").redirect_uri("https://app.example/callback");
    let manager = ConfiguredProvider::from_provider(provider, credentials, store).unwrap();
    Flow::builder(manager).http_client(NoHttp).build().unwrap()
}

async fn connect(url: &str) -> RedisStateStore {
    RedisStateStore::connect(RedisConfig::server(url).unwrap()).await.unwrap()
}

fn state(url: &str) -> &str {
    url.split(['?', '&']).find_map(|it| it.strip_prefix("state=")).unwrap()
}

#[tokio::test]
async fn begin_draws_another_state_and_finish_says_begin_again() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let store = connect(&proxy.url()).await;
    let before = server.calls("set").await;
    let flow = flow(store);
    let user = Binding::user("tenant", "user-42");

    proxy.lose_one();
    let authorization = flow.begin(&user).await.unwrap();
    assert_eq!(server.calls("set").await - before, 2);
    assert_eq!(server.ask::<usize>(&["DBSIZE"]).await, 2, "the state that was given up, and the other one");

    let query = format!("code=c&state={}", state(authorization.url()));
    let response = AuthorizationResponse::from_query(&query).unwrap();
    let before = server.calls("getdel").await;
    proxy.lose_one();
    let error = flow.finish(&response, &user).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreOutcomeUnknown);
    assert_eq!(error.recovery(), Recovery::Reconnect);
    assert_eq!(server.calls("getdel").await - before, 1);
    let error = flow.finish(&response, &user).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);
}

#[tokio::test]
async fn x26_the_same_callback_works_when_the_server_is_back() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = connect(&server.url()).await;
    let flow = flow(store.clone());
    let user = Binding::user("tenant", "user-42");
    let authorization = flow.begin(&user).await.unwrap();
    let query = format!("error=access_denied&state={}", state(authorization.url()));
    let response = AuthorizationResponse::from_query(&query).unwrap();
    server.sigkill();
    until_noticed(&store).await;
    let error = flow.finish(&response, &user).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(matches!(error.recovery(), Recovery::Retry { .. }));
    server.restart();
    assert_eq!(flow.finish(&response, &user).await.unwrap_err().kind(), ErrorKind::AccessDenied);
}

#[tokio::test]
async fn x7_begin_says_that_the_store_is_full_and_may_be_tried_again() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let flow = flow(connect(&server.url()).await);
    let user = Binding::user("tenant", "user-42");
    let before = flow.begin(&user).await.unwrap();
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = flow.begin(&user).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(matches!(error.recovery(), Recovery::Retry { .. }));
    assert_eq!(server.ask::<usize>(&["DBSIZE"]).await, 1);

    // A flow that began before ends as ever.
    let query = format!("error=access_denied&state={}", state(before.url()));
    let response = AuthorizationResponse::from_query(&query).unwrap();
    assert_eq!(flow.finish(&response, &user).await.unwrap_err().kind(), ErrorKind::AccessDenied);
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    flow.begin(&user).await.unwrap();
}

/// Nobody waits longer than the store's own time limit, and nobody is told that what may be used up is still there.
#[tokio::test]
async fn x7_finish_gives_a_slow_server_up_and_says_begin_again() {
    let server = Server::start(&[]);
    let config = RedisConfig::server(&server.url()).unwrap().response_timeout(Duration::from_millis(150));
    let flow = flow(RedisStateStore::connect(config).await.unwrap());
    let user = Binding::user("tenant", "user-42");
    let authorization = flow.begin(&user).await.unwrap();
    let query = format!("code=c&state={}", state(authorization.url()));
    let response = AuthorizationResponse::from_query(&query).unwrap();
    server.stop();
    let error = in_time(async { flow.finish(&response, &user).await }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreOutcomeUnknown);
    assert_eq!(error.recovery(), Recovery::Reconnect);
    let error = in_time(async { flow.begin(&user).await }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreOutcomeUnknown);
    server.go_on();
    assert_eq!(flow.finish(&response, &user).await.unwrap_err().kind(), ErrorKind::StateNotFound);
    flow.begin(&user).await.unwrap();
}
