//! The server did what it was asked, and its answer is lost on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ErrorKind, Flow, HttpClient,
    HttpError, HttpRequest, HttpResponse, Limits, Provider, Recovery, StoreErrorKind, async_trait,
};
use authflow_redis::{RedisConfig, RedisStateStore};
use support::{Answers, Proxy, Server, kind, put, take, until_noticed};

async fn behind_proxy() -> (Server, Proxy, RedisStateStore) {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let store = RedisStateStore::connect(RedisConfig::server(&proxy.url()).unwrap()).await.unwrap();
    (server, proxy, store)
}

#[tokio::test]
async fn a_set_whose_answer_is_lost_is_not_repeated() {
    let (server, proxy, store) = behind_proxy().await;
    let before = server.calls("set").await;
    proxy.answers(Answers::Lost);
    assert_eq!(kind(put(&store, "s").await), StoreErrorKind::OutcomeUnknown);
    proxy.answers(Answers::Arrive);
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"), "it had been stored");
    assert_eq!(server.calls("set").await - before, 1);
    assert_eq!(proxy.connections(), 2, "the connection was replaced");
}

#[tokio::test]
async fn a_getdel_whose_answer_is_lost_is_not_repeated() {
    let (server, proxy, store) = behind_proxy().await;
    let before = server.calls("getdel").await;
    put(&store, "s").await.unwrap();
    proxy.answers(Answers::Lost);
    assert_eq!(kind(take(&store, "s").await), StoreErrorKind::OutcomeUnknown);
    assert_eq!(server.calls("getdel").await - before, 1);
    proxy.answers(Answers::Arrive);
    assert_eq!(take(&store, "s").await.unwrap(), None, "it had been used up");
}

/// 64 at once on one connection: each of them is told, none is sent again.
#[tokio::test]
async fn many_answers_are_lost_at_once() {
    let (server, proxy, store) = behind_proxy().await;
    let before = server.calls("set").await;
    proxy.answers(Answers::Lost);
    let calls: Vec<_> = (0..64)
        .map(|at| {
            let store = store.clone();
            tokio::spawn(async move { kind(put(&store, &at.to_string()).await) })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), StoreErrorKind::OutcomeUnknown);
    }
    assert!(server.calls("set").await - before <= 64);
}

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

#[tokio::test]
async fn begin_draws_another_state_and_finish_says_begin_again() {
    let (server, proxy, store) = behind_proxy().await;
    let before = server.calls("set").await;
    let flow = flow(store);
    let user = Binding::user("tenant", "user-42");

    proxy.lose_one();
    let authorization = flow.begin(&user).await.unwrap();
    assert_eq!(server.calls("set").await - before, 2);
    assert_eq!(server.ask::<usize>(&["DBSIZE"]).await, 2, "the state that was given up, and the other one");

    let state = authorization.url().split(['?', '&']).find_map(|it| it.strip_prefix("state=")).unwrap();
    let query = format!("code=c&state={state}");
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
    let store = RedisStateStore::connect(RedisConfig::server(&server.url()).unwrap()).await.unwrap();
    let flow = flow(store.clone());
    let user = Binding::user("tenant", "user-42");
    let authorization = flow.begin(&user).await.unwrap();
    let state = authorization.url().split(['?', '&']).find_map(|it| it.strip_prefix("state=")).unwrap();
    let query = format!("error=access_denied&state={state}");
    let response = AuthorizationResponse::from_query(&query).unwrap();
    server.sigkill();
    until_noticed(&store).await;
    let error = flow.finish(&response, &user).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(matches!(error.recovery(), Recovery::Retry { .. }));
    server.restart();
    assert_eq!(flow.finish(&response, &user).await.unwrap_err().kind(), ErrorKind::AccessDenied);
}
