//! Stores that several processes share, by their addresses, and the servers that some of them need.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use authflow::redis::{RedisConfig, RedisStateStore, RedisTokenStore};
use authflow::{StateStore, TokenStore};
use authflow_file::{FileStateStore, FileTokenStore};
use authflow_sqlx::sqlx::Database;
use authflow_sqlx::sqlx::pool::PoolOptions;
use authflow_sqlx::sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore};
use authflow_test_servers::{self as servers, Server};

pub type Stores = (Arc<dyn TokenStore>, Arc<dyn StateStore>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Sqlite,
    Redis,
    Postgres,
    MariaDb,
}

/// A store that lives answers at last, also where dozens of processes share two processors.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The stores that an address names.
pub async fn open(address: &str) -> Stores {
    match address.split_once(':').expect("an address") {
        ("file", directory) => {
            let tokens = FileTokenStore::open(format!("{directory}/connections")).await.unwrap();
            let states = FileStateStore::open(format!("{directory}/flows")).await.unwrap();
            (Arc::new(tokens.lock_wait(PATIENCE)), Arc::new(states.lock_wait(PATIENCE)))
        }
        ("redis", _) => {
            let config = RedisConfig::server(address).unwrap().response_timeout(PATIENCE);
            let tokens = RedisTokenStore::connect(config.clone()).await.unwrap();
            let states = RedisStateStore::connect(config).await.unwrap();
            (Arc::new(tokens), Arc::new(states))
        }
        _ => sql(address).await,
    }
}

/// Before the address of a database that is killed.
const MORTAL: &str = "mortal:";

/// As `SqlDatabase::connect` does it, but for its patience: dozens of processes that get to a server at once may take longer.
async fn sql(address: &str) -> Stores {
    fn pool<D: Database>() -> PoolOptions<D> {
        PoolOptions::new().acquire_timeout(PATIENCE)
    }
    let database = match address.split_once(':').expect("an address") {
        // Nobody waits long for one that is dead.
        ("mortal", address) => SqlDatabase::connect(address).await.unwrap(),
        ("sqlite", path) => {
            let options = SqliteConnectOptions::new().filename(path).synchronous(SqliteSynchronous::Full);
            let pool = pool().max_connections(4).connect_with(options.busy_timeout(PATIENCE));
            SqlDatabase::sqlite(pool.await.unwrap())
        }
        ("postgres", _) => SqlDatabase::postgres(pool().connect(address).await.unwrap()),
        ("mysql", _) => SqlDatabase::mysql(pool().connect(address).await.unwrap()),
        (other, _) => panic!("there is no store at {other}"),
    };
    let database = database.answer_timeout(PATIENCE);
    (Arc::new(SqlTokenStore::new(&database)), Arc::new(SqlStateStore::new(&database)))
}

/// Makes the tables, where there are any to make.
pub async fn prepare(address: &str) {
    if !address.starts_with("redis:") && !address.starts_with("file:") {
        let address = address.strip_prefix(MORTAL).unwrap_or(address);
        let database = SqlDatabase::connect(address).await.unwrap();
        database.migrate().await.unwrap();
        database.close().await;
    }
}

/// What a store is in.
#[derive(Debug)]
pub struct Backend {
    pub address: String,
    server: Mutex<Running>,
}

#[derive(Debug)]
enum Running {
    /// A folder, which goes with the test.
    Folder(#[allow(dead_code, reason = "it is kept")] tempfile::TempDir),
    Server(Server),
}

/// Those that the tests of one kind share while one of them runs.
static SHARED: Mutex<[Weak<Backend>; 5]> = Mutex::new([const { Weak::new() }; 5]);

impl Backend {
    pub fn start(kind: Kind) -> Self {
        let folder = || tempfile::tempdir().unwrap();
        let running = match kind {
            Kind::File | Kind::Sqlite => Running::Folder(folder()),
            Kind::Redis => Running::Server(Server::start(servers::Kind::Redis)),
            Kind::Postgres => Running::Server(Server::start(servers::Kind::Postgres)),
            Kind::MariaDb => Running::Server(Server::start(servers::Kind::MariaDb)),
        };
        let address = match &running {
            Running::Folder(folder) if kind == Kind::File => format!("file:{}", folder.path().display()),
            Running::Folder(folder) => format!("sqlite:{}/connections.db", folder.path().display()),
            Running::Server(server) => server.url(),
        };
        Self { address, server: Mutex::new(running) }
    }

    /// One whose server is killed and restarted.
    pub fn mortal(kind: Kind) -> Self {
        let backend = Self::start(kind);
        match kind {
            Kind::Redis => backend,
            _ => Self { address: format!("{MORTAL}{}", backend.address), ..backend },
        }
    }

    /// A Redis that keeps nothing on its disk.
    pub fn forgetful_redis() -> Self {
        let server = Server::start_with(servers::Kind::Redis, &["--appendonly", "no"]);
        Self { address: server.url(), server: Mutex::new(Running::Server(server)) }
    }

    pub fn shared(kind: Kind) -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = &mut shared[kind as usize];
        place.upgrade().unwrap_or_else(|| {
            let backend = Arc::new(Self::start(kind));
            *place = Arc::downgrade(&backend);
            backend
        })
    }

    /// As `kill -9` does.
    pub fn kill(&self) {
        match &mut *self.server.lock().unwrap() {
            Running::Folder(_) => panic!("a folder cannot be killed"),
            Running::Server(server) => server.kill(),
        }
    }

    pub fn restart(&self) {
        match &mut *self.server.lock().unwrap() {
            Running::Folder(_) => panic!("a folder cannot be restarted"),
            Running::Server(server) => server.restart(),
        }
    }
}
