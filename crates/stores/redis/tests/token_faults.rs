//! Connections on a server that dies, lags, fills up or falls silent.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use authflow_core::{
    ConnectionKey, Expected, Incarnation, LeaseOutcome, LeaseRequest, Loaded, Page, Release, Remove,
    RemoveOutcome, Renew, SaveOutcome, Shard, StoreError, StoreErrorKind, Tenure, TokenStore as _, Version,
};
use authflow_redis::{RedisConfig, RedisTokenStore};
use support::tokens::{
    LONG, all_errors, bytes, connect_as, connection, due, found, holder, mark, only_reads, open, sealed,
};
use support::{Answers, Proxy, Server, kind, until};

/// A server that is killed while 16 callers write, by how it keeps what it was told. Always: what was acknowledged is there.
/// Otherwise a record is there whole or absent. In each case it is the one that was asked for, and no walk misses it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x4_a_server_killed_under_writers_keeps_whole_records_and_all_of_their_places() {
    for (args, keeps) in [
        (&["--appendonly", "yes", "--appendfsync", "always"][..], true),
        (&["--appendonly", "yes", "--appendfsync", "everysec"][..], false),
        (&["--appendonly", "no"][..], false),
    ] {
        let mut server = Server::start(args);
        let store = open(&server).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..16)
            .map(|writer| {
                let (store, is_over) = (store.clone(), Arc::clone(&is_over));
                tokio::spawn(async move { write_until(&store, writer, &is_over).await })
            })
            .collect();
        until("they are at it", || async { server.calls("evalsha").await > 500 }).await;
        server.sigkill();
        is_over.store(true, Ordering::SeqCst);
        let mut written = HashMap::new();
        for writer in writers {
            written.extend(writer.await.unwrap());
        }
        server.restart();
        let store = open(&server).await;
        let mut walked = Vec::new();
        for shard in Shard::all() {
            let mut page = Page::first(1000);
            loop {
                let read = store.walk(shard, &page).await.unwrap();
                walked.extend(read.keys);
                let Some(next) = read.next else { break };
                page = Page::first(1000).after(next);
            }
        }
        for (key, acknowledged) in &written {
            let left = found(&store, key).await.unwrap();
            if keeps {
                let is_there = left.as_ref().map_or(0, |record| record.version.counter());
                assert!(
                    is_there >= *acknowledged,
                    "{acknowledged} was acknowledged, and {is_there} is there"
                );
            }
            if let Some(record) = &left {
                assert_eq!(record.key, *key);
                assert_eq!(bytes(record), format!("{key} {}", record.version.counter()));
            }
            assert_eq!(walked.contains(key), left.is_some(), "the walk has what is there, {args:?}");
        }
        assert!(args != ["--appendonly", "no"] || walked.is_empty(), "nothing was kept");
    }
}

/// Connects and saves until the server is gone. For each connection, the counter of the last version that was acknowledged; 0 for none.
async fn write_until(
    store: &RedisTokenStore,
    writer: usize,
    is_over: &AtomicBool,
) -> HashMap<ConnectionKey, u64> {
    let mut written = HashMap::new();
    for n in 0..1_000_000 {
        let key = connection(&format!("user {writer} {n}"));
        written.insert(key.clone(), 0);
        let Ok(mut version) = connect_as(store, &key, &format!("{key} 1")).await else { break };
        written.insert(key.clone(), version.counter());
        for _ in 0..3 {
            let write = sealed(&format!("{key} {}", version.counter() + 1)).due_at(Some(due(0)));
            match store.save_if_version(&key, &Expected::version(version), write).await {
                Ok(SaveOutcome::Saved(saved)) => version = saved,
                Ok(other) => panic!("{other:?}"),
                Err(_) => return written,
            }
            written.insert(key.clone(), version.counter());
        }
        if is_over.load(Ordering::SeqCst) {
            break;
        }
    }
    written
}

/// A lease was taken at the old master and did not reach the new one. Both refresh; of their saves one is refused.
#[tokio::test]
async fn x5_f13_after_a_failover_that_lost_the_lease_a_stale_save_is_refused() {
    let master = Server::start(&[]);
    let link = Proxy::start(master.port).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &link.port.to_string()]);
    until("the replica follows its master", || async {
        let info: String = replica.ask(&["INFO", "replication"]).await;
        info.contains("master_link_status:up")
    })
    .await;
    let old = open(&master).await;
    let (key, first, second) = (connection("user"), holder(), holder());
    let version = connect_as(&old, &key, "one").await.unwrap();
    until("the replica has the record", || async { replica.ask::<usize>(&["DBSIZE"]).await == 3 }).await;

    link.answers(Answers::Swallowed);
    let leased = old.lease(&key, LeaseRequest::new(first, LONG).mark(mark(first))).await.unwrap();
    assert!(matches!(leased, LeaseOutcome::Leased { .. }));
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
    let new = open(&replica).await;
    let leased = new.lease(&key, LeaseRequest::new(second, LONG).mark(mark(second))).await.unwrap();
    let LeaseOutcome::Leased { found: None, record } = leased else { panic!("{leased:?}") };
    assert_eq!(record.version, version);

    let saved =
        new.save_if_version(&key, &Expected::version(version), sealed("of the second")).await.unwrap();
    let SaveOutcome::Saved(newest) = saved else { panic!("{saved:?}") };
    // The first one goes on at the new master: its lease is not there, and its version is over.
    assert_eq!(new.renew(&key, &first, Renew::new(LONG)).await.unwrap(), Tenure::Lost);
    let saved = new.save_if_version(&key, &Expected::version(version), sealed("of the first")).await.unwrap();
    let SaveOutcome::Changed(stored) = saved else { panic!("{saved:?}") };
    assert_eq!((bytes(&stored), stored.version), ("of the second", newest));
    assert_eq!(new.release(&key, &first, Release::new()).await.unwrap(), Tenure::Lost);
    assert_eq!(bytes(&found(&new, &key).await.unwrap().unwrap()), "of the second");
}

