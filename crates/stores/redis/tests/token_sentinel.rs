//! Connections on a master that a sentinel names.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use authflow_core::{LeaseOutcome, LeaseRequest, TokenStore};
use authflow_redis::{RedisConfig, RedisTokenStore};
use authflow_testkit::conformance::token_store::{self, TokenStoreFixture};
use support::tokens::{
    LONG, all_work, bytes, connect_as, connection, holder, lengthen_lease, redis_key, set_field, taken_over,
};
use support::{Watched, until};

async fn open(watched: &Watched) -> RedisTokenStore {
    let config = RedisConfig::sentinel("redis://mymaster", [watched.sentinel.url()]).unwrap();
    RedisTokenStore::connect(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_named_by_a_sentinel_conforms() {
    let watched = Arc::new(Watched::start().await);
    let fixture = || {
        let watched = Arc::clone(&watched);
        async move {
            let (one, other) = (open(&watched).await, open(&watched).await);
            let lengthening = Arc::clone(&watched);
            TokenStoreFixture::new(one)
                .also(other)
                .damage(move |key| {
                    let watched = Arc::clone(&watched);
                    async move {
                        let redis_key = redis_key(&watched.master, &key).await.unwrap();
                        set_field(&watched.master, &redis_key, "h", b"nonsense").await;
                    }
                })
                .lengthen_lease(move |key, by| {
                    let watched = Arc::clone(&lengthening);
                    async move {
                        let redis_key = redis_key(&watched.master, &key).await.unwrap();
                        lengthen_lease(&watched.master, &redis_key, by).await;
                    }
                })
        }
    };
    let skipped = token_store::all(fixture).await.unwrap();
    assert!(skipped.is_empty(), "{skipped:?}");
    let behind_arc_dyn = || {
        let watched = Arc::clone(&watched);
        async move { TokenStoreFixture::new(Arc::new(open(&watched).await) as Arc<dyn TokenStore>) }
    };
    let skipped = token_store::all(behind_arc_dyn).await.unwrap();
    assert_eq!(skipped.len(), 3, "{skipped:?}");
}

/// The record comes along, and with it the lease: another holder does not get it from the new master.
#[tokio::test]
async fn x4_the_master_is_killed_and_the_lease_lives_on() {
    let mut watched = Watched::start().await;
    let store = open(&watched).await;
    let (key, owner) = (connection("user"), holder());
    connect_as(&store, &key, "one").await.unwrap();
    store.lease(&key, LeaseRequest::new(owner, LONG)).await.unwrap();
    until("the replica has the lease", || async {
        match redis_key(&watched.replica, &key).await {
            Some(redis_key) => support::tokens::fields(&watched.replica, &redis_key).await.len() == 5,
            None => false,
        }
    })
    .await;
    watched.master.sigkill();
    let record = taken_over(&store, &key).await;
    assert_eq!((bytes(&record), record.lease.unwrap().holder), ("one", owner));
    let refused = store.lease(&key, LeaseRequest::new(holder(), LONG)).await.unwrap();
    assert!(matches!(refused, LeaseOutcome::Held { lease, .. } if lease.holder == owner), "{refused:?}");
}

/// The old master becomes a replica. What is asked through an old connection is neither answered from its copy nor lost: the
/// new master is found within the call.
#[tokio::test]
async fn x7_a_demoted_master_is_left_at_once() {
    let watched = Watched::start().await;
    let store = open(&watched).await;
    let key = connection("user");
    let version = connect_as(&store, &key, "one").await.unwrap();
    until("the replica has the connection", || async {
        watched.replica.ask::<usize>(&["DBSIZE"]).await == 3
    })
    .await;
    watched.fail_over().await;
    assert_eq!(bytes(&taken_over(&store, &key).await), "one");
    all_work(&store, &key, version).await;
    let info: String = watched.replica.ask(&["INFO", "replication"]).await;
    assert!(info.contains("role:master"), "{info}");
}
