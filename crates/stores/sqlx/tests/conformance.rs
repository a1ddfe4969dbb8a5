//! The suites of the testkit, on each database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Page,
    PendingFlow, RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard, StateContext,
    StateKey, StateStore, StoreError, Tenure, TokenStore, User, Version, Write, async_trait,
};
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore, sqlx};
use authflow_testkit::conformance::state_store::StateStoreCapabilities;
use authflow_testkit::conformance::token_store::TokenStoreFixture;
use authflow_testkit::{state_store_conformance, token_store_conformance};
use support::{Kind, Server, database, mysql_pool, postgres_pool, shared};
use tempfile::TempDir;

/// A store that keeps what it needs: its server, or its folder.
#[derive(Debug)]
struct Kept<S, K> {
    store: S,
    _kept: Arc<K>,
}

async fn in_a_file() -> TokenStoreFixture<Kept<SqlTokenStore, TempDir>> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let path = dir.path().join("connections.db");
    let one = SqlDatabase::open(&path).await.unwrap();
    one.migrate().await.unwrap();
    // As another process does.
    let other = SqlDatabase::open(&path).await.unwrap();
    let damage = sqlx::SqlitePool::connect_lazy(&format!("sqlite://{}", path.to_str().unwrap())).unwrap();
    let kept = |database: &SqlDatabase| Kept { store: SqlTokenStore::new(database), _kept: Arc::clone(&dir) };
    TokenStoreFixture::new(kept(&one)).also(kept(&other)).damage(move |key| {
        let damage = damage.clone();
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

async fn on_postgres(prepares: bool) -> TokenStoreFixture<Kept<SqlTokenStore, Server>> {
    let server = shared(Kind::Postgres);
    let damage = postgres_pool(&server.url());
    let (one, other) = (database(&server).await, database(&server).await);
    let kept = |database: SqlDatabase| Kept {
        store: SqlTokenStore::new(&database.prepared_statements(prepares)),
        _kept: Arc::clone(&server),
    };
    TokenStoreFixture::new(kept(one)).also(kept(other)).damage(move |key| {
        let damage = damage.clone();
        async move {
            let sql = "UPDATE authflow_connections SET incarnation = '\\x00' WHERE id = $1";
            let id = &key.id().as_bytes()[..];
            let done = sqlx::query(sql).bind(id).execute(&damage).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
        }
    })
}

async fn on_mariadb() -> TokenStoreFixture<Kept<SqlTokenStore, Server>> {
    let server = shared(Kind::MariaDb);
    let damage = mysql_pool(&server.url());
    let (one, other) = (database(&server).await, database(&server).await);
    let kept =
        |database: SqlDatabase| Kept { store: SqlTokenStore::new(&database), _kept: Arc::clone(&server) };
    TokenStoreFixture::new(kept(one)).also(kept(other)).damage(move |key| {
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

async fn states_on(kind: Kind) -> Kept<SqlStateStore, Server> {
    let server = shared(kind);
    Kept { store: SqlStateStore::new(&database(&server).await), _kept: server }
}

#[async_trait]
impl<K: std::fmt::Debug + Send + Sync + 'static> StateStore for Kept<SqlStateStore, K> {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.store.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.store.check_state(cx, key).await
    }
}

#[async_trait]
impl<K: std::fmt::Debug + Send + Sync + 'static> TokenStore for Kept<SqlTokenStore, K> {
    fn is_durable(&self) -> bool {
        self.store.is_durable()
    }

    async fn put(&self, key: &ConnectionKey, it: Incarnation, write: Write) -> Result<Version, StoreError> {
        self.store.put(key, it, write).await
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        self.store.load(key).await
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        self.store.lease(key, request).await
    }

    async fn renew(&self, key: &ConnectionKey, it: &LeaseHolder, renew: Renew) -> Result<Tenure, StoreError> {
        self.store.renew(key, it, renew).await
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        self.store.release(key, holder, release).await
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        self.store.save_if_version(key, expected, write).await
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        self.store.remove(key, remove).await
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        self.store.list_by_user(user, page).await
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        self.store.due_before(shard, time, page).await
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        self.store.walk(shard, page).await
    }
}
