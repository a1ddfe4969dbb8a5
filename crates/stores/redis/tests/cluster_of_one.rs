//! A cluster of one node: what does not need six.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use authflow_core::StoreErrorKind;
use authflow_redis::{ConnectError, RedisConfig, RedisStateStore};
use support::{Answers, Parrot, Proxy, Server, kind, put, take};

async fn connect(url: String) -> Result<RedisStateStore, ConnectError> {
    RedisStateStore::connect(RedisConfig::cluster([url]).unwrap()).await
}

/// The proxy is the node's address, as far as the cluster tells.
async fn behind_proxy() -> (Server, Proxy, RedisStateStore) {
    let server = Server::start_cluster_of_one(&[]).await;
    let proxy = Proxy::start(server.port).await;
    let () = server.ask(&["CONFIG", "SET", "cluster-announce-port", &proxy.port.to_string()]).await;
    let store = connect(proxy.url()).await.unwrap();
    (server, proxy, store)
}

#[tokio::test]
async fn a_command_whose_answer_is_lost_is_not_repeated() {
    let (server, proxy, store) = behind_proxy().await;
    let before = (server.calls("set").await, server.calls("getdel").await);
    put(&store, "t").await.unwrap();
    proxy.answers(Answers::Lost);
    assert_eq!(kind(put(&store, "s").await), StoreErrorKind::OutcomeUnknown);
    assert_eq!(kind(take(&store, "t").await), StoreErrorKind::OutcomeUnknown);
    proxy.answers(Answers::Arrive);
    assert_eq!(take(&store, "t").await.unwrap(), None, "it had been used up");
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"), "it had been stored");
    assert_eq!(server.calls("set").await - before.0, 2);
    assert_eq!(server.calls("getdel").await - before.1, 3);
}

/// Once who has which slot is known, nobody is asked again.
#[tokio::test]
async fn each_step_is_one_command_in_one_round_trip() {
    let (server, proxy, store) = behind_proxy().await;
    let asked = server.calls("cluster|slots").await;
    let before = proxy.writes();
    for at in 0..20 {
        put(&store, &at.to_string()).await.unwrap();
        take(&store, &at.to_string()).await.unwrap().unwrap();
    }
    assert_eq!(proxy.writes() - before, 40);
    assert_eq!(server.calls("cluster|slots").await, asked);
    assert_eq!(proxy.connections(), 1);
}

/// What a node says that was started again, or is a replica now that is not connected yet.
#[tokio::test]
async fn x4_who_cannot_serve_its_slots_is_not_believed_about_them() {
    let (old, new) = (Parrot::start().await, Server::start_cluster_of_one(&[]).await);
    let announce = async |port: u16| {
        let () = new.ask(&["CONFIG", "SET", "cluster-announce-port", &port.to_string()]).await;
    };
    for (at, refusal) in [
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        announce(old.port).await;
        let store = connect(new.url()).await.unwrap();
        old.says(refusal);
        assert_eq!(kind(put(&store, &at.to_string()).await), StoreErrorKind::Unavailable, "nobody took over");
        announce(new.port).await;
        put(&store, &at.to_string()).await.expect(refusal);
        assert_eq!(take(&store, &at.to_string()).await.unwrap(), Some(at.to_string()));
        old.says_what_a_good_server_says();
    }
}

/// A node that was cut off still says that its slots are its own.
#[tokio::test]
async fn x4_the_others_are_asked_before_the_node_that_refused() {
    let old = Server::start_cluster_of_one(&[]).await;
    let new = Server::start_cluster_of_one(&[]).await;
    let store =
        RedisStateStore::connect(RedisConfig::cluster([old.url(), new.url()]).unwrap()).await.unwrap();
    put(&store, "s").await.unwrap();
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"), "both are one to the store");
    let served = new.calls("set").await;
    let () = old.ask(&["CLUSTER", "DELSLOTS", "0"]).await;
    put(&store, "s").await.unwrap();
    assert_eq!(new.calls("set").await, served + 1);
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
}

#[tokio::test]
async fn user_and_password() {
    let rules = "--user app on >hunter2 ~authflow:* -@all +set +getdel +cluster|slots";
    let more = "--user few on >hunter2 ~authflow:* -@all +set +getdel";
    let rules: Vec<&str> = rules.split(' ').chain(more.split(' ')).collect();
    let server = Server::start_cluster_of_one(&rules).await;
    let url = |login: &str| format!("redis://{login}@127.0.0.1:{}", server.port);
    // The rights of README.md are enough.
    let store = connect(url("app:hunter2")).await.unwrap();
    put(&store, "s").await.unwrap();
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
    assert!(!format!("{store:?}").contains("hunter2"));

    let error = connect(url("app:hunter3")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Authentication), "{error:?}");
    let error = connect(url("few:hunter2")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Permission), "{error:?}");
    assert!(error.to_string().contains("+cluster|slots"), "{error}");
}

#[tokio::test]
async fn a_node_without_getdel_is_found_at_the_start() {
    let server = Server::start_cluster_of_one(&["--rename-command", "GETDEL", ""]).await;
    let error = connect(server.url()).await.unwrap_err();
    assert!(matches!(&error, ConnectError::TooOld { version: Some(_) }), "{error:?}");
}

#[tokio::test]
async fn x6_a_silent_node_is_given_up() {
    let short = Duration::from_millis(150);
    let server = Server::start_cluster_of_one(&[]).await;
    let config = RedisConfig::cluster([server.url()]).unwrap();
    let config = config.password("hunter2").connection_timeout(short).response_timeout(short);
    let () = server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]).await;
    let store = RedisStateStore::connect(config).await.unwrap();
    server.stop();
    assert_eq!(kind(put(&store, "s").await), StoreErrorKind::OutcomeUnknown);
    assert_eq!(kind(put(&store, "t").await), StoreErrorKind::Unavailable, "no connection can be opened");
    server.go_on();
    put(&store, "t").await.unwrap();
    assert_eq!(kind(put(&store, "s").await), StoreErrorKind::Conflict, "it had been stored");
}
