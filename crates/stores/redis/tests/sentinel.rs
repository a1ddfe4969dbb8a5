//! A master, a replica and a sentinel.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use authflow_core::StoreErrorKind;
use authflow_redis::{ConnectError, RedisConfig, RedisStateStore};
use support::{Server, Watched, free_port, put, take, until, until_noticed, until_taken};

/// The first sentinel is dead.
async fn connect(watched: &Watched) -> RedisStateStore {
    let sentinels = [format!("redis://127.0.0.1:{}", free_port()), watched.sentinel.url()];
    RedisStateStore::connect(RedisConfig::sentinel("redis://mymaster", sentinels).unwrap()).await.unwrap()
}

async fn until_replicated(watched: &Watched) {
    until("the replica has the flow", || async { watched.replica.ask::<usize>(&["DBSIZE"]).await == 1 })
        .await;
}

#[tokio::test]
async fn the_master_is_found_and_a_failover_followed() {
    let watched = Watched::start().await;
    let store = connect(&watched).await;
    put(&store, "s").await.unwrap();
    assert_eq!(watched.master.calls("set").await, 2, "the probe and the flow");
    until_replicated(&watched).await;

    watched.fail_over().await;
    until("the new master is used", || async {
        match take(&store, "s").await {
            Ok(found) => {
                assert_eq!(found.as_deref(), Some("s"));
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable);
                false
            }
        }
    })
    .await;
    assert_eq!(watched.replica.calls("getdel").await, 1);
}

#[tokio::test]
async fn x4_the_master_is_killed_between_begin_and_finish() {
    let mut watched = Watched::start().await;
    let store = connect(&watched).await;
    put(&store, "s").await.unwrap();
    until_replicated(&watched).await;
    watched.master.sigkill();
    until_noticed(&store).await;
    until_taken(&store, "s", "the replica has taken over").await;
    assert_eq!(take(&store, "s").await.unwrap(), None);
}

#[tokio::test]
async fn what_the_sentinels_do_not_know_is_found_at_the_start() {
    let watched = Watched::start().await;
    let unknown = RedisConfig::sentinel("redis://another", [watched.sentinel.url()]).unwrap();
    let error = RedisStateStore::connect(unknown).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Unreachable(cause) if cause.to_string().contains("name")),
        "{error:?}"
    );
    let no_sentinel = RedisConfig::sentinel("redis://mymaster", [watched.master.url()]).unwrap();
    let error = RedisStateStore::connect(no_sentinel).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
}

/// The master and the sentinel have passwords of their own.
#[tokio::test]
async fn users_and_passwords() {
    let master = Server::start(&["--requirepass", "hunter2"]);
    let sentinel =
        Server::start_sentinel(master.port, "sentinel auth-pass mymaster hunter2\nrequirepass hunter3\n");
    let connect = |master: &'static str, login: &str| {
        let sentinel = format!("redis://{login}127.0.0.1:{}", sentinel.port);
        RedisStateStore::connect(RedisConfig::sentinel(master, [sentinel]).unwrap())
    };
    let store = connect("redis://:hunter2@mymaster", ":hunter3@").await.unwrap();
    put(&store, "s").await.unwrap();
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
    assert!(!format!("{store:?}").contains("hunter"), "{store:?}");
    for (master, login) in [
        ("redis://mymaster", ":hunter3@"),
        ("redis://:hunter3@mymaster", ":hunter3@"),
        ("redis://:hunter2@mymaster", ":hunter2@"),
    ] {
        let error = connect(master, login).await.unwrap_err();
        assert!(matches!(error, ConnectError::Authentication), "{master} {login} {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
    let error = connect("redis://:hunter2@mymaster", "").await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Unreachable(cause) if cause.to_string().contains("password")),
        "{error:?}"
    );
}

#[tokio::test]
async fn x6_a_silent_sentinel_does_not_use_up_the_time() {
    let master = Server::start(&[]);
    let silent = Server::start_sentinel(master.port, "");
    let sentinel = Server::start_sentinel(master.port, "");
    silent.stop();
    let config = |sentinels: &[&Server]| {
        let sentinels = sentinels.iter().map(|sentinel| sentinel.url());
        RedisConfig::sentinel("redis://mymaster", sentinels)
            .unwrap()
            .connection_timeout(Duration::from_millis(800))
    };
    let store = RedisStateStore::connect(config(&[&silent, &sentinel])).await.unwrap();
    put(&store, "s").await.unwrap();
    let error = RedisStateStore::connect(config(&[&silent])).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Unreachable(cause) if cause.to_string().contains("silent")),
        "{error:?}"
    );
}
