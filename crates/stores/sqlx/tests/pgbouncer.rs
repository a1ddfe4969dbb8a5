//! A pooler in between: PgBouncer, which gives each transaction another connection to PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{Expected, LeaseRequest, SaveOutcome, StoreErrorKind, TokenStore as _};
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore, sqlx};
use authflow_testkit::conformance::state_store::StateStoreCapabilities;
use authflow_testkit::conformance::token_store::{TokenStoreFixture, check_error};
use authflow_testkit::{state_store_conformance, token_store_conformance};
use support::{
    Kind, LONG, PgBouncer, Proxy, Server, database, database_at, holder, in_time, incarnation, key, kind,
    one_connection, postgres_pool, record, text, write,
};

/// How many connections to the server the pooler has, once so many transactions were open at once.
const SERVER_CONNECTIONS: usize = 4;

/// The address of a pooler that has all its connections, and what has to be kept for it.
async fn pooler() -> (String, (PgBouncer, Arc<Server>)) {
    let server = Server::shared(Kind::Postgres);
    let pooler = PgBouncer::start(server.port);
    let url = server.url_by(pooler.port);
    let pool = postgres_pool(&url);
    let mut open = Vec::new();
    for _ in 0..SERVER_CONNECTIONS {
        open.push(pool.begin().await.unwrap());
    }
    (url, (pooler, server))
}

async fn behind_a_pooler() -> SqlDatabase {
    let (url, kept) = pooler().await;
    database_at(&url, kept).await
}

async fn fixture() -> TokenStoreFixture<SqlTokenStore> {
    let (url, kept) = pooler().await;
    let one = SqlTokenStore::new(&database_at(&url, kept).await);
    let other = SqlTokenStore::new(&SqlDatabase::connect(&url).await.unwrap());
    TokenStoreFixture::new(one).also(other)
}

token_store_conformance!(token_store, fixture);
state_store_conformance!(
    state_store,
    || async { SqlStateStore::new(&behind_a_pooler().await) },
    StateStoreCapabilities::default().shares_keys_between_instances(true).expires_by_clock(false),
);

#[tokio::test]
async fn transactions_of_one_client_have_different_connections() {
    let (url, _kept) = pooler().await;
    let client = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_lazy(&url).unwrap();
    let mut servers = HashSet::new();
    for _ in 0..2 * SERVER_CONNECTIONS {
        let row = sqlx::raw_sql("SELECT pg_backend_pid()::text").fetch_one(&client).await.unwrap();
        servers.insert(sqlx::Row::get::<String, _>(&row, 0));
    }
    assert_eq!(servers.len(), SERVER_CONNECTIONS);
}

/// PgBouncer says then that the protocol was violated, and nothing of what became of the transaction.
#[tokio::test]
async fn x8_a_commit_that_the_pooler_lost_is_read_back_or_not_known() {
    let server = Server::shared(Kind::Postgres);
    database(&server).await;
    let proxy = Proxy::start(server.port, "COMMIT").await;
    let pooler = PgBouncer::start(proxy.port);
    let store = SqlTokenStore::new(&one_connection(&server.url_by(pooler.port), Duration::from_secs(10)));
    let key = key("user");
    store.load(&key).await.unwrap();

    proxy.lose_an_answer();
    let put = in_time(store.put(&key, incarnation(), write(b"one"))).await.unwrap();
    proxy.lose_an_answer();
    let saved = in_time(store.save_if_version(&key, &Expected::version(put), write(b"two"))).await.unwrap();
    assert!(matches!(saved, SaveOutcome::Saved(version) if version == put.next()), "{saved:?}");

    proxy.lose_an_answer();
    let leased = in_time(store.lease(&key, LeaseRequest::new(holder(), LONG))).await;
    assert_eq!(kind(leased), StoreErrorKind::OutcomeUnknown);
    assert!(record(&store, &key).await.lease.is_some());
    assert_eq!(proxy.lost(), 3);
}

#[tokio::test]
async fn x8_a_pooler_whose_server_is_gone_is_unavailable() {
    let mut server = Server::start(Kind::Postgres);
    let pooler = PgBouncer::start(server.port);
    let database = one_connection(&server.url_by(pooler.port), Duration::from_millis(500));
    database.migrate().await.unwrap();
    let store = SqlTokenStore::new(&database);
    let key = key("user");
    let put = store.put(&key, incarnation(), write(b"one")).await.unwrap();
    server.kill();
    let saved = in_time(store.save_if_version(&key, &Expected::version(put), write(b"two"))).await;
    let error = saved.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{}", text(&error));
    check_error(&error, &key, b"two").unwrap();
}
