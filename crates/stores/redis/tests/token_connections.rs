//! `Connections` on Redis: what a bad day of the server, and a record in the wrong place, come to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "support/app.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses a part")]
mod app;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use app::{App, HOUR};
use authflow_core::{AuthorizationResponse, Binding, ErrorKind, Recovery};
use authflow_redis::{RedisConfig, RedisStateStore};
use support::tokens::{fields, redis_key, set_field};
use support::{Answers, Proxy, Server};
/// Of the processes that ask at expiry one sends the request; the others find what it saved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_many_processes_send_one_token_request() {
    let server = Server::start(&[]);
    let config = || RedisConfig::server(&server.url()).unwrap();
    let app = App::new().await;
    let mut processes = Vec::new();
    for _ in 0..8 {
        processes.push(app.process(config()).await);
    }
    let key = app.connect(&processes[0], "user").await;
    for round in 1..=5 {
        app.clock.advance(2 * HOUR);
        let before = app.token_requests();
        let calls: Vec<_> = processes
            .iter()
            .cloned()
            .map(|process| {
                let key = key.clone();
                tokio::spawn(async move { process.token(&key).await.map(|token| token.expose().to_owned()) })
            })
            .collect();
        let mut tokens = Vec::new();
        for call in calls {
            tokens.push(call.await.unwrap().unwrap());
        }
        tokens.dedup();
        assert_eq!((tokens.len(), app.token_requests() - before), (1, 1), "round {round}");
    }
}

/// F8: a refresh token is not sent while nobody could keep what comes back.
#[tokio::test]
async fn x6_f8_no_refresh_while_the_store_cannot_be_reached() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let short = Duration::from_millis(200);
    let config = RedisConfig::server(&proxy.url()).unwrap().response_timeout(short).connection_timeout(short);
    let app = App::new().await;
    let connections = app.process(config).await;
    let key = app.connect(&connections, "user").await;
    app.clock.advance(2 * HOUR);
    let before = app.token_requests();
    for broken in [Answers::Lost, Answers::Swallowed, Answers::NotAsked, Answers::Reset] {
        proxy.answers(broken);
        let error = support::in_time(connections.token(&key)).await.unwrap_err();
        assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{broken:?} {error:?}");
        assert_eq!(app.token_requests(), before, "{broken:?}");
    }
    proxy.answers(Answers::Arrive);
    app.clock.advance(HOUR);
    support::until("it goes on", || async { connections.token(&key).await.is_ok() }).await;
    assert_eq!(app.token_requests(), before + 1);
}

/// Has it take no writes, and be read all the same; or take them again.
async fn takes_writes(server: &Server, takes: bool) {
    let () = server.ask(&["CONFIG", "SET", "min-replicas-to-write", if takes { "0" } else { "1" }]).await;
}

/// To use up the state is a write, and comes first.
#[tokio::test]
async fn x26_no_code_is_sent_while_the_states_are_where_nothing_can_be_written() {
    let server = Server::start(&[]);
    let config = || RedisConfig::server(&server.url()).unwrap();
    let (app, user) = (App::new().await, Binding::user("tenant", "user"));
    let open = async || {
        let states = RedisStateStore::connect(config()).await.unwrap();
        app.process_over(config(), Arc::new(states)).await
    };
    let connections = open().await;
    let callback = app.callback(&connections, &user).await;
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    takes_writes(&server, false).await;
    // One that was there before, and one that is started now.
    for connections in [connections.clone(), open().await] {
        let error = connections.complete("example", &response, &user).await.unwrap_err();
        assert_eq!((error.kind(), app.token_requests()), (ErrorKind::StoreUnavailable, 0), "{error:?}");
        assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{error:?}");
    }
    takes_writes(&server, true).await;
    connections.complete("example", &response, &user).await.unwrap();
    assert_eq!((app.token_requests(), app.revocations()), (1, 0));
}

/// Where the states are elsewhere nothing was written before, and the code is sent. The tokens are offered to Redis a few times,
/// and then given back; the connection that was there before stays.
#[tokio::test]
async fn x26_tokens_for_which_there_is_no_place_are_given_back() {
    let server = Server::start(&[]);
    let (app, user) = (App::new().await, Binding::user("tenant", "user"));
    app.clock.times.store(16, Ordering::SeqCst);
    let connections = app.process(RedisConfig::server(&server.url()).unwrap()).await;
    let key = app.connect(&connections, "user").await;
    let before = connections.token(&key).await.unwrap();
    let callback = app.callback(&connections, &user).await;
    let response = AuthorizationResponse::from_url(&callback).unwrap();

    takes_writes(&server, false).await;
    let error = connections.complete("example", &response, &user).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::NotDurable, Recovery::Reconnect), "{error:?}");
    assert_eq!((app.token_requests(), app.revocations()), (2, 1));
    let reused = connections.complete("example", &response, &user).await.unwrap_err();
    assert_eq!(reused.kind(), ErrorKind::StateNotFound);
    assert_eq!(connections.token(&key).await.unwrap().expose(), before.expose());

    takes_writes(&server, true).await;
    assert_eq!(app.connect(&connections, "user").await, key);
    assert_ne!(connections.token(&key).await.unwrap().expose(), before.expose());
}

