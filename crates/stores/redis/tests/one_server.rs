//! One server: what is on the wire, what is in Redis, and what happens when the server has a bad day.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use authflow_core::StoreErrorKind;
use authflow_redis::{ConnectError, RedisConfig, RedisStateStore};
use support::{Proxy, Server, TTL, free_port, key, kind, put, put_of, take, until_noticed};

fn config(server: &Server) -> RedisConfig {
    RedisConfig::server(&server.url()).unwrap()
}

async fn connect(server: &Server) -> RedisStateStore {
    RedisStateStore::connect(config(server)).await.unwrap()
}

fn redis_key(prefix: &str, state: &str) -> Vec<u8> {
    [prefix.as_bytes(), key(state).as_bytes()].concat()
}

#[tokio::test]
async fn a_flow_is_one_key_that_redis_lets_expire() {
    let server = Server::start(&[]);
    let store = connect(&server).await;
    put(&store, "s").await.unwrap();

    let mut admin = server.admin().await;
    let left: i64 =
        redis::cmd("PTTL").arg(redis_key("authflow:", "s")).query_async(&mut admin).await.unwrap();
    assert!(left > 0 && left <= TTL.as_millis() as i64, "{left}");
    let size: usize =
        redis::cmd("STRLEN").arg(redis_key("authflow:", "s")).query_async(&mut admin).await.unwrap();
    assert!(size < 170, "{size}");
    assert_eq!(server.ask::<usize>(&["DBSIZE"]).await, 1);

    let expired: bool =
        redis::cmd("PEXPIRE").arg(redis_key("authflow:", "s")).arg(0).query_async(&mut admin).await.unwrap();
    assert!(expired);
    assert_eq!(take(&store, "s").await.unwrap(), None);
    put(&store, "s").await.expect("an expired key is free");
}

#[tokio::test]
async fn a7_prefixes_do_not_mix() {
    let server = Server::start(&[]);
    let one = connect(&server).await;
    let other = RedisStateStore::connect(config(&server).key_prefix("other:")).await.unwrap();
    put(&one, "s").await.unwrap();
    assert_eq!(take(&other, "s").await.unwrap(), None);
    put(&other, "s").await.expect("the same state under another prefix");
    assert_eq!(take(&one, "s").await.unwrap().as_deref(), Some("s"));
    assert_eq!(take(&other, "s").await.unwrap().as_deref(), Some("s"));
}

/// By the server's own count, and by what went over the wire.
#[tokio::test]
async fn each_step_is_one_command_in_one_round_trip() {
    const FLOWS: u64 = 50;
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let store = RedisStateStore::connect(RedisConfig::server(&proxy.url()).unwrap()).await.unwrap();
    let all = || async {
        let stats: String = server.ask(&["INFO", "stats"]).await;
        let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).unwrap();
        line.parse::<u64>().unwrap()
    };
    // What the question itself costs.
    let (first, second) = (all().await, all().await);
    let question = second - first;
    let before = (server.calls("set").await, server.calls("getdel").await, proxy.writes());

    let start = all().await;
    for at in 0..FLOWS {
        put(&store, &at.to_string()).await.unwrap();
        take(&store, &at.to_string()).await.unwrap().unwrap();
    }
    let end = all().await;

    assert_eq!(end - start - question, 2 * FLOWS, "nothing but the two commands is sent");
    assert_eq!(server.calls("set").await - before.0, FLOWS);
    assert_eq!(server.calls("getdel").await - before.1, FLOWS);
    assert_eq!(proxy.writes() - before.2, 2 * usize::try_from(FLOWS).unwrap());
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn x4_killed_between_begin_and_finish_and_restarted_with_its_disk() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = connect(&server).await;
    put(&store, "s").await.unwrap();
    server.sigkill();
    until_noticed(&store).await;
    assert_eq!(kind(take(&store, "s").await), StoreErrorKind::Unavailable, "nothing was used up");
    server.restart();
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
    assert_eq!(take(&store, "s").await.unwrap(), None);
}

#[tokio::test]
async fn x4_killed_between_begin_and_finish_and_restarted_empty() {
    let mut server = Server::start(&["--appendonly", "no"]);
    let store = connect(&server).await;
    put(&store, "s").await.unwrap();
    server.restart();
    until_noticed(&store).await;
    assert_eq!(take(&store, "s").await.unwrap(), None);
    put(&store, "s").await.expect("and on it goes");
}

