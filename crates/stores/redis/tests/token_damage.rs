//! Records that are damaged in Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_core::{
    LeaseRequest, Loaded, Page, Remove, RemoveOutcome, StoreErrorKind, TokenStore as _, Version,
};
use authflow_redis::RedisTokenStore;
use redis::aio::MultiplexedConnection;
use support::Server;
use support::tokens::{
    LONG, all_errors, bytes, connect_as, connection, due, fields, found, holder, mark, open, redis_key,
    set_field,
};

async fn field(admin: &mut MultiplexedConnection, redis_key: &[u8], name: &str, value: &[u8]) {
    redis::cmd("HSET").arg(redis_key).arg(name).arg(value).exec_async(admin).await.unwrap();
}

async fn is_corrupt(store: &RedisTokenStore, key: &authflow_core::ConnectionKey, what: &str) {
    match store.load(key).await {
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{what}"),
        Ok(loaded) => panic!("{what}: {loaded:?}"),
    }
}

/// Each bit of each field, with lease and mark; and each field cut off, longer, or gone.
#[tokio::test]
async fn x20_a_bit_that_flips_is_corrupt() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let (key, owner) = (connection("user"), holder());
    connect_as(&store, &key, "sealed bytes").await.unwrap();
    store.lease(&key, LeaseRequest::new(owner, LONG).mark(mark(owner))).await.unwrap();
    let redis_key = redis_key(&server, &key).await.unwrap();
    let sound = fields(&server, &redis_key).await;
    let mut names: Vec<_> = sound.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["c", "h", "k", "l", "m", "s"]);
    let mut admin = server.admin().await;
    for (name, value) in &sound {
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            field(&mut admin, &redis_key, name, &flipped).await;
            is_corrupt(&store, &key, &format!("{name} {bit}")).await;
        }
        for wrong in [&value[..value.len() - 1], &value[1..], &[&value[..], b"0"].concat(), b""] {
            field(&mut admin, &redis_key, name, wrong).await;
            is_corrupt(&store, &key, &format!("{name} {wrong:?}")).await;
        }
        if ["c", "h", "k", "s"].contains(&name.as_str()) {
            redis::cmd("HDEL").arg(&redis_key).arg(name).exec_async(&mut admin).await.unwrap();
            is_corrupt(&store, &key, name).await;
        }
        field(&mut admin, &redis_key, name, value).await;
        let record = found(&store, &key).await.unwrap().unwrap();
        assert_eq!((bytes(&record), record.mark.is_some()), ("sealed bytes", true));
    }
}

#[tokio::test]
async fn x20_a_bit_that_flips_in_a_tombstone_is_corrupt() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let key = connection("user");
    connect_as(&store, &key, "sealed").await.unwrap();
    let redis_key = redis_key(&server, &key).await.unwrap();
    store.remove(&key, Remove::new(LONG)).await.unwrap();
    let sound = fields(&server, &redis_key).await;
    let mut admin = server.admin().await;
    for bit in 0..sound[0].1.len() * 8 {
        let mut flipped = sound[0].1.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        field(&mut admin, &redis_key, "t", &flipped).await;
        is_corrupt(&store, &key, &bit.to_string()).await;
    }
    field(&mut admin, &redis_key, "t", &sound[0].1).await;
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Tombstone(_)));
}

