//! The stores that the tests run over.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use authflow::redis::{RedisConfig, RedisStateStore, RedisTokenStore};
use authflow::{KeyRing, MemoryStateStore, MemoryTokenStore, StateStore, TokenStore};
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
        match kind {
            Kind::Memory => Self::of(MemoryStateStore::new(), MemoryTokenStore::new()),
            Kind::File => {
                let folder = tempfile::tempdir().unwrap();
                let stores = folder.path().join("stores");
                let states = FileStateStore::open(&stores).await.unwrap();
                let tokens = FileTokenStore::open(&stores).await.unwrap();
                Self::of(states, tokens).within(folder)
            }
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                Self::sqlite(&folder.path().join("test.db")).await.within(folder)
            }
            Kind::Redis => Self::on(servers::shared(ServerKind::Redis)).await,
            Kind::Postgres => Self::on(servers::shared(ServerKind::Postgres)).await,
            Kind::MariaDb => Self::on(servers::shared(ServerKind::MariaDb)).await,
        }
    }

    /// Stores in this process, for as many flows and so many of one bucket.
    pub(crate) fn small(states: Arc<MemoryStateStore>) -> Self {
        Self::of(states, MemoryTokenStore::new())
    }

    /// Stores on a server, under a prefix or in a database that nobody else uses.
    pub(crate) async fn on(server: &Server) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        if server.kind != ServerKind::Redis {
            let database = SqlDatabase::connect(&server.database(&name)).await.unwrap();
            return Self::sql(&database).await;
        }
        let config = RedisConfig::server(&server.url()).unwrap().key_prefix(&name);
        let tokens = RedisTokenStore::connect(config.clone()).await.unwrap();
        let states = RedisStateStore::connect(config).await.unwrap();
        Self::of(states, tokens)
    }

    async fn sqlite(path: &Path) -> Self {
        Self::sql(&SqlDatabase::open(path).await.unwrap()).await
    }

    async fn sql(database: &SqlDatabase) -> Self {
        database.migrate().await.unwrap();
        Self::of(SqlStateStore::new(database), SqlTokenStore::new(database))
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
