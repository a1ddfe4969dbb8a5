//! Token stores on servers and in directories of their own.

use std::sync::Arc;

use authflow_core::TokenStore;
use authflow_file::FileTokenStore;
use authflow_redis::{RedisConfig, RedisTokenStore};
use authflow_sqlx::{SqlDatabase, SqlTokenStore};
use authflow_test_servers::{self as servers, Server};

/// Where connections can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Postgres,
    Sqlite,
    File,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
            Self::File => "files",
        }
    }
}

/// What waits for a disk would be measured, and nothing else.
pub(crate) const IN_MEMORY: &[&str] = &["--appendonly", "no"];
/// And what a million connections fill, with their indexes, fits into the server's memory, as it does in Redis.
const ROOMY: &[&str] = &["-c", "max_wal_size=8GB", "-c", "shared_buffers=2GB"];

fn start(kind: servers::Kind, arguments: &[&str]) -> Result<Server, String> {
    if kind.is_installed() { Ok(Server::start_with(kind, arguments)) } else { Err(kind.missing()) }
}

/// A place for connections, gone with this value.
pub(crate) enum Place {
    Redis(Server),
    Postgres(Server),
    Sqlite(tempfile::TempDir),
    File(tempfile::TempDir),
}

impl Place {
    /// Starts what is needed; the error says what has to be installed.
    pub(crate) fn start(kind: Kind) -> Result<Self, String> {
        Ok(match kind {
            Kind::Redis => Self::Redis(start(servers::Kind::Redis, IN_MEMORY)?),
            Kind::Postgres => Self::Postgres(start(servers::Kind::Postgres, ROOMY)?),
            Kind::Sqlite => Self::Sqlite(tempfile::tempdir().unwrap()),
            Kind::File => Self::File(tempfile::tempdir().unwrap()),
        })
    }

    /// An address for [`open`]: another one for each `name`.
    pub(crate) fn address(&self, name: &str) -> String {
        match self {
            Self::Redis(server) => format!("{}#{name}", server.url()),
            Self::Postgres(server) => server.database(name),
            Self::Sqlite(dir) => format!("sqlite:{}", dir.path().join(name).display()),
            Self::File(dir) => format!("file:{}", dir.path().join(name).display()),
        }
    }
}

/// The store at an address, also from another process.
pub(crate) async fn open(address: &str) -> Arc<dyn TokenStore> {
    if let Some(directory) = address.strip_prefix("file:") {
        return Arc::new(FileTokenStore::open(directory).await.unwrap());
    }
    if let Some((url, prefix)) = address.split_once('#') {
        let config = RedisConfig::server(url).unwrap().key_prefix(format!("{prefix}:"));
        return Arc::new(RedisTokenStore::connect(config).await.unwrap());
    }
    let database = SqlDatabase::connect(address).await.unwrap();
    database.migrate().await.unwrap();
    // There is no pooler in between.
    Arc::new(SqlTokenStore::new(&database.prepared_statements(true)))
}
