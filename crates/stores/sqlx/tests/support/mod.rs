//! Throwaway servers, and databases on them.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, each of which uses a part"
)]

mod proxy;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    Clock as _, ConnectionKey, Incarnation, LeaseHolder, Loaded, Record, SealedBytes, StoreError,
    StoreErrorKind, SystemClock, TokenStore, User, Write,
};
use authflow_sqlx::SqlDatabase;
use authflow_sqlx::sqlx::{self, PgPool, pool::PoolOptions};
pub use authflow_test_servers::{Kind, PgBouncer, Server, free_port};

pub use self::proxy::Proxy;

/// The servers of this store: held by tests that take one after the other, so that neither is started anew in between.
pub fn both() -> [Arc<Server>; 2] {
    [Kind::Postgres, Kind::MariaDb].map(Server::shared)
}

fn options<D: sqlx::Database>() -> PoolOptions<D> {
    PoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(60))
}

pub fn postgres_pool(url: &str) -> PgPool {
    options().connect_lazy(url).unwrap()
}

pub fn mysql_pool(url: &str) -> sqlx::MySqlPool {
    options().connect_lazy(url).unwrap()
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:")
}

/// A database with its tables, that keeps what it needs: its server.
pub async fn database_at(url: &str, kept: impl Send + Sync + 'static) -> SqlDatabase {
    fn keeping<D: sqlx::Database>(kept: impl Send + Sync + 'static) -> PoolOptions<D> {
        // What the pool runs goes with the pool, and so does what that holds.
        options().after_connect(move |_, _| {
            let _kept = &kept;
            Box::pin(async { Ok(()) })
        })
    }
    let database = if is_postgres(url) {
        SqlDatabase::postgres(keeping(kept).connect_lazy(url).unwrap())
    } else {
        SqlDatabase::mysql(keeping(kept).connect_lazy(url).unwrap())
    };
    database.migrate().await.unwrap();
    database
}

/// The first database of a server, which it keeps.
pub async fn database(server: &Arc<Server>) -> SqlDatabase {
    database_at(&server.url(), Arc::clone(server)).await
}

/// Options of a pool of one connection that is waited for so long.
pub fn one_of<D: sqlx::Database>(patience: Duration) -> PoolOptions<D> {
    options().max_connections(1).acquire_timeout(patience)
}

/// A database over one connection that is waited for so long.
pub fn one_connection(url: &str, patience: Duration) -> SqlDatabase {
    if is_postgres(url) {
        SqlDatabase::postgres(one_of(patience).connect_lazy(url).unwrap())
    } else {
        SqlDatabase::mysql(one_of(patience).connect_lazy(url).unwrap())
    }
}

/// Says something to a database past any store, and returns how many rows it changed.
pub async fn say(url: &str, statement: &'static str) -> u64 {
    if is_postgres(url) {
        sqlx::raw_sql(statement).execute(&postgres_pool(url)).await.unwrap().rows_affected()
    } else if url.starts_with("sqlite:") {
        let pool = sqlx::SqlitePool::connect(url).await.unwrap();
        sqlx::raw_sql(statement).execute(&pool).await.unwrap().rows_affected()
    } else {
        sqlx::raw_sql(statement).execute(&mysql_pool(url)).await.unwrap().rows_affected()
    }
}

/// Waits until something is so, asking for it again and again. In between, the processor is the server's.
pub async fn until<F: Future<Output = bool> + Send>(what: &str, is_so: impl Fn() -> F + Send + Sync) {
    let wait = async {
        while !is_so().await {
            SystemClock::new().sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// What hangs fails the test instead of keeping it.
pub async fn in_time<F: Future>(call: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), call).await.expect("no call hangs")
}

pub const LONG: Duration = Duration::from_secs(600);

/// A connection of a user that no other test has.
pub fn key(user: &str) -> ConnectionKey {
    let tenant: String =
        Incarnation::random().unwrap().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    ConnectionKey::new(&User::new(format!("planted-tenant-{tenant}"), user), "provider")
        .with_account("planted-account")
}

pub fn holder() -> LeaseHolder {
    LeaseHolder::random().unwrap()
}

pub fn incarnation() -> Incarnation {
    Incarnation::random().unwrap()
}

pub fn write(sealed: &[u8]) -> Write {
    Write::new(SealedBytes::new(sealed.to_vec()))
}

pub async fn record(store: &impl TokenStore, key: &ConnectionKey) -> Record {
    in_time(store.load(key)).await.unwrap().into_record().expect("a record")
}

pub fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind()
}

/// The error with its sources.
pub fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