/// F18: a master that was demoted has an older copy, and answers nothing from it.
#[tokio::test]
async fn x7_f18_a_replica_is_not_read() {
    let server = Server::start(&[]);
    let master = Server::start(&[]);
    let store = open(&server).await;
    let key = connection("user");
    let version = connect_as(&store, &key, "one").await.unwrap();
    let () = server.ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]).await;
    for (operation, error) in all_errors(&store, &key, version).await {
        let error = error.unwrap_or_else(|| panic!("{operation} is answered"));
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{operation}");
    }
    // Nor is what an older copy says, where that is the answer and nothing is to be written.
    let (stranger, other) = (holder(), Version::first(Incarnation::random().unwrap()));
    let expected = Expected::version(other);
    let asked = [
        ("lease", store.lease(&key, LeaseRequest::new(stranger, LONG).if_version(other)).await.map(|_| ())),
        ("renew", store.renew(&key, &stranger, Renew::new(LONG)).await.map(|_| ())),
        ("release", store.release(&key, &stranger, Release::new()).await.map(|_| ())),
        ("save", store.save_if_version(&key, &expected, sealed("two")).await.map(|_| ())),
        ("remove", store.remove(&key, Remove::new(LONG).if_version(other)).await.map(|_| ())),
        ("put", store.put(&key, *version.incarnation(), sealed("two")).await.map(|_| ())),
        ("load", store.load(&key).await.map(|_| ())),
    ];
    let told = |result: &Result<(), StoreError>| match result {
        Err(error) => {
            error.kind() == StoreErrorKind::Unavailable
                && error.source().is_some_and(|source| source.to_string().contains("replica"))
        }
        Ok(()) => false,
    };
    let answered: Vec<_> = asked.iter().filter(|(_, result)| !told(result)).collect();
    assert!(answered.is_empty(), "{answered:?}");
    let () = server.ask(&["REPLICAOF", "NO", "ONE"]).await;
    connect_as(&store, &key, "two").await.unwrap();
}

/// Whoever says nothing is given up in time. What may have been done is not known; what only reads did nothing.
#[tokio::test]
async fn x6_a_server_behind_a_broken_network_is_given_up_in_time() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let short = Duration::from_millis(200);
    let config =
        || RedisConfig::server(&proxy.url()).unwrap().response_timeout(short).connection_timeout(2 * short);
    let store = RedisTokenStore::connect(config()).await.unwrap();
    for broken in [Answers::Lost, Answers::Swallowed, Answers::NotAsked, Answers::Reset] {
        let key = connection(&format!("{broken:?}"));
        let version = connect_as(&store, &key, "one").await.unwrap();
        proxy.answers(broken);
        let errors = tokio::time::timeout(30 * short, all_errors(&store, &key, version)).await;
        let errors = errors.expect("ten calls are given up in time");
        for (operation, error) in errors {
            let error = error.unwrap_or_else(|| panic!("{broken:?} {operation} is answered"));
            let expected = match only_reads(operation) {
                true => StoreErrorKind::Unavailable,
                false => StoreErrorKind::OutcomeUnknown,
            };
            assert_eq!(error.kind(), expected, "{broken:?} {operation}");
        }
        proxy.answers(Answers::Arrive);
        // And it goes on, by itself. What was not answered was done, or was not, and what is there is whole.
        let left = support::in_time(store.load(&key)).await.unwrap();
        match broken {
            Answers::NotAsked | Answers::Reset => {
                assert_eq!(bytes(&left.into_record().unwrap()), "one", "{broken:?}: nothing arrived");
            }
            _ => assert_eq!(bytes(&left.into_record().unwrap()), "put", "{broken:?}: all was done"),
        }
        connect_as(&store, &key, "two").await.unwrap();
    }
}

