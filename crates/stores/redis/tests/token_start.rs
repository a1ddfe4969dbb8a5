//! What is found when a token store is opened.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_core::TokenStore as _;
use authflow_redis::{ConnectError, RedisConfig, RedisTokenStore};
use support::tokens::{all_work, connect_as, connection, found, open};
use support::{Parrot, Server, free_port};

/// As in README.md.
const RIGHTS: &str = "~authflow:* -@all +eval +evalsha +time +hset +hget +hmget +hdel +pexpire +del +zadd +zrem +zcount +zrange \
                      +zrangebylex +info";

async fn connect(config: RedisConfig) -> Result<RedisTokenStore, ConnectError> {
    RedisTokenStore::connect(config).await
}

async fn server_with_rights(rights: &str) -> (Server, RedisConfig) {
    let rules: Vec<_> =
        ["--user", "app", "on", ">hunter2"].into_iter().chain(rights.split_whitespace()).collect();
    let server = Server::start(&rules);
    let config = RedisConfig::server(&format!("redis://app:hunter2@127.0.0.1:{}", server.port)).unwrap();
    (server, config)
}

#[tokio::test]
async fn f27_a_server_that_evicts_connections_is_refused() {
    for (policy, refused) in [
        ("allkeys-lru", true),
        ("allkeys-lfu", true),
        ("allkeys-random", true),
        ("noeviction", false),
        ("volatile-lru", false),
        ("volatile-ttl", false),
    ] {
        let server = Server::start(&["--maxmemory-policy", policy]);
        let config = || RedisConfig::server(&server.url()).unwrap();
        let opened = connect(config()).await;
        if !refused {
            opened.unwrap();
            continue;
        }
        let error = opened.unwrap_err();
        assert!(matches!(&error, ConnectError::Evicts { policy: told } if told == policy), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(policy) && text.contains("noeviction"), "{text}");
        connect(config().accept_eviction_of_connections()).await.unwrap();
    }
}

/// Many services forbid `CONFIG`; some forbid `INFO` too, and then nobody knows.
#[tokio::test]
async fn f27_the_policy_is_found_where_config_or_info_is_forbidden() {
    let few = RIGHTS.replace("+info", "");
    for (rights, policy, known) in [
        (RIGHTS.to_owned(), "allkeys-lru", true),
        (format!("{few} +config|get"), "allkeys-lru", true),
        (few.clone(), "allkeys-lru", false),
        (few.clone(), "noeviction", false),
    ] {
        let (server, config) = server_with_rights(&rights).await;
        let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", policy]).await;
        let error = connect(config.clone()).await.unwrap_err();
        match known {
            true => assert!(matches!(error, ConnectError::Evicts { .. }), "{rights} {error:?}"),
            false => assert!(matches!(error, ConnectError::EvictionUnknown), "{rights} {error:?}"),
        }
        connect(config.accept_eviction_of_connections()).await.unwrap();
    }
    let (_server, config) = server_with_rights(&format!("{few} +config|get")).await;
    connect(config).await.expect("it does not evict, and CONFIG says so");
}

/// The rights of README.md are enough for every operation, and each of them is needed.
#[tokio::test]
async fn the_rights_are_those_of_the_readme() {
    let readme = include_str!("../README.md");
    for right in RIGHTS.split_whitespace() {
        assert!(readme.contains(right), "{right} is not in README.md");
    }
    let (server, config) = server_with_rights(RIGHTS).await;
    let store = connect(config.clone()).await.unwrap();
    let key = connection("user");
    let version = connect_as(&store, &key, "one").await.unwrap();
    all_work(&store, &key, version).await;
    store.remove(&key, authflow_core::Remove::new(support::TTL)).await.unwrap();
    assert!(found(&store, &key).await.unwrap().is_none());
    let log: Vec<redis::Value> = server.ask(&["ACL", "LOG"]).await;
    assert!(log.is_empty(), "nothing is asked for that is not allowed: {log:?}");

    let foreign = config.key_prefix("other:");
    let error = connect(foreign).await.unwrap_err();
    assert!(matches!(error, ConnectError::Permission), "{error:?}");
    for right in RIGHTS.split_whitespace().filter(|right| right.starts_with('+') && *right != "+info") {
        if right == "+evalsha" {
            // Not needed to open a store: without it nothing works.
            continue;
        }
        let (_server, config) = server_with_rights(&RIGHTS.replace(&format!("{right} "), "")).await;
        let error = connect(config).await.unwrap_err();
        assert!(matches!(error, ConnectError::Permission), "{right} {error:?}");
    }
}

#[tokio::test]
async fn user_and_password() {
    let server = Server::start(&["--requirepass", "hunter2"]);
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}", server.port);
    let store = connect(RedisConfig::server(&url(":hunter2@")).unwrap()).await.unwrap();
    assert!(!format!("{store:?}").contains("hunter2"), "{store:?}");
    for login in ["", ":hunter3@", "nobody:hunter2@"] {
        let error = connect(RedisConfig::server(&url(login)).unwrap()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Authentication), "{login} {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_of_another_kind_is_found_at_the_start() {
    let alone = Server::start(&[]);
    let error = connect(RedisConfig::cluster([alone.url()]).unwrap()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotACluster), "{error:?}");
    let node = Server::start_cluster_of_one(&[]).await;
    let error = connect(RedisConfig::server(&node.url()).unwrap()).await.unwrap_err();
    assert!(matches!(error, ConnectError::IsCluster), "{error:?}");
    let replica = Server::start(&["--replicaof", "127.0.0.1", &alone.port.to_string()]);
    let error = connect(RedisConfig::server(&replica.url()).unwrap()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Replica), "{error:?}");
    let nobody = RedisConfig::server(&format!("redis://127.0.0.1:{}", free_port())).unwrap();
    let error = connect(nobody).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    let hidden = RedisConfig::server(&alone.url()).unwrap().key_prefix("app{}:");
    let error = connect(hidden).await.unwrap_err();
    assert!(matches!(error, ConnectError::Settings(_)), "{error:?}");
}

/// A server whose answer to the probe makes no sense is no Redis.
#[tokio::test]
async fn x7_what_each_answer_means_at_the_start() {
    let parrot = Parrot::start().await;
    connect(RedisConfig::server(&parrot.url()).unwrap())
        .await
        .expect("its answers are those of a good server");
    for (answer, text) in [
        ("-LOADING hunter2\r\n", "still starting"),
        ("-NOPERM hunter2\r\n", "README"),
        ("-READONLY hunter2\r\n", "replica"),
        ("*1\r\n$7\r\nhunter2\r\n", "not one of Redis"),
        (":7\r\n", "not one of Redis"),
    ] {
        parrot.says(answer);
        let error = connect(RedisConfig::server(&parrot.url()).unwrap()).await.unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let whole = format!("{error} {source}");
        assert!(whole.contains(text), "{answer} {whole}");
        assert!(!format!("{whole} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_full_does_not_keep_an_application_from_starting() {
    let server = Server::start(&[]);
    let key = connection("user");
    connect_as(&open(&server).await, &key, "one").await.unwrap();
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let store = open(&server).await;
    assert!(store.is_durable());
    found(&store, &key).await.unwrap().unwrap();
}
