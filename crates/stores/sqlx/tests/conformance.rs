//! The suites of the testkit, on each database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use authflow_core::ConnectionKey;
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore, sqlx};
use authflow_testkit::conformance::state_store::{Keeping, StateStoreCapabilities};
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::{state_store_conformance, token_store_conformance};
use tempfile::TempDir;

use support::{Kind, Server, database, mysql_pool, postgres_pool};

/// A change of one row that no store makes, as a closure for the fixture; it keeps what goes with it.
macro_rules! past_the_store {
    ($pool:ident, $kept:expr, $sql:expr $(, $by:ident)?) => {{
        let (pool, kept) = ($pool.clone(), $kept);
        move |key: ConnectionKey $(, $by: Duration)?| {
            let (pool, _kept) = (pool.clone(), &kept);
            async move {
                let query = sqlx::query($sql);
                $(let query = query.bind(i64::try_from($by.as_millis()).unwrap());)?
                let done = query.bind(key.id().as_bytes().to_vec()).execute(&pool).await.unwrap();
                assert_eq!(done.rows_affected(), 1);
            }
        }
    }};
}

async fn in_a_file() -> TokenStoreFixture<SqlTokenStore> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connections.db");
    let one = SqlDatabase::open(&path).await.unwrap();
    one.migrate().await.unwrap();
    // As another process does.
    let other = SqlDatabase::open(&path).await.unwrap();
    let pool = sqlx::SqlitePool::connect_lazy(&format!("sqlite://{}", path.to_str().unwrap())).unwrap();
    let damaged = "UPDATE authflow_connections SET key_bytes = x'00' WHERE id = ?";
    let fixture = TokenStoreFixture::new(SqlTokenStore::new(&one)).also(SqlTokenStore::new(&other));
    // The folder goes with the fixture.
    fixture.damage(past_the_store!(pool, dir, damaged)).lengthen_lease(past_the_store!(
        pool,
        (),
        "UPDATE authflow_connections SET lease_until = lease_until + ? WHERE id = ?",
        by
    ))
}

async fn in_memory() -> TokenStoreFixture<SqlTokenStore> {
    let database = SqlDatabase::in_memory().await.unwrap();
    database.migrate().await.unwrap();
    TokenStoreFixture::new(SqlTokenStore::new(&database))
}

async fn on_postgres(prepares: bool) -> TokenStoreFixture<SqlTokenStore> {
    let server = Server::shared(Kind::Postgres);
    let pool = postgres_pool(&server.url());
    let [one, other] = [database(&server).await, database(&server).await]
        .map(|database| SqlTokenStore::new(&database.prepared_statements(prepares)));
    let damaged = "UPDATE authflow_connections SET incarnation = '\\x00' WHERE id = $1";
    let fixture = TokenStoreFixture::new(one).also(other);
    fixture.damage(past_the_store!(pool, (), damaged)).lengthen_lease(past_the_store!(
        pool,
        (),
        "UPDATE authflow_connections SET lease_until = lease_until + $1 WHERE id = $2",
        by
    ))
}

async fn on_mariadb() -> TokenStoreFixture<SqlTokenStore> {
    let server = Server::shared(Kind::MariaDb);
    let pool = mysql_pool(&server.url());
    let [one, other] =
        [database(&server).await, database(&server).await].map(|database| SqlTokenStore::new(&database));
    let damaged = "UPDATE authflow_connections SET counter = -counter - 7 WHERE id = ?";
    let fixture = TokenStoreFixture::new(one).also(other);
    fixture.damage(past_the_store!(pool, (), damaged)).lengthen_lease(past_the_store!(
        pool,
        (),
        "UPDATE authflow_connections SET lease_until = lease_until + ? WHERE id = ?",
        by
    ))
}

token_store_conformance!(sqlite_in_a_file, in_a_file);
token_store_conformance!(sqlite_in_memory, in_memory);
token_store_conformance!(postgres, || on_postgres(false));
token_store_conformance!(postgres_with_prepared_statements, || on_postgres(true));
token_store_conformance!(mariadb, on_mariadb);

fn capabilities() -> StateStoreCapabilities {
    StateStoreCapabilities::default().shares_keys_between_instances(true).expires_by_clock(false)
}

state_store_conformance!(
    states_in_memory,
    || async {
        let database = SqlDatabase::in_memory().await.unwrap();
        database.migrate().await.unwrap();
        SqlStateStore::new(&database)
    },
    StateStoreCapabilities::default().expires_by_clock(false),
);
state_store_conformance!(states_in_a_file, states_in_a_file, capabilities());
state_store_conformance!(states_on_postgres, || states_on(Kind::Postgres), capabilities());
state_store_conformance!(states_on_mariadb, || states_on(Kind::MariaDb), capabilities());

/// The folder of all who want one at this time: each opens the same file anew, as another process does.
fn shared_folder() -> Arc<TempDir> {
    static SHARED: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        *shared = Arc::downgrade(&folder);
        folder
    })
}

async fn states_in_a_file() -> Keeping<SqlStateStore, Arc<TempDir>> {
    let folder = shared_folder();
    let database = SqlDatabase::open(folder.path().join("flows.db")).await.unwrap();
    database.migrate().await.unwrap();
    Keeping::new(SqlStateStore::new(&database), folder)
}

async fn states_on(kind: Kind) -> SqlStateStore {
    SqlStateStore::new(&database(&Server::shared(kind)).await)
}
