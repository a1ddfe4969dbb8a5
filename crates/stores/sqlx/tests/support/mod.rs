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
mod server;

use std::future::Future;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use authflow_core::{ConnectionKey, Incarnation, LeaseHolder, Loaded, Record, StoreError, StoreErrorKind};
use authflow_core::{SealedBytes, TokenStore, User, Write};
use authflow_sqlx::SqlDatabase;
use authflow_sqlx::sqlx;

pub use self::proxy::Proxy;
pub use self::server::{Kind, Server, free_port};

/// The servers that the tests of one program share while one of them runs.
static POSTGRES: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static MARIADB: Mutex<Weak<Server>> = Mutex::new(Weak::new());

pub fn shared(kind: Kind) -> Arc<Server> {
    let mut shared = match kind {
        Kind::Postgres => POSTGRES.lock().unwrap(),
        Kind::MariaDb => MARIADB.lock().unwrap(),
    };
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::start(kind));
        *shared = Arc::downgrade(&server);
        server
    })
}

/// Both, for tests that take one after the other: so that neither is started anew in between.
pub fn both() -> [Arc<Server>; 2] {
    [shared(Kind::Postgres), shared(Kind::MariaDb)]
}

pub fn postgres_pool(url: &str) -> sqlx::PgPool {
    sqlx::postgres::PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy(url)
        .unwrap()
}

pub fn mysql_pool(url: &str) -> sqlx::MySqlPool {
    sqlx::mysql::MySqlPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy(url)
        .unwrap()
}

/// A database of the server, with its tables.
pub async fn database(server: &Server) -> SqlDatabase {
    let database = match server.kind {
        Kind::Postgres => SqlDatabase::postgres(postgres_pool(&server.url())),
        Kind::MariaDb => SqlDatabase::mysql(mysql_pool(&server.url())),
    };
    database.migrate().await.unwrap();
    database
}

/// Waits until something is so, asking for it again and again.
pub async fn until<F: Future<Output = bool> + Send>(what: &str, is_so: impl Fn() -> F + Send + Sync) {
    let wait = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// What hangs fails the test instead of keeping it.
pub async fn in_time<F: Future>(call: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), call).await.expect("no call hangs")
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
