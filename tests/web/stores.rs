//! The stores that the tests run over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow::redis::{RedisConfig, RedisStateStore, RedisTokenStore};
use authflow::{
    BucketCaps, KeyRing, MemoryStateStore, MemoryTokenStore, PendingFlow, StateContext, StateKey, StateStore,
    StoreError, TokenStore, async_trait, http,
};
use authflow_file::{FileStateStore, FileTokenStore};
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore};
use authflow_test_servers::{Kind as ServerKind, Server};
use tempfile::TempDir;

use crate::servers;

/// Where both flows and connections are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    File,
    Sqlite,
    Redis,
    Postgres,
    MariaDb,
}

/// Stores, empty and of this test alone. A clone is the same stores, as another instance of the application has them.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) states: Arc<dyn StateStore>,
    pub(crate) tokens: Arc<dyn TokenStore>,
    pub(crate) keys: KeyRing,
    /// What the stores are in, where that is a folder.
    _folder: Option<Arc<TempDir>>,
}

impl Stores {
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::with(kind, BucketCaps::DEFAULT_CAPACITY).await
    }

    async fn with(kind: Kind, bucket_capacity: usize) -> Self {
        match kind {
            Kind::Memory => {
                Self::of(MemoryStateStore::with_capacity(100_000, bucket_capacity), MemoryTokenStore::new())
            }
            Kind::File => {
                let folder = tempfile::tempdir().unwrap();
                let stores = folder.path().join("stores");
                let states = FileStateStore::open(&stores).await.unwrap().bucket_capacity(bucket_capacity);
                let tokens = FileTokenStore::open(&stores).await.unwrap();
                Self::of(states, tokens).within(folder)
            }
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let database = SqlDatabase::open(folder.path().join("test.db")).await.unwrap();
                Self::sql(&database, bucket_capacity).await.within(folder)
            }
            Kind::Redis => Self::at(servers::shared(ServerKind::Redis), bucket_capacity).await,
            Kind::Postgres => Self::at(servers::shared(ServerKind::Postgres), bucket_capacity).await,
            Kind::MariaDb => Self::at(servers::shared(ServerKind::MariaDb), bucket_capacity).await,
        }
    }

    /// The same, with so many flows of one bucket, and what was stored in them.
    pub(crate) async fn capped(kind: Kind, bucket_capacity: usize) -> (Self, Arc<Noted>) {
        let mut stores = Self::with(kind, bucket_capacity).await;
        let noted = Arc::new(Noted { store: Arc::clone(&stores.states), keys: Mutex::default() });
        stores.states = Arc::clone(&noted) as Arc<dyn StateStore>;
        (stores, noted)
    }

    /// Stores on a server, under a prefix or in a database that nobody else uses.
    pub(crate) async fn on(server: &Server) -> Self {
        Self::at(server, BucketCaps::DEFAULT_CAPACITY).await
    }

    async fn at(server: &Server, bucket_capacity: usize) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        if server.kind != ServerKind::Redis {
            let database = SqlDatabase::connect(&server.database(&name)).await.unwrap();
            return Self::sql(&database, bucket_capacity).await;
        }
        let config = RedisConfig::server(&server.url()).unwrap().key_prefix(&name);
        let config = config.bucket_capacity(bucket_capacity);
        let tokens = RedisTokenStore::connect(config.clone()).await.unwrap();
        let states = RedisStateStore::connect(config).await.unwrap();
        Self::of(states, tokens)
    }

    async fn sql(database: &SqlDatabase, bucket_capacity: usize) -> Self {
        database.migrate().await.unwrap();
        let states = SqlStateStore::new(database).bucket_capacity(bucket_capacity);
        Self::of(states, SqlTokenStore::new(database))
    }

    fn of(states: impl StateStore, tokens: impl TokenStore) -> Self {
        let (states, tokens) = (Arc::new(states), Arc::new(tokens));
        Self { states, tokens, keys: KeyRing::generate().unwrap(), _folder: None }
    }

    fn within(mut self, folder: TempDir) -> Self {
        self._folder = Some(Arc::new(folder));
        self
    }
}

/// A store whose keys are noted down.
#[derive(Debug)]
pub(crate) struct Noted {
    store: Arc<dyn StateStore>,
    keys: Mutex<Vec<StateKey>>,
}

impl Noted {
    /// Takes every flow that is still there: how many were begun, and how many of them are left.
    pub(crate) async fn left(&self, now: SystemTime) -> (usize, usize) {
        let keys = std::mem::take(&mut *self.keys.lock().unwrap());
        let extensions = http::Extensions::new();
        let mut left = 0;
        for key in &keys {
            let found = self.store.check_state(&StateContext::new(&extensions, now), key).await.unwrap();
            left += usize::from(found.is_some());
        }
        (keys.len(), left)
    }
}

#[async_trait]
impl StateStore for Noted {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.keys.lock().unwrap().push(*key);
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