/// However many ask at once while the server is down, none waits for the others' attempts.
#[tokio::test]
async fn x26_a_server_that_is_down_is_unavailable_for_all() {
    let mut server = Server::start(&[]);
    let store = connect(&server).await;
    server.sigkill();
    let calls: Vec<_> = (0..64)
        .map(|at| {
            let store = store.clone();
            tokio::spawn(async move { kind(put(&store, &at.to_string()).await) })
        })
        .collect();
    for call in calls {
        // A command may have been on its way when the connection broke; none is claimed to have been stored.
        let kind = call.await.unwrap();
        assert!(matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::OutcomeUnknown), "{kind:?}");
    }
    assert_eq!(kind(put(&store, "s").await), StoreErrorKind::Unavailable);
    server.restart();
    put(&store, "s").await.unwrap();
}

#[tokio::test]
async fn x7_a_server_out_of_memory_is_unavailable() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let store = connect(&server).await;
    put(&store, "before").await.unwrap();
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "100kb"]).await;
    let () = server.ask(&["CONFIG", "SET", "maxmemory-clients", "0"]).await;
    let error = put(&store, "s").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("OOM") && source.contains("maxmemory"), "{source}");
    assert_eq!(take(&store, "before").await.unwrap().as_deref(), Some("before"), "reading goes on");
    // A server that is full when the application starts does not keep it from starting.
    let again = connect(&server).await;
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    put(&again, "s").await.expect("typed, retryable, and over");
}

/// The server is stopped, not gone: it carries out what it was sent when it goes on.
#[tokio::test]
async fn x7_a_server_that_is_too_slow_leaves_the_outcome_unknown() {
    let server = Server::start(&[]);
    let store =
        RedisStateStore::connect(config(&server).response_timeout(Duration::from_millis(150))).await.unwrap();
    put(&store, "s").await.unwrap();
    server.stop();
    assert_eq!(kind(take(&store, "s").await), StoreErrorKind::OutcomeUnknown);
    assert_eq!(kind(put(&store, "t").await), StoreErrorKind::OutcomeUnknown);
    server.go_on();
    support::until("the server has caught up", || async { server.calls("getdel").await == 2 }).await;
    assert_eq!(take(&store, "s").await.unwrap(), None, "it had been used up");
    assert_eq!(server.calls("getdel").await, 3, "the probe, the lost one, and this one");
}

