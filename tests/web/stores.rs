//! The stores that the tests run over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use authflow::redis::{RedisConfig, RedisStateStore, RedisTokenStore};
use authflow::{KeyRing, MemoryStateStore, MemoryTokenStore, StateStore, TokenStore};
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore};
use authflow_test_servers::{self as servers, Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Redis,
    Sqlite,
}

/// Stores, empty and of this test alone. A clone is the same stores, as another instance of the application has them.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) states: Arc<dyn StateStore>,
    pub(crate) tokens: Arc<dyn TokenStore>,
    pub(crate) keys: KeyRing,
    _kept: Option<Arc<Kept>>,
}

enum Kept {
    Folder(#[allow(dead_code, reason = "it is kept")] tempfile::TempDir),
    Server(#[allow(dead_code, reason = "it is kept")] Arc<Server>),
}

impl Stores {
    pub(crate) async fn new(kind: Kind) -> Self {
        match kind {
            Kind::Memory => Self::of(MemoryStateStore::new(), MemoryTokenStore::new()),
            Kind::Redis => {
                static TEST: AtomicU64 = AtomicU64::new(0);
                let prefix = format!("test-{}", TEST.fetch_add(1, Ordering::Relaxed));
                Self::redis(Server::shared(servers::Kind::Redis), &prefix).await
            }
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let database = SqlDatabase::open(folder.path().join("test.db")).await.unwrap();
                database.migrate().await.unwrap();
                let mut stores = Self::of(SqlStateStore::new(&database), SqlTokenStore::new(&database));
                stores._kept = Some(Arc::new(Kept::Folder(folder)));
                stores
            }
        }
    }

    /// Stores in this process, for as many flows and so many of one bucket.
    pub(crate) fn small(states: Arc<MemoryStateStore>) -> Self {
        Self::of(states, MemoryTokenStore::new())
    }

    /// Stores in a Redis, under a prefix.
    async fn redis(server: Arc<Server>, prefix: &str) -> Self {
        let mut stores = Self::redis_of(&server, prefix).await;
        stores._kept = Some(Arc::new(Kept::Server(server)));
        stores
    }

    /// The same in one that the test keeps for itself.
    pub(crate) async fn redis_of(server: &Server, prefix: &str) -> Self {
        let config = RedisConfig::server(&server.url()).unwrap().key_prefix(prefix);
        let tokens = RedisTokenStore::connect(config.clone()).await.unwrap();
        let states = RedisStateStore::connect(config).await.unwrap();
        Self::of(states, tokens)
    }

    fn of(states: impl StateStore, tokens: impl TokenStore) -> Self {
        let (states, tokens) = (Arc::new(states), Arc::new(tokens));
        Self { states, tokens, keys: KeyRing::generate().unwrap(), _kept: None }
    }
}