/// A pause of the server that is over before long costs nothing. The pauses between the attempts are long, so that no machine
/// is so slow that the last of them comes while the server takes no writes.
#[tokio::test]
async fn x26_tokens_are_kept_once_the_server_takes_writes_again() {
    let server = Server::start(&[]);
    let (app, user) = (App::new().await, Binding::user("tenant", "user"));
    app.clock.longer.store(10, Ordering::SeqCst);
    let connections = app.process(RedisConfig::server(&server.url()).unwrap()).await;
    let callback = app.callback(&connections, &user).await;
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    takes_writes(&server, false).await;
    let completed = tokio::spawn(connections.complete("example", &response, &user).into_future());
    support::until("the code was sent", || async { app.token_requests() == 1 }).await;
    takes_writes(&server, true).await;
    let key = support::in_time(completed).await.unwrap().unwrap().key;
    assert_eq!((app.token_requests(), app.revocations()), (1, 0));
    connections.token(&key).await.unwrap();
}

/// X20, I3: sealed bytes in another's record, with a digest that says that all is well: they do not open there.
#[tokio::test]
async fn x20_swapped_records_do_not_open() {
    let server = Server::start(&[]);
    let app = App::new().await;
    let config = || RedisConfig::server(&server.url()).unwrap();
    let connections = app.process(config()).await;
    let (mine, theirs) = (app.connect(&connections, "me").await, app.connect(&connections, "them").await);
    connections.token(&mine).await.unwrap();
    let token = connections.token(&theirs).await.unwrap().expose().to_owned();
    let (here, there) =
        (redis_key(&server, &mine).await.unwrap(), redis_key(&server, &theirs).await.unwrap());
    let before = app.token_requests();

    // Version and sealed bytes of the other, and my name on them.
    let name_of_mine = fields(&server, &here).await.into_iter().find(|(name, _)| name == "k").unwrap().1;
    for (name, value) in fields(&server, &there).await {
        set_field(&server, &here, &name, &value).await;
    }
    set_field(&server, &here, "k", &name_of_mine).await;
    // Who has served the token before may do so for a while; another process has to read it.
    let another = app.process(config()).await;
    let kind = another.token(&mine).await.unwrap_err().kind();
    assert_eq!(kind, ErrorKind::StoreCorrupt, "the digest is another's");

    const SIGN: &str = "local f = redis.call('HMGET', KEYS[1], 'h', 'k', 's') \
                        table.insert(f, 1, string.sub(KEYS[1], -32)) \
                        for at, part in ipairs(f) do f[at] = #part .. ':' .. part end \
                        redis.call('HSET', KEYS[1], 'c', string.sub(redis.sha1hex(table.concat(f)), 1, 16))";
    let mut sign = redis::cmd("EVAL");
    sign.arg(SIGN).arg(1).arg(&here);
    sign.exec_async(&mut server.admin().await).await.unwrap();
    let error = another.token(&mine).await.unwrap_err();
    assert!(!format!("{error:?}").contains(&token));
    assert_eq!(error.kind(), ErrorKind::StoreCorrupt, "{error:?}");
    assert_eq!(app.token_requests(), before, "nothing was sent");
    assert_eq!(another.token(&theirs).await.unwrap().expose(), token, "the other is as before");
    // Connecting anew puts it right.
    let again = app.connect(&connections, "me").await;
    assert_eq!(again, mine);
    let yet_another = app.process(config()).await;
    assert_ne!(yet_another.token(&mine).await.unwrap().expose(), token);
}

/// What the token store is given to keep holds no token in the clear.
#[tokio::test]
async fn h1_redis_has_no_token_in_the_clear() {
    let server = Server::start(&[]);
    let app = App::new().await;
    let connections = app.process(RedisConfig::server(&server.url()).unwrap()).await;
    let key = app.connect(&connections, "user").await;
    app.clock.advance(2 * HOUR);
    connections.token(&key).await.unwrap();
    let mut admin = server.admin().await;
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut admin).await.unwrap();
    let mut stored = Vec::new();
    for key in keys {
        stored.extend(redis::cmd("DUMP").arg(&key).query_async::<Vec<u8>>(&mut admin).await.unwrap());
        stored.extend(key);
    }
    for (_, value) in fields(&server, &redis_key(&server, &key).await.unwrap()).await {
        stored.extend(value);
    }
    for entry in app.provider.ledger().token_requests() {
        for issued in entry.issued() {
            let secret = issued.value().as_bytes();
            assert!(!stored.windows(secret.len()).any(|window| window == secret), "{:?}", issued.kind());
        }
    }
}
