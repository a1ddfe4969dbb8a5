//! A master, a replica and a sentinel.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_core::StoreErrorKind;
use authflow_redis::{ConnectError, RedisConfig, RedisStateStore};
use support::{Server, free_port, put, take, until, until_noticed};

struct Watched {
    master: Server,
    replica: Server,
    sentinel: Server,
}

async fn watched() -> Watched {
    let master = Server::start(&[]);
    let replica = Server::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    until("the replica follows its master", || async {
        let info: String = replica.ask(&["INFO", "replication"]).await;
        info.contains("master_link_status:up")
    })
    .await;
    let sentinel = Server::start_sentinel(master.port);
    until("the sentinel knows the replica", || async {
        let master: std::collections::HashMap<String, String> =
            sentinel.ask(&["SENTINEL", "MASTER", "mymaster"]).await;
        master.get("num-slaves").is_some_and(|count| count == "1")
    })
    .await;
    Watched { master, replica, sentinel }
}

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
    let watched = watched().await;
    let store = connect(&watched).await;
    put(&store, "s").await.unwrap();
    assert_eq!(watched.master.calls("set").await, 2, "the probe and the flow");
    until_replicated(&watched).await;

    until("the sentinel agrees to a failover", || async {
        let failover = redis::cmd("SENTINEL").arg("FAILOVER").arg("mymaster").to_owned();
        failover.exec_async(&mut watched.sentinel.admin().await).await.is_ok()
    })
    .await;
    until("the old master is a replica", || async {
        let info: String = watched.master.ask(&["INFO", "replication"]).await;
        info.contains("role:slave")
    })
    .await;
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
async fn x26_the_master_is_killed_between_begin_and_finish() {
    let mut watched = watched().await;
    let store = connect(&watched).await;
    put(&store, "s").await.unwrap();
    until_replicated(&watched).await;
    watched.master.sigkill();
    until_noticed(&store).await;
    until("the replica has taken over", || async {
        match take(&store, "s").await {
            Ok(found) => {
                assert_eq!(found.as_deref(), Some("s"));
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "nothing is used up meanwhile");
                false
            }
        }
    })
    .await;
    assert_eq!(take(&store, "s").await.unwrap(), None);
}

#[tokio::test]
async fn what_the_sentinels_do_not_know_is_found_at_the_start() {
    let watched = watched().await;
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