/// Each operation that has to read the record says so, and leaves it as it is. It hides no other, and a connect replaces it.
#[tokio::test]
async fn f14_what_is_no_hash_is_corrupt_and_stays() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let (key, other) = (connection("user"), connection("user").with_account("other"));
    let version = connect_as(&store, &key, "one").await.unwrap();
    connect_as(&store, &other, "two").await.unwrap();
    let redis_key = redis_key(&server, &key).await.unwrap();
    let mut admin = server.admin().await;
    redis::cmd("SET").arg(&redis_key).arg("a string").exec_async(&mut admin).await.unwrap();
    is_corrupt(&store, &key, "a string").await;
    for (operation, error) in all_errors(&store, &key, version).await.into_iter().skip(1) {
        // The first of them is a connect.
        assert!(error.is_none(), "{operation} {error:?}");
    }
    redis::cmd("SET").arg(&redis_key).arg("a string").exec_async(&mut admin).await.unwrap();
    for (operation, result) in [
        ("renew", store.renew(&key, &holder(), authflow_core::Renew::new(LONG)).await.map(|_| ())),
        ("lease", store.lease(&key, LeaseRequest::new(holder(), LONG)).await.map(|_| ())),
        ("remove", store.remove(&key, Remove::new(LONG).if_version(version)).await.map(|_| ())),
    ] {
        assert_eq!(result.unwrap_err().kind(), StoreErrorKind::Corrupt, "{operation}");
    }
    let page = Page::first(10);
    let listed = store.list_by_user(key.user(), &page).await.unwrap();
    assert_eq!((listed.unreadable, listed.records.len()), (1, 1));
    let walked = store.walk(key.shard(), &page).await.unwrap().keys;
    assert_eq!(walked, std::slice::from_ref(&other), "nobody can be told its name");
    assert_eq!(store.due_before(key.shard(), due(1), &page).await.unwrap().keys, [other]);
    let removed = store.remove(&key, Remove::new(LONG)).await.unwrap();
    let RemoveOutcome::Removed { record: None, tombstone } = removed else { panic!("{removed:?}") };
    assert_ne!(tombstone.incarnation(), version.incarnation());
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Tombstone(of) if of == tombstone));
}

/// Whole, and sound in itself, but another's: of another user, or of the same one.
#[tokio::test]
async fn x20_a_record_that_is_moved_is_corrupt() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let key = connection("user");
    let version = connect_as(&store, &key, "mine").await.unwrap();
    let mine = redis_key(&server, &key).await.unwrap();
    for other in [connection("another user"), connection("user").with_account("other")] {
        connect_as(&store, &other, "theirs").await.unwrap();
        let theirs = redis_key(&server, &other).await.unwrap();
        let sound = fields(&server, &mine).await;
        for (name, value) in fields(&server, &theirs).await {
            set_field(&server, &mine, &name, &value).await;
        }
        is_corrupt(&store, &key, "another's record").await;
        let lease = store.lease(&key, LeaseRequest::new(holder(), LONG)).await;
        assert_eq!(lease.unwrap_err().kind(), StoreErrorKind::Corrupt);
        let listed = store.list_by_user(key.user(), &Page::first(10)).await.unwrap();
        assert_eq!(listed.unreadable, 1);
        assert!(listed.records.iter().all(|record| record.key != key));
        // The sealed bytes alone.
        for (name, value) in &sound {
            set_field(&server, &mine, name, value).await;
        }
        found(&store, &key).await.unwrap().unwrap();
        set_field(&server, &mine, "s", b"theirs").await;
        is_corrupt(&store, &key, "another's bytes").await;
        set_field(&server, &mine, "s", b"mine").await;
        assert_eq!(found(&store, &key).await.unwrap().unwrap().version, version);
    }
}

/// A record that is gone from under its indexes: it is absent, and is not there for those who list and sweep.
#[tokio::test]
async fn f27_a_record_that_was_evicted_is_absent() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let key = connection("user");
    let version = connect_as(&store, &key, "sealed").await.unwrap();
    let redis_key = redis_key(&server, &key).await.unwrap();
    let mut admin = server.admin().await;
    redis::cmd("DEL").arg(&redis_key).exec_async(&mut admin).await.unwrap();
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Absent));
    let page = Page::first(10);
    let listed = store.list_by_user(key.user(), &page).await.unwrap();
    assert_eq!((listed.unreadable, listed.records.len()), (1, 0), "that it was there is still known");
    assert!(store.walk(key.shard(), &page).await.unwrap().keys.is_empty());
    assert!(store.due_before(key.shard(), due(1), &page).await.unwrap().keys.is_empty());
    let removed = store.remove(&key, Remove::new(LONG)).await.unwrap();
    assert!(matches!(removed, RemoveOutcome::Absent), "{removed:?}");
    assert_eq!(store.list_by_user(key.user(), &page).await.unwrap().unreadable, 0, "now it is forgotten");
    assert!(server.ask::<Vec<Vec<u8>>>(&["KEYS", "*"]).await.is_empty());
    connect_as(&store, &key, "again").await.unwrap();
    assert_ne!(found(&store, &key).await.unwrap().unwrap().version, Version::first(*version.incarnation()));
}
