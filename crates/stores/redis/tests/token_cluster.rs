//! Connections in a cluster of six nodes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;

use authflow_core::{
    ConnectionKey, Loaded, Page, RecordPage, Remove, RemoveOutcome, Shard, StoreErrorKind, TokenStore, User,
};
use authflow_redis::{RedisConfig, RedisTokenStore};
use authflow_testkit::conformance::token_store::{self, TokenStoreFixture};
use support::tokens::{
    LONG, all_work, bytes, connect_as, connection, found, lengthen_lease, redis_key, set_field, taken_over,
};
use support::{Cluster, Server};

async fn open(cluster: &Cluster) -> RedisTokenStore {
    RedisTokenStore::connect(RedisConfig::cluster([cluster.0[0].url()]).unwrap()).await.unwrap()
}

async fn masters(cluster: &Cluster) -> Vec<&Server> {
    cluster.masters().await.into_iter().map(|at| &cluster.0[at]).collect()
}

/// The master that has a connection, and under which key.
async fn place<'c>(cluster: &'c Cluster, key: &ConnectionKey) -> (&'c Server, Vec<u8>) {
    for node in masters(cluster).await {
        if let Some(redis_key) = redis_key(node, key).await {
            return (node, redis_key);
        }
    }
    panic!("no master has {key}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_conforms() {
    let cluster = Arc::new(Cluster::start().await);
    let fixture = || {
        let cluster = Arc::clone(&cluster);
        async move {
            let (one, other) = (open(&cluster).await, open(&cluster).await);
            let lengthening = Arc::clone(&cluster);
            TokenStoreFixture::new(one)
                .also(other)
                .damage(move |key| {
                    let cluster = Arc::clone(&cluster);
                    async move {
                        let (node, redis_key) = place(&cluster, &key).await;
                        set_field(node, &redis_key, "h", b"nonsense").await;
                    }
                })
                .lengthen_lease(move |key, by| {
                    let cluster = Arc::clone(&lengthening);
                    async move {
                        let (node, redis_key) = place(&cluster, &key).await;
                        lengthen_lease(node, &redis_key, by).await;
                    }
                })
        }
    };
    let skipped = token_store::all(fixture).await.unwrap();
    assert!(skipped.is_empty(), "{skipped:?}");

    let behind_arc_dyn = || {
        let cluster = Arc::clone(&cluster);
        async move { TokenStoreFixture::new(Arc::new(open(&cluster).await) as Arc<dyn TokenStore>) }
    };
    let skipped = token_store::all(behind_arc_dyn).await.unwrap();
    assert_eq!(skipped.len(), 3, "{skipped:?}");

    each_operation_is_one_command_to_the_right_node(&cluster).await;
    each_master_has_its_part(&cluster).await;
    f27_each_master_is_asked_whether_it_evicts(&cluster).await;
}

async fn each_operation_is_one_command_to_the_right_node(cluster: &Cluster) {
    let store = open(cluster).await;
    let before = (cluster.calls("evalsha").await, cluster.calls("eval").await);
    for n in 0..60 {
        let key = connection(&format!("user {n}"));
        connect_as(&store, &key, "one").await.unwrap();
        found(&store, &key).await.unwrap().unwrap();
        store.remove(&key, Remove::new(LONG)).await.unwrap();
    }
    assert_eq!(cluster.calls("evalsha").await - before.0, 180);
    assert_eq!(cluster.calls("eval").await, before.1, "all nodes have all scripts by now");
    for node in &cluster.0 {
        let errors: String = node.ask(&["INFO", "errorstats"]).await;
        assert!(!errors.contains("MOVED"), "{errors}");
    }
}

/// There are 64 slots, spread evenly.
async fn each_master_has_its_part(cluster: &Cluster) {
    let store = open(cluster).await;
    let mut shards = HashSet::new();
    for n in 0..2000 {
        let key = connection(&format!("user {n}"));
        if shards.insert(key.shard()) {
            connect_as(&store, &key, "sealed").await.unwrap();
        }
    }
    assert_eq!(shards.len(), Shard::all().len());
    for node in masters(cluster).await {
        let indexes: Vec<Vec<u8>> = node.ask(&["KEYS", "authflow:{*}w"]).await;
        assert!((20..=23).contains(&indexes.len()), "{} of 64 shards are on one of three", indexes.len());
    }
}

async fn f27_each_master_is_asked_whether_it_evicts(cluster: &Cluster) {
    for node in masters(cluster).await {
        let () = node.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
        let config = || RedisConfig::cluster([cluster.0[0].url()]).unwrap();
        let error = RedisTokenStore::connect(config()).await.unwrap_err();
        assert!(matches!(error, authflow_redis::ConnectError::Evicts { .. }), "{error:?}");
        RedisTokenStore::connect(config().accept_eviction_of_connections()).await.unwrap();
        let () = node.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    }
}

/// A shard moves from one master to another, key by key. Whatever is asked meanwhile is answered rightly or refused, and at
/// the end everything is there.
#[tokio::test]
async fn x7_while_a_shard_moves_nothing_wrong_is_answered() {
    let cluster = Cluster::start().await;
    let store = open(&cluster).await;
    let keys: Vec<_> = (0..8).map(|n| connection("user").with_account(n.to_string())).collect();
    let (user, shard) = (keys[0].user().clone(), keys[0].shard());
    for key in &keys {
        connect_as(&store, key, "one").await.unwrap();
    }
    let masters = masters(&cluster).await;
    let mut from = None;
    for node in &masters {
        if let Some(redis_key) = redis_key(node, &keys[0]).await {
            from = Some((*node, redis_key));
        }
    }
    let (from, redis_key) = from.unwrap();
    let to = masters.iter().find(|node| node.port != from.port).unwrap();
    let mut question = redis::cmd("CLUSTER");
    question.arg("KEYSLOT").arg(&redis_key);
    let slot: u16 = question.query_async(&mut from.admin().await).await.unwrap();
    let slot = slot.to_string();
    let (from_id, to_id): (String, String) =
        (from.ask(&["CLUSTER", "MYID"]).await, to.ask(&["CLUSTER", "MYID"]).await);
    let () = to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    let () = from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;

    let mut admin = from.admin().await;
    loop {
        for key in &keys {
            match store.load(key).await {
                Ok(Loaded::Found(record)) => assert_eq!(bytes(&record), "one"),
                Ok(other) => panic!("a connection that is there is loaded as {other:?}"),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
            }
        }
        match store.list_by_user(&user, &Page::first(100)).await {
            Ok(RecordPage { records, unreadable, .. }) => assert_eq!(records.len() + unreadable, keys.len()),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
        match store.walk(shard, &Page::first(100)).await {
            Ok(page) => assert_eq!(page.keys.len(), keys.len(), "each is in it"),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
        let mut left = redis::cmd("CLUSTER");
        left.arg("GETKEYSINSLOT").arg(&slot).arg(100);
        let mut left: Vec<Vec<u8>> = left.query_async(&mut admin).await.unwrap();
        // The indexes first: then they name what is not there yet.
        left.sort_by_key(Vec::len);
        let Some(next) = left.first() else { break };
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(to.port).arg(next).arg(0).arg(5000);
        migrate.exec_async(&mut admin).await.unwrap();
    }
    for node in &masters {
        let () = node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    }
    for key in &keys {
        assert_eq!(bytes(&found(&store, key).await.unwrap().unwrap()), "one");
    }
    let page = Page::first(100);
    assert_eq!(store.list_by_user(&user, &page).await.unwrap().records.len(), keys.len());
    assert_eq!(store.walk(shard, &page).await.unwrap().keys.len(), keys.len());
    let removed = store.remove(&keys[0], Remove::new(LONG)).await.unwrap();
    assert!(matches!(removed, RemoveOutcome::Removed { .. }), "{removed:?}");
    assert_eq!(store.list_by_user(&user, &page).await.unwrap().records.len(), keys.len() - 1);
}

/// A master dies, and its replica takes over.
#[tokio::test]
async fn x4_a_master_is_killed() {
    let mut cluster = Cluster::start().await;
    let store = open(&cluster).await;
    let key = connection("user");
    let version = connect_as(&store, &key, "one").await.unwrap();
    let mut holder = None;
    for at in cluster.masters().await {
        if redis_key(&cluster.0[at], &key).await.is_some() {
            holder = Some(at);
        }
    }
    // The connection and two indexes.
    cluster.until_copied(3).await;
    cluster.0[holder.unwrap()].sigkill();
    assert_eq!(bytes(&taken_over(&store, &key).await), "one");
    all_work(&store, &key, version).await;
    assert!(
        store
            .list_by_user(&User::new("tenant", "another"), &Page::first(1))
            .await
            .unwrap()
            .records
            .is_empty()
    );
}
