//! Connections on one server: what is on the wire, and what is in Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use authflow_core::{
    ConnectionKey, Cursor, Expected, Incarnation, LeaseOutcome, LeaseRequest, Loaded, Page, Release, Remove,
    Renew, SaveOutcome, Shard, StoreErrorKind, Tenure, TokenStore as _, User,
};
use authflow_redis::{RedisConfig, RedisTokenStore};
use support::tokens::{
    LONG, all_errors, bytes, connect_as, connection, due, fields, found, holder, mark, open, redis_key,
    sealed,
};
use support::{Proxy, Server};

async fn through(proxy: &Proxy) -> RedisTokenStore {
    RedisTokenStore::connect(RedisConfig::server(&proxy.url()).unwrap()).await.unwrap()
}

/// By the server's own count, and by what went over the wire: `EVALSHA` once for each operation, and nothing else.
#[tokio::test]
async fn each_operation_is_one_command_in_one_round_trip() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let store = through(&proxy).await;
    let key = connection("user");
    // Whoever calls a script first brings it along.
    let version = connect_as(&store, &key, "first").await.unwrap();
    all_errors(&store, &key, version).await;
    let calls = || async {
        let mut all = Vec::new();
        for command in ["evalsha", "eval", "script|load", "config|get"] {
            all.push(server.calls(command).await);
        }
        all
    };

    let (before, writes) = (calls().await, proxy.writes());
    for round in 0..20 {
        let key = connection(&format!("user {round}"));
        let (owner, page) = (holder(), Page::first(10));
        let version = connect_as(&store, &key, "one").await.unwrap();
        assert!(matches!(store.load(&key).await.unwrap(), Loaded::Found(_)));
        let leased = store.lease(&key, LeaseRequest::new(owner, LONG).mark(mark(owner))).await.unwrap();
        assert!(matches!(leased, LeaseOutcome::Leased { .. }));
        assert_eq!(store.renew(&key, &owner, Renew::new(LONG)).await.unwrap(), Tenure::Held);
        assert_eq!(store.release(&key, &owner, Release::new().due_at(due(5))).await.unwrap(), Tenure::Held);
        let write = sealed("two").due_at(Some(due(1)));
        let saved = store.save_if_version(&key, &Expected::version(version), write).await.unwrap();
        assert!(matches!(saved, SaveOutcome::Saved(_)));
        assert_eq!(store.list_by_user(key.user(), &page).await.unwrap().records.len(), 1);
        assert!(!store.due_before(key.shard(), due(2), &page).await.unwrap().keys.is_empty());
        assert!(!store.walk(key.shard(), &page).await.unwrap().keys.is_empty());
        store.remove(&key, Remove::new(LONG)).await.unwrap();
    }
    let after = calls().await;
    assert_eq!(after[0] - before[0], 200, "ten operations, one call each");
    assert_eq!(after[1..], before[1..], "and nothing else");
    assert_eq!(proxy.writes() - writes, 200);
    assert_eq!(proxy.connections(), 1);
}

/// A server that was restarted has no scripts. Who calls one brings it along, once.
#[tokio::test]
async fn a_script_that_the_server_forgot_is_brought_along() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let store = through(&proxy).await;
    let key = connection("user");
    connect_as(&store, &key, "one").await.unwrap();
    found(&store, &key).await.unwrap().unwrap();
    let () = server.ask(&["SCRIPT", "FLUSH"]).await;
    for expected in [2, 1, 1] {
        let before = proxy.writes();
        found(&store, &key).await.unwrap().unwrap();
        assert_eq!(proxy.writes() - before, expected);
    }
}