/// A lost answer is found out about as the contract says: by the lease's holder, and by the version.
#[tokio::test]
async fn x6_what_a_lost_answer_stood_for_is_found_out() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let store = RedisTokenStore::connect(RedisConfig::server(&proxy.url()).unwrap()).await.unwrap();
    let (key, owner) = (connection("user"), holder());
    let version = connect_as(&store, &key, "one").await.unwrap();
    // So that the server knows the scripts: an answer that it does not is lost as any other.
    all_errors(&store, &connection("another"), version).await;
    store.remove(&connection("another"), Remove::new(LONG)).await.unwrap();
    proxy.lose_one();
    let request = || LeaseRequest::new(owner, LONG);
    assert_eq!(kind(store.lease(&key, request()).await), StoreErrorKind::OutcomeUnknown);
    assert!(matches!(store.lease(&key, request()).await.unwrap(), LeaseOutcome::Leased { .. }));
    proxy.lose_one();
    let expected = Expected::version(version);
    let save = || store.save_if_version(&key, &expected, sealed("two"));
    assert_eq!(kind(save().await), StoreErrorKind::OutcomeUnknown);
    let SaveOutcome::Changed(stored) = save().await.unwrap() else { panic!("it was saved") };
    assert_eq!((bytes(&stored), stored.version), ("two", version.next()));
    proxy.lose_one();
    assert_eq!(kind(store.remove(&key, Remove::new(LONG)).await), StoreErrorKind::OutcomeUnknown);
    assert!(matches!(store.remove(&key, Remove::new(LONG)).await.unwrap(), RemoveOutcome::Tombstone(_)));
}

/// A server that is full refuses who is new. Who is connected stays so: a refresh is leased, saved and removed.
#[tokio::test]
async fn x7_a_full_server_refuses_new_connections_and_keeps_the_others() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let store = open(&server).await;
    let (key, owner) = (connection("user"), holder());
    let version = connect_as(&store, &key, "one").await.unwrap();
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let new = connection("new");
    let error = connect_as(&store, &new, "new").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let source = error.source().unwrap().to_string();
    assert!(source.contains("OOM") && source.contains("maxmemory"), "{source}");
    assert!(matches!(store.load(&new).await.unwrap(), Loaded::Absent));
    assert!(!store.walk(new.shard(), &Page::first(10)).await.unwrap().keys.contains(&new));

    let leased = store.lease(&key, LeaseRequest::new(owner, LONG).mark(mark(owner))).await.unwrap();
    assert!(matches!(leased, LeaseOutcome::Leased { .. }), "{leased:?}");
    assert_eq!(store.renew(&key, &owner, Renew::new(LONG)).await.unwrap(), Tenure::Held);
    let write = sealed("a longer one than before").due_at(Some(due(3)));
    let saved = store.save_if_version(&key, &Expected::version(version).held_by(owner), write).await.unwrap();
    let SaveOutcome::Saved(version) = saved else { panic!("{saved:?}") };
    let record = found(&store, &key).await.unwrap().unwrap();
    assert_eq!((bytes(&record), record.version), ("a longer one than before", version));
    assert!(store.due_before(key.shard(), due(4), &Page::first(10)).await.unwrap().keys.contains(&key));
    connect_as(&store, &key, "again").await.expect("who is connected may connect anew");
    let removed = store.remove(&key, Remove::new(LONG)).await.unwrap();
    assert!(matches!(removed, RemoveOutcome::Removed { record: Some(_), .. }), "{removed:?}");
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Tombstone(_)));
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    connect_as(&store, &new, "new").await.expect("typed, retryable, and over");
}

/// A master that has too few replicas has the newest copy all the same: it is read, and takes nothing.
#[tokio::test]
async fn x7_a_master_that_takes_no_writes_is_read() {
    let server = Server::start(&[]);
    let store = open(&server).await;
    let key = connection("user");
    let version = connect_as(&store, &key, "one").await.unwrap();
    let () = server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    for (operation, error) in all_errors(&store, &key, version).await {
        match error {
            None => assert!(only_reads(operation), "{operation}"),
            Some(error) => {
                assert!(!only_reads(operation), "{operation} {error:?}");
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{operation}");
                let source = error.source().unwrap().to_string();
                assert!(source.contains("too few replicas"), "{operation} {source}");
            }
        }
    }
    open(&server).await;
    let record = found(&store, &key).await.unwrap().unwrap();
    assert_eq!((bytes(&record), record.version, record.lease), ("one", version, None));
}

/// The password was changed, and the connection is gone.
#[tokio::test]
async fn x7_a_server_that_wants_another_password_is_unavailable() {
    let server = Server::start(&["--requirepass", "hunter2"]);
    let url = format!("redis://:hunter2@127.0.0.1:{}", server.port);
    let store = RedisTokenStore::connect(RedisConfig::server(&url).unwrap()).await.unwrap();
    let key = connection("user");
    connect_as(&store, &key, "one").await.unwrap();
    let admin = redis::Client::open(url).unwrap();
    let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "hunter3"]).exec_async(&mut admin).await.unwrap();
    redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).exec_async(&mut admin).await.unwrap();
    until("the closed connection is noticed", || async {
        let error = store.load(&key).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let source = error.source().unwrap().to_string();
        assert!(!source.contains("hunter"), "{source}");
        source.contains("password")
    })
    .await;
}
