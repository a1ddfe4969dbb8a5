//! A primary of PostgreSQL and its standby, which lags behind and takes over: X8.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections,
    ErrorKind, Expected, Flow, KeyRing, LeaseRequest, MemoryStateStore, Page, Recovery, Remove, SaveOutcome,
    StoreErrorKind, TokenStore as _,
};
use authflow_sqlx::{ConnectError, MigrateError, SqlDatabase, SqlTokenStore, sqlx};
use authflow_testkit::{AuthorizationServer, LoopbackClient, Outcome, Rotation, ScriptedUser};
use support::{
    Kind, LONG, Proxy, Server, holder, in_time, incarnation, key, one_connection, postgres_pool, record,
    text, until, write,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// It has what it is sent, and does not look at it until it takes over.
const LAG: [&str; 2] = ["-c", "recovery_min_apply_delay=1d"];

/// Waits until the standby was sent all that the primary has written.
async fn is_sent_all(standby: &Server, primary: &Server) {
    let (standby, primary) = (postgres_pool(&standby.url()), postgres_pool(&primary.url()));
    let written = "SELECT CAST(pg_current_wal_flush_lsn() AS text)";
    let written: String = sqlx::query_scalar(written).fetch_one(&primary).await.unwrap();
    until("the standby is sent all", || async {
        let sent = "SELECT COALESCE(pg_last_wal_receive_lsn() >= CAST($1 AS pg_lsn), false)";
        sqlx::query_scalar(sent).bind(&written).fetch_one(&standby).await.unwrap()
    })
    .await;
}

/// The version of the connection that the server has.
async fn counter(server: &Server, key: &ConnectionKey) -> i64 {
    sqlx::query_scalar("SELECT counter FROM authflow_connections WHERE id = $1")
        .bind(&key.id().as_bytes()[..])
        .fetch_one(&postgres_pool(&server.url()))
        .await
        .unwrap()
}

/// A pool of the application's own, or behind a pooler, may lead anywhere: each call finds out by itself.
#[tokio::test]
async fn x8_a_standby_is_not_read_and_is_the_store_once_it_takes_over() {
    let mut primary = Server::start(Kind::Postgres);
    let database = one_connection(&primary.url(), PATIENCE);
    database.migrate().await.unwrap();
    let (store, key, owner) = (SqlTokenStore::new(&database), key("user"), holder());
    let put = store.put(&key, incarnation(), write(b"one")).await.unwrap();
    let standby = primary.standby(&LAG);
    let saved = store.save_if_version(&key, &Expected::version(put), write(b"two")).await.unwrap();
    let SaveOutcome::Saved(saved) = saved else { panic!("{saved:?}") };
    is_sent_all(&standby, &primary).await;
    assert_eq!(counter(&standby, &key).await, 1, "it is behind");

    let followers =
        [false, true].map(|prepares| one_connection(&standby.url(), PATIENCE).prepared_statements(prepares));
    let page = Page::first(10);
    for follower in &followers {
        let (store, absent) = (SqlTokenStore::new(follower), support::key("absent"));
        let reads = [
            in_time(store.load(&key)).await.map(|_| ()),
            in_time(store.load(&absent)).await.map(|_| ()),
            in_time(store.list_by_user(key.user(), &page)).await.map(|_| ()),
            in_time(store.list_by_user(absent.user(), &page)).await.map(|_| ()),
            in_time(store.due_before(key.shard(), std::time::SystemTime::UNIX_EPOCH, &page))
                .await
                .map(|_| ()),
            in_time(store.walk(key.shard(), &page)).await.map(|_| ()),
        ];
        for (at, read) in reads.into_iter().enumerate() {
            let error = read.expect_err("what it holds may be old");
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{at}");
            assert!(text(&error).contains("connect to the primary"), "{at} {}", text(&error));
        }
        let expected = Expected::version(put);
        let writes = [
            in_time(store.put(&key, incarnation(), write(b"new"))).await.map(|_| ()),
            in_time(store.lease(&key, LeaseRequest::new(owner, LONG))).await.map(|_| ()),
            in_time(store.save_if_version(&key, &expected, write(b"new"))).await.map(|_| ()),
            in_time(store.remove(&key, Remove::new(LONG))).await.map(|_| ()),
        ];
        for (at, written) in writes.into_iter().enumerate() {
            let error = written.expect_err("it takes no writes");
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{at} {}", text(&error));
        }
        let refused = follower.migrate().await.unwrap_err();
        assert!(matches!(refused, MigrateError::Database(_)), "{refused:?}");
        assert!(text(&refused).contains("connect to the primary"), "{}", text(&refused));
    }
    let refused = SqlDatabase::connect(&standby.url()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Standby), "{refused:?}");

    // An address that led there for a moment: who is led elsewhere connects there.
    let proxy = Proxy::start(standby.port, "nothing").await;
    let led = SqlTokenStore::new(&one_connection(&primary.url_by(proxy.port), PATIENCE));
    in_time(led.load(&key)).await.unwrap_err();
    proxy.lead_to(primary.port);
    assert_eq!(record(&led, &key).await.version, saved);

    primary.kill();
    standby.promote();
    for follower in &followers {
        follower.migrate().await.unwrap();
        let store = SqlTokenStore::new(follower);
        let found = record(&store, &key).await;
        assert_eq!((found.version, found.sealed.as_bytes()), (saved, &b"two"[..]));
    }
    let database = SqlDatabase::connect(&standby.url()).await.unwrap();
    let (store, expected) = (SqlTokenStore::new(&database), Expected::version(saved));
    let saved = store.save_if_version(&key, &expected, write(b"three")).await.unwrap();
    assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
}

