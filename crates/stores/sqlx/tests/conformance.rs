//! The suites of the testkit, on each database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore, sqlx};
use authflow_testkit::conformance::state_store::StateStoreCapabilities;
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::{state_store_conformance, token_store_conformance};
use support::{Kind, Server, database, mysql_pool, postgres_pool};

async fn in_a_file() -> TokenStoreFixture<SqlTokenStore> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connections.db");
    let one = SqlDatabase::open(&path).await.unwrap();
    one.migrate().await.unwrap();
    // As another process does.
    let other = SqlDatabase::open(&path).await.unwrap();
    let damage = sqlx::SqlitePool::connect_lazy(&format!("sqlite://{}", path.to_str().unwrap())).unwrap();
    TokenStoreFixture::new(SqlTokenStore::new(&one)).also(SqlTokenStore::new(&other)).damage(move |key| {
        // The folder goes with the fixture.
        let (damage, _kept) = (damage.clone(), &dir);
        async move {
            let sql = "UPDATE authflow_connections SET key_bytes = x'00' WHERE id = ?";
            let id = &key.id().as_bytes()[..];
            let done = sqlx::query(sql).bind(id).execute(&damage).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
        }
    })
}

async fn in_memory() -> TokenStoreFixture<SqlTokenStore> {
    let database = SqlDatabase::in_memory().await.unwrap();
    database.migrate().await.unwrap();
    TokenStoreFixture::new(SqlTokenStore::new(&database))
}

async fn on_postgres(prepares: bool) -> TokenStoreFixture<SqlTokenStore> {
    let server = Server::shared(Kind::Postgres);
    let damage = postgres_pool(&server.url());
    let [one, other] = [database(&server).await, database(&server).await]
        .map(|database| SqlTokenStore::new(&database.prepared_statements(prepares)));
    TokenStoreFixture::new(one).also(other).damage(move |key| {
        let damage = damage.clone();
        async move {
            let sql = "UPDATE authflow_connections SET incarnation = '\\x00' WHERE id = $1";
            let id = &key.id().as_bytes()[..];
            let done = sqlx::query(sql).bind(id).execute(&damage).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
        }
    })
}

async fn on_mariadb() -> TokenStoreFixture<SqlTokenStore> {
    let server = Server::shared(Kind::MariaDb);
    let damage = mysql_pool(&server.url());
    let [one, other] =
        [database(&server).await, database(&server).await].map(|database| SqlTokenStore::new(&database));
    TokenStoreFixture::new(one).also(other).damage(move |key| {
        let damage = damage.clone();
        async move {
            let sql = "UPDATE authflow_connections SET counter = -counter - 7 WHERE id = ?";
            let id = &key.id().as_bytes()[..];
            let done = sqlx::query(sql).bind(id).execute(&damage).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
        }
    })
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
state_store_conformance!(states_on_postgres, || states_on(Kind::Postgres), capabilities());
state_store_conformance!(states_on_mariadb, || states_on(Kind::MariaDb), capabilities());

async fn states_on(kind: Kind) -> SqlStateStore {
    SqlStateStore::new(&database(&Server::shared(kind)).await)
}