#[tokio::test]
async fn what_is_not_a_flow_is_corrupt_and_gone() {
    let server = Server::start(&[]);
    let store = connect(&server).await;
    let mut admin = server.admin().await;
    let () = redis::cmd("SET")
        .arg(redis_key("authflow:", "s"))
        .arg(b"\x02 another format")
        .query_async(&mut admin)
        .await
        .unwrap();
    assert_eq!(kind(take(&store, "s").await), StoreErrorKind::Corrupt);
    assert_eq!(take(&store, "s").await.unwrap(), None);
    let () = redis::cmd("LPUSH")
        .arg(redis_key("authflow:", "t"))
        .arg("a list")
        .query_async(&mut admin)
        .await
        .unwrap();
    assert_eq!(kind(take(&store, "t").await), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn user_and_password() {
    let rights = "user app on >hunter2 ~authflow:* -@all +set +getdel";
    let rules: Vec<&str> = rights.split(' ').collect();
    let server = Server::start(&[&["--requirepass", "hunter1"][..], &["--user"], &rules[1..]].concat());
    // The rights of README.md are enough.
    let url = format!("redis://app:hunter2@127.0.0.1:{}", server.port);
    let store = RedisStateStore::connect(RedisConfig::server(&url).unwrap()).await.unwrap();
    put(&store, "s").await.unwrap();
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
    assert!(!format!("{store:?}").contains("hunter2"));
    let capped = RedisConfig::server(&url).unwrap().bucket_capacity(1);
    let capped = RedisStateStore::connect(capped).await.unwrap();
    for state in ["pushed out", "t"] {
        put_of(&capped, "one", state).await.unwrap();
    }
    assert_eq!(take(&capped, "pushed out").await.unwrap(), None, "also to remove the oldest of a bucket");
    let config = config(&server).username("app").password("hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    RedisStateStore::connect(config).await.unwrap();

    let refused = |url: String| async move {
        let error = RedisStateStore::connect(RedisConfig::server(&url).unwrap()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
        error
    };
    for login in ["app:hunter3@", "nobody:hunter2@", ":hunter2@", ""] {
        let error = refused(format!("redis://{login}127.0.0.1:{}", server.port)).await;
        assert!(matches!(error, ConnectError::Authentication), "{login} {error:?}");
    }
    let foreign = RedisConfig::server(&url).unwrap().key_prefix("other:");
    let error = RedisStateStore::connect(foreign).await.unwrap_err();
    assert!(matches!(error, ConnectError::Permission), "{error:?}");
    assert!(error.to_string().contains("+getdel"), "{error}");
}

#[tokio::test]
async fn a_server_without_getdel_is_found_at_the_start() {
    let server = Server::start(&["--rename-command", "GETDEL", ""]);
    let error = RedisStateStore::connect(config(&server)).await.unwrap_err();
    assert!(matches!(&error, ConnectError::TooOld { version: Some(_) }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("6.2") && text.contains("this is "), "{text}");
}

#[tokio::test]
async fn a_replica_is_found_at_the_start() {
    let master = Server::start(&[]);
    let replica = Server::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let error = RedisStateStore::connect(config(&replica)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Replica), "{error:?}");
}

#[tokio::test]
async fn a_server_of_another_kind_is_found_at_the_start() {
    let alone = Server::start(&[]);
    let error = RedisStateStore::connect(RedisConfig::cluster([alone.url()]).unwrap()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotACluster), "{error:?}");
    let node = Server::start(&["--cluster-enabled", "yes"]);
    let error = RedisStateStore::connect(config(&node)).await.unwrap_err();
    assert!(matches!(error, ConnectError::IsCluster), "{error:?}");
    let error = RedisStateStore::connect(RedisConfig::cluster([node.url()]).unwrap()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotACluster | ConnectError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_found_at_the_start() {
    let config = RedisConfig::server(&format!("redis://127.0.0.1:{}", free_port())).unwrap();
    let error = RedisStateStore::connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
}

/// A peer that accepts and says nothing keeps nobody waiting for ever.
#[tokio::test]
async fn x6_a_silent_server_is_given_up() {
    let server = Server::start(&["--requirepass", "hunter2"]);
    server.stop();
    let config = config(&server).password("hunter2").connection_timeout(Duration::from_millis(150));
    let error = RedisStateStore::connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
}

/// `timeout` of redis.conf: the first call after a quiet night must not be lost to a connection that was closed long ago.
#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_before_anything_is_sent() {
    let server = Server::start(&[]);
    let store = connect(&server).await;
    put(&store, "s").await.unwrap();
    let killed: usize = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    assert_eq!(killed, 1);
    until_noticed(&store).await;
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
}

#[tokio::test]
async fn a_database_is_selected_and_one_that_is_not_there_is_found_at_the_start() {
    let server = Server::start(&["--databases", "2"]);
    let at = |database: &str| RedisConfig::server(&format!("{}/{database}", server.url())).unwrap();
    let store = RedisStateStore::connect(at("1")).await.unwrap();
    put(&store, "s").await.unwrap();
    let keys: String = server.ask(&["INFO", "keyspace"]).await;
    assert!(keys.contains("db1:keys=1") && !keys.contains("db0"), "{keys}");
    assert_eq!(take(&connect(&server).await, "s").await.unwrap(), None);
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));

    let error = RedisStateStore::connect(at("2")).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Refused(source) if source.to_string().contains("database")),
        "{error:?}"
    );
    let guarded = Server::start(&["--requirepass", "hunter2"]);
    let config = RedisConfig::server(&format!("{}/1", guarded.url())).unwrap();
    let error = RedisStateStore::connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Authentication), "{error:?}");
}

/// Such a server repeats in its answer what it was told.
#[tokio::test]
async fn h1_a_server_that_does_not_know_auth_does_not_get_the_password_into_an_error() {
    let server = Server::start(&["--rename-command", "AUTH", ""]);
    let config = config(&server).username("app").password("hunter2");
    let error = RedisStateStore::connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Authentication), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn time_limits_beyond_all_clocks_are_only_very_long() {
    let server = Server::start(&[]);
    let config = config(&server).connection_timeout(Duration::MAX).response_timeout(Duration::MAX);
    let store = RedisStateStore::connect(config).await.unwrap();
    put(&store, "s").await.unwrap();
    assert_eq!(take(&store, "s").await.unwrap().as_deref(), Some("s"));
}
