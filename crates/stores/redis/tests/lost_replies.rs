//! The server did what it was asked, and its answer is lost on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_core::StoreErrorKind;
use authflow_redis::{RedisConfig, RedisStateStore};
use support::{Answers, Proxy, Server, kind, put, take};

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
