//! A12: the cap of a bucket, by what is in Redis and what Redis was asked for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_redis::{RedisConfig, RedisStateStore};
use support::{Cluster, Server, put, put_of, take};
use tokio::task::JoinSet;

async fn capped(server: &Server, capacity: usize) -> RedisStateStore {
    let config = RedisConfig::server(&server.url()).unwrap().bucket_capacity(capacity);
    RedisStateStore::connect(config).await.unwrap()
}

async fn keys(server: &Server) -> usize {
    server.ask(&["DBSIZE"]).await
}

#[tokio::test]
async fn a12_ten_thousand_flows_of_one_bucket_are_256_keys() {
    const AT_ONCE: usize = 50;
    let server = Server::start(&[]);
    let store = RedisStateStore::connect(RedisConfig::server(&server.url()).unwrap()).await.unwrap();
    put_of(&store, "neighbour", "waiting").await.unwrap();
    for round in 0..200 {
        let some = (0..AT_ONCE).map(|n| {
            let store = store.clone();
            async move { put_of(&store, "flooder", &format!("{round} {n}")).await.unwrap() }
        });
        some.collect::<JoinSet<_>>().join_all().await;
        if round % 20 == 19 {
            assert_eq!(keys(&server).await, 256 + 1, "after {} flows", (round + 1) * AT_ONCE);
        }
    }
    assert_eq!(take(&store, "waiting").await.unwrap().as_deref(), Some("waiting"));
    put_of(&store, "flooder", "newest").await.unwrap();
    assert_eq!(take(&store, "newest").await.unwrap().as_deref(), Some("newest"));
    assert_eq!(server.calls("set").await, 10_000 + 3, "the probe, the neighbour, and each flow once");
}

/// The clones of a store count together.
#[tokio::test]
async fn a12_only_over_the_cap_another_command_is_sent() {
    let server = Server::start(&[]);
    let store = capped(&server, 3).await;
    let clone = store.clone();
    for (n, removals) in [0, 0, 0, 1, 2].into_iter().enumerate() {
        let by = if n % 2 == 0 { &store } else { &clone };
        put_of(by, "one", &n.to_string()).await.unwrap();
        assert_eq!(server.calls("getdel").await, 1 + removals, "the probe, and what was removed");
        put(by, &format!("of nobody {n}")).await.unwrap();
        assert_eq!(server.calls("getdel").await, 1 + removals);
    }
    for (n, is_there) in [false, false, true, true, true].into_iter().enumerate() {
        assert_eq!(take(&clone, &n.to_string()).await.unwrap().is_some(), is_there, "{n}");
    }
    // What was used takes no place.
    for n in 0..3 {
        put_of(&store, "one", &n.to_string()).await.unwrap();
    }
    assert_eq!(server.calls("getdel").await, 1 + 2 + 5);
}

/// What is promised of several processes, and what is not: each has its cap, and a restart begins at zero.
#[tokio::test]
async fn a12_each_process_counts_what_it_stored() {
    let server = Server::start(&[]);
    let (one, other) = (capped(&server, 3).await, capped(&server, 3).await);
    for n in 0..10 {
        put_of(&one, "flooder", &format!("one {n}")).await.unwrap();
        put_of(&other, "flooder", &format!("other {n}")).await.unwrap();
        assert!(keys(&server).await <= 6);
    }
    assert_eq!(keys(&server).await, 6);
    drop(other);
    let restarted = capped(&server, 3).await;
    for n in 0..10 {
        put_of(&restarted, "flooder", &format!("restarted {n}")).await.unwrap();
    }
    assert_eq!(keys(&server).await, 9, "those of before end with their time to live");
    // One that was finished elsewhere is counted here, and is none to whoever comes after.
    assert!(take(&restarted, "one 9").await.unwrap().is_some());
    put_of(&one, "flooder", "one 10").await.unwrap();
    assert!(take(&one, "one 7").await.unwrap().is_none() && take(&one, "one 8").await.unwrap().is_some());
}

/// A right that was taken away, and a server that is gone when it comes to the removal, are not the caller's affair.
#[tokio::test]
async fn a12_that_the_oldest_cannot_be_removed_is_no_error() {
    let server = Server::start(&[]);
    let store = capped(&server, 1).await;
    put_of(&store, "one", "old").await.unwrap();
    let () = server.ask(&["ACL", "SETUSER", "default", "-getdel"]).await;
    put_of(&store, "one", "new").await.unwrap();
    let () = server.ask(&["ACL", "SETUSER", "default", "+getdel"]).await;
    assert_eq!(take(&store, "old").await.unwrap().as_deref(), Some("old"), "it ends with its time to live");
    assert_eq!(take(&store, "new").await.unwrap().as_deref(), Some("new"));
}

/// The oldest is on another node, mostly.
#[tokio::test]
async fn a12_a_bucket_is_capped_over_all_nodes_of_a_cluster() {
    let cluster = Cluster::start().await;
    let url = format!("redis://app:hunter2@127.0.0.1:{}", cluster.0[0].port);
    let config = RedisConfig::cluster([url]).unwrap().bucket_capacity(5);
    let store = RedisStateStore::connect(config).await.unwrap();
    for n in 0..100 {
        put_of(&store, "flooder", &n.to_string()).await.unwrap();
    }
    let mut kept = 0;
    for master in cluster.masters().await {
        kept += keys(&cluster.0[master]).await;
    }
    assert_eq!(kept, 5);
}
