//! Six nodes: three masters, three replicas.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use authflow_core::StoreErrorKind;
use authflow_redis::{RedisConfig, RedisStateStore};
use authflow_testkit::conformance::state_store::{self, StateStoreCapabilities};
use support::{Cluster, key, kind, put, take, until_taken};

#[tokio::test]
async fn a_cluster_conforms_and_follows_its_slots() {
    let cluster = Cluster::start().await;
    let store = cluster.connect().await;

    // One command each, to the right node at once.
    let before = (cluster.calls("set").await, cluster.calls("getdel").await);
    for at in 0..60 {
        put(&store, &at.to_string()).await.unwrap();
        assert_eq!(take(&store, &at.to_string()).await.unwrap(), Some(at.to_string()));
    }
    assert_eq!(cluster.calls("set").await - before.0, 60);
    assert_eq!(cluster.calls("getdel").await - before.1, 60);
    for node in &cluster.0 {
        let errors: String = node.ask(&["INFO", "errorstats"]).await;
        assert!(!errors.contains("MOVED"), "{errors}");
    }

    let capabilities =
        StateStoreCapabilities::default().shares_keys_between_instances(true).expires_by_clock(false);
    let make = || async { cluster.connect().await };
    let skipped = state_store::all(make, &capabilities).await.unwrap();
    assert!(skipped.iter().all(|(name, _)| name.contains("ttl") || name.contains("expired")), "{skipped:?}");

    redirections(&cluster, &store).await;
}

/// A slot moves from one master to another. Each command is carried out once, wherever the slot is.
async fn redirections(cluster: &Cluster, store: &RedisStateStore) {
    for node in &cluster.0 {
        let _ = redis::cmd("FLUSHALL").exec_async(&mut node.admin().await).await;
    }
    put(store, "s").await.unwrap();
    let from = &cluster.0[cluster.holder().await];
    let others = cluster.masters().await;
    let to = others.into_iter().map(|at| &cluster.0[at]).find(|node| node.port != from.port).unwrap();
    let redis_key = [b"authflow:", &key("s").as_bytes()[..]].concat();
    let mut admin = from.admin().await;
    let slot: u16 =
        redis::cmd("CLUSTER").arg("KEYSLOT").arg(redis_key).query_async(&mut admin).await.unwrap();
    let slot = slot.to_string();
    let (from_id, to_id): (String, String) =
        (from.ask(&["CLUSTER", "MYID"]).await, to.ask(&["CLUSTER", "MYID"]).await);

    let () = to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    let () = from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
    assert_eq!(take(store, "s").await.unwrap().as_deref(), Some("s"), "what is still there is found there");
    let before = (cluster.calls("set").await, cluster.calls("getdel").await);
    put(store, "s").await.expect("ASK is followed");
    assert_eq!(to.ask::<usize>(&["DBSIZE"]).await, 1, "what is new is stored where the slot goes");
    assert_eq!(take(store, "s").await.unwrap().as_deref(), Some("s"));
    assert_eq!(cluster.calls("set").await - before.0, 1);
    assert_eq!(cluster.calls("getdel").await - before.1, 1);

    let () = to.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    let () = from.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    let before = (cluster.calls("set").await, cluster.calls("getdel").await);
    put(store, "s").await.expect("MOVED is followed");
    assert_eq!(take(store, "s").await.unwrap().as_deref(), Some("s"));
    assert_eq!(cluster.calls("set").await - before.0, 1);
    assert_eq!(cluster.calls("getdel").await - before.1, 1);
}

#[tokio::test]
async fn x4_a_master_is_killed_between_begin_and_finish() {
    let mut cluster = Cluster::start().await;
    let store = cluster.connect().await;
    put(&store, "s").await.unwrap();
    let holder = cluster.holder().await;
    cluster.until_copied(1).await;

    cluster.0[holder].sigkill();
    // Whatever is asked of another node lets the closed connection be noticed.
    let _: String = cluster.0[(holder + 1) % 6].ask(&["PING"]).await;
    until_taken(&store, "s", "the replica has taken over").await;
    assert_eq!(take(&store, "s").await.unwrap(), None);
    put(&store, "s").await.unwrap();
}