#[tokio::test]
async fn f28_a_record_has_no_time_to_live_and_a_tombstone_has() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let key = connection("user");
    let ttl = |redis_key: Vec<u8>| {
        let server = &server;
        async move {
            let mut question = redis::cmd("PTTL");
            question.arg(redis_key);
            question.query_async::<i64>(&mut server.admin().await).await.unwrap()
        }
    };
    // Long overdue: its access token ended a while ago.
    let write = sealed("one").due_at(Some(std::time::SystemTime::UNIX_EPOCH));
    let version = store.put(&key, Incarnation::random().unwrap(), write).await.unwrap();
    let redis_key = redis_key(&server, &key).await.unwrap();
    assert_eq!(ttl(redis_key.clone()).await, -1);
    let owner = holder();
    store.lease(&key, LeaseRequest::new(owner, Duration::from_millis(1))).await.unwrap();
    assert_eq!(ttl(redis_key.clone()).await, -1, "nor is the end of a lease one");
    store.save_if_version(&key, &Expected::version(version), sealed("two")).await.unwrap();
    assert_eq!(ttl(redis_key.clone()).await, -1);

    store.remove(&key, Remove::new(LONG)).await.unwrap();
    let left = ttl(redis_key.clone()).await;
    assert!(left > 0 && left <= i64::try_from(LONG.as_millis()).unwrap(), "{left}");
    let kept: Vec<_> = fields(&server, &redis_key).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(kept, ["t"], "a tombstone keeps nothing of what was removed");
    connect_as(&store, &key, "three").await.unwrap();
    assert_eq!(ttl(redis_key).await, -1, "a connect over a tombstone has none either");
    // Only the time of a tombstone without an end is too long for Redis.
    store.remove(&key, Remove::new(Duration::MAX)).await.unwrap();
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Tombstone(_)));
}

/// Names that mean something to Redis, to its clusters or to its scripts make no difference, and are in no name of a key.
#[tokio::test]
async fn f26_names_with_odd_bytes_are_only_names() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let long = "\u{1f600}".repeat(2560);
    let names = [
        "",
        " ",
        "*",
        "?",
        "[a]",
        "{",
        "}",
        "{}",
        "{10}",
        "a{10}c",
        "authflow:{10}w",
        "'",
        "\"",
        "\\",
        "\0",
        "a\0b",
        "\r\n",
        "*1\r\n$8\r\nFLUSHALL\r\n",
        "%00",
        "../../x",
        "a:b",
        "' .. redis.call('FLUSHALL') .. '",
        "-",
        "+",
        "(",
        "[",
        "\u{7f}",
        "\u{fffd}",
        "\u{e9}",
        "e\u{301}",
        long.as_str(),
    ];
    let mut keys = Vec::new();
    for name in names {
        for key in [
            ConnectionKey::new(&User::new(name, "u"), "p"),
            ConnectionKey::new(&User::new("t", name), "p"),
            ConnectionKey::new(&User::new("t", "u"), format!("p{name}")),
            ConnectionKey::new(&User::new("t", "u"), "p").with_account(format!("a{name}")),
        ] {
            connect_as(&store, &key, &keys.len().to_string()).await.unwrap();
            keys.push(key);
        }
    }
    for (n, key) in keys.iter().enumerate() {
        let record = found(&store, key).await.unwrap().unwrap();
        assert_eq!(bytes(&record), n.to_string(), "{n}");
        assert_eq!(record.key.to_bytes(), key.to_bytes());
        let listed = all_of_user(&store, key.user()).await;
        assert_eq!(listed, keys.iter().filter(|other| other.user() == key.user()).cloned().collect());
    }
    let mut walked = HashSet::new();
    for shard in Shard::all() {
        walked.extend(store.walk(shard, &Page::first(1000)).await.unwrap().keys);
    }
    assert_eq!(walked, keys.into_iter().collect());

    let mut admin = server.admin().await;
    let stored: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut admin).await.unwrap();
    for key in stored {
        let tag = key.strip_prefix(b"authflow:{").unwrap();
        let tag = &tag[tag.iter().position(|byte| *byte == b'}').unwrap() + 1..];
        assert!(matches!(tag, [b'w'] | [b'd']) || (tag[0] == b'c' && tag.len() == 33), "{key:?}");
    }
}