/// One process of an application, which asks the store for every token.
fn process(provider: &AuthorizationServer, database: &SqlDatabase, ring: &KeyRing) -> Connections {
    let credentials =
        ClientCredentials::public(provider.public_client().id()).redirect_uri("http://127.0.0.1/callback");
    let states = Arc::new(MemoryStateStore::new());
    let of = provider.provider("example").build().unwrap();
    let manager = ConfiguredProvider::from_provider(of, credentials, states).unwrap();
    let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
    let builder = Connections::builder().flow(flow).token_store(SqlTokenStore::new(database));
    builder.keys(ring.clone()).store_timeout(2 * PATIENCE).cache_for(Duration::ZERO).build().unwrap()
}

/// The standby would give out a refresh token that was used up: nobody sees it there, and nothing is sent until the standby has
/// taken over with the newest one. The provider ends the grant of who sends one twice.
#[tokio::test]
async fn x8_i1_i4_a_refresh_across_a_failover_sends_the_newest_token_and_no_other() {
    let mut primary = Server::start(Kind::Postgres);
    let proxy = Proxy::start(primary.port, "nothing").await;
    let database = one_connection(&primary.url_by(proxy.port), PATIENCE);
    database.migrate().await.unwrap();
    let rotation = Rotation::Rotate { grace: None };
    let provider = AuthorizationServer::builder().rotation(rotation).start().await.unwrap();
    let ring = KeyRing::generate().unwrap();
    let (one, other) = (process(&provider, &database, &ring), process(&provider, &database, &ring));
    let user = Binding::user("tenant", "user-42");
    let authorization = one.begin("example", &user).unwrap().scope("offline_access").await.unwrap();
    let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    let key = one.complete("example", &response, &user).await.unwrap().key;
    let first = one.token(&key).await.unwrap();

    let standby = primary.standby(&LAG);
    let second = one.token_refused(&first).await.unwrap().unwrap();
    is_sent_all(&standby, &primary).await;
    assert_eq!((counter(&primary, &key).await, counter(&standby, &key).await), (2, 1), "it is behind");

    primary.kill();
    proxy.lead_to(standby.port);
    let error = in_time(other.token(&key)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
    assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{error:?}");
    for process in [&one, &other] {
        in_time(process.refresh_now(&key)).await.unwrap_err();
    }
    assert_eq!(refreshes(&provider), [Outcome::RefreshUsed], "nothing is sent meanwhile");

    standby.promote();
    until("it goes on", || async { one.refresh_now(&key).await.is_ok() }).await;
    assert_eq!(refreshes(&provider), [Outcome::RefreshUsed, Outcome::RefreshUsed]);
    // What it failed with is remembered for a moment.
    until("the other goes on", || async { other.token(&key).await.is_ok() }).await;
    let third = other.token(&key).await.unwrap();
    assert!(![first.expose(), second.expose()].contains(&third.expose()));
    assert_eq!(counter(&standby, &key).await, 3);
    other.refresh_now(&key).await.unwrap();
}

/// What became of each refresh.
fn refreshes(provider: &AuthorizationServer) -> Vec<Outcome> {
    let requests = provider.ledger().token_requests();
    let refreshes = requests.iter().filter(|entry| entry.form_value("grant_type") == Some("refresh_token"));
    refreshes.map(|entry| entry.outcome().clone()).collect()
}