/// The master is there and says nothing, to nobody: no connection to it can be opened, and none is refused.
#[tokio::test]
async fn x6_a_master_falls_silent_between_begin_and_finish() {
    let cluster = Cluster::start().await;
    let url = format!("redis://app:hunter2@127.0.0.1:{}", cluster.0[0].port);
    let short = Duration::from_millis(400);
    let config = RedisConfig::cluster([url]).unwrap().connection_timeout(short).response_timeout(2 * short);
    let store = RedisStateStore::connect(config).await.unwrap();
    put(&store, "s").await.unwrap();
    let holder = cluster.holder().await;
    cluster.until_copied(1).await;

    cluster.0[holder].stop();
    assert_eq!(kind(take(&store, "s").await), StoreErrorKind::OutcomeUnknown, "it was sent");
    until_taken(&store, "s", "the replica has taken over").await;
    put(&store, "s").await.unwrap();
}

/// Every master is full, as a cluster is that fills up evenly. Nothing is lost, and it goes on as soon as there is room.
#[tokio::test]
async fn x7_masters_out_of_memory_are_unavailable_and_lose_nothing() {
    let cluster = Cluster::start().await;
    let store = cluster.connect().await;
    let masters = cluster.masters().await;
    put(&store, "before").await.unwrap();
    for at in &masters {
        let () = cluster.0[*at].ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
        let () = cluster.0[*at].ask(&["CONFIG", "SET", "maxmemory-clients", "0"]).await;
        let () = cluster.0[*at].ask(&["CONFIG", "SET", "maxmemory", "100kb"]).await;
    }
    // So many that each master is asked.
    let full: Vec<String> = (0..24).map(|at| at.to_string()).collect();
    for state in &full {
        let error = put(&store, state).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{state}: it may be tried again");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("OOM") && source.contains("maxmemory"), "{source}");
    }
    for at in &masters {
        let refused: String = cluster.0[*at].ask(&["INFO", "errorstats"]).await;
        assert!(refused.contains("errorstat_OOM"), "{refused}");
    }
    assert_eq!(take(&store, "before").await.unwrap().as_deref(), Some("before"), "reading goes on");

    for at in &masters {
        let () = cluster.0[*at].ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    }
    for state in &full {
        assert_eq!(take(&store, state).await.unwrap(), None, "what was refused is not there");
        put(&store, state).await.expect("typed, retryable, and over");
    }
    for state in &full {
        assert_eq!(take(&store, state).await.unwrap().as_ref(), Some(state));
    }
}

/// The master is killed and is back at once, on the same port and with its disk, as by a supervisor.
#[tokio::test]
async fn x4_a_master_is_killed_and_started_again_on_its_port() {
    let mut cluster = Cluster::start().await;
    let store = cluster.connect().await;
    put(&store, "s").await.unwrap();
    let holder = cluster.holder().await;
    cluster.until_copied(1).await;
    // What it holds is on its disk, so that it is there whether it comes back as the master or its replica has taken over.
    let () = cluster.0[holder].ask(&["SAVE"]).await;
    cluster.0[holder].sigkill();
    // Whatever is asked of another node lets the closed connection be noticed.
    let _: String = cluster.0[(holder + 1) % 6].ask(&["PING"]).await;
    cluster.0[holder].restart();

    until_taken(&store, "s", "its slots are served again").await;
    assert_eq!(take(&store, "s").await.unwrap(), None);
    for at in 0..24 {
        put(&store, &at.to_string()).await.expect("all slots are served");
        assert_eq!(take(&store, &at.to_string()).await.unwrap(), Some(at.to_string()));
    }
    let restarted: String = cluster.0[holder].ask(&["CLUSTER", "INFO"]).await;
    assert!(restarted.contains("cluster_state:ok"), "{restarted}");
}