async fn all_of_user(store: &RedisTokenStore, user: &User) -> HashSet<ConnectionKey> {
    let (mut keys, mut page) = (HashSet::new(), Page::first(10_000));
    loop {
        let read = store.list_by_user(user, &page).await.unwrap();
        assert_eq!(read.unreadable, 0);
        keys.extend(read.records.into_iter().map(|record| record.key));
        match read.next {
            Some(next) => page = Page::first(10_000).after(next),
            None => return keys,
        }
    }
}

/// However much is asked for, the server is not kept busy by one page.
#[tokio::test]
async fn a_page_has_a_bound_of_its_own() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let key = |n: usize| connection("user").with_account(n.to_string());
    for n in 0..1100 {
        connect_as(&store, &key(n), "sealed").await.unwrap();
    }
    let (all, shard) = (Page::first(usize::MAX), key(0).shard());
    let first = store.list_by_user(key(0).user(), &all).await.unwrap();
    assert_eq!((first.records.len(), first.next.is_some()), (100, true));
    for first in
        [store.walk(shard, &all).await.unwrap(), store.due_before(shard, due(1), &all).await.unwrap()]
    {
        assert_eq!((first.keys.len(), first.next.is_some()), (1000, true));
    }
    assert_eq!(all_of_user(&store, key(0).user()).await, (0..1100).map(key).collect());
}

/// Those that are due at the same time come in an order that does not depend on what is there, so that a page goes on behind
/// a connection that is gone.
#[tokio::test]
async fn what_is_due_goes_on_behind_what_is_gone() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let keys: HashSet<_> = (0..50).map(|n| connection("user").with_account(n.to_string())).collect();
    let shard = connection("user").shard();
    for key in &keys {
        connect_as(&store, key, "sealed").await.unwrap();
    }
    let (mut seen, mut page) = (HashSet::new(), Page::first(3));
    loop {
        let read = store.due_before(shard, due(1), &page).await.unwrap();
        for key in &read.keys {
            assert!(seen.insert(key.clone()), "it comes twice");
        }
        if let Some(last) = read.keys.last() {
            store.remove(last, Remove::new(LONG)).await.unwrap();
        }
        match read.next {
            Some(next) => page = Page::first(3).after(next),
            None => break,
        }
    }
    assert_eq!(seen, keys);
}

#[tokio::test]
async fn x20_a_cursor_of_another_place_is_refused() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let key = connection("user");
    for length in [0, 1, 31, 33, 63, 65, 71, 73, 4096] {
        let page = Page::first(10).after(Cursor::new(vec![7; length]));
        let user = store.list_by_user(key.user(), &page).await.map(|_| ());
        let due = store.due_before(key.shard(), due(1), &page).await.map(|_| ());
        let walk = store.walk(key.shard(), &page).await.map(|_| ());
        for result in [user, due, walk] {
            assert_eq!(result.expect_err("no cursor of that length").kind(), StoreErrorKind::Corrupt);
        }
    }
}

#[tokio::test]
async fn a7_prefixes_do_not_mix() {
    let server = Server::start(&[]);
    let one = open(&server).await;
    let config = RedisConfig::server(&server.url()).unwrap().key_prefix("other:");
    let other = RedisTokenStore::connect(config).await.unwrap();
    let key = connection("user");
    connect_as(&one, &key, "one").await.unwrap();
    assert!(found(&other, &key).await.unwrap().is_none());
    assert!(other.walk(key.shard(), &Page::first(10)).await.unwrap().keys.is_empty());
    connect_as(&other, &key, "other").await.unwrap();
    one.remove(&key, Remove::new(LONG)).await.unwrap();
    assert_eq!(bytes(&found(&other, &key).await.unwrap().unwrap()), "other");
}
