//! `Connections` on a database that is down, or that takes no writes: X26.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, Clock, ConfiguredProvider, Connections, ErrorKind,
    Flow, KeyRing, MemoryStateStore, Recovery, StateStore, SystemClock, TokenStore as _, async_trait,
};
use authflow_sqlx::sqlx::{self, sqlite::SqliteConnectOptions, sqlite::SqliteJournalMode};
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore};
use authflow_testkit::{AuthorizationServer, Endpoint, LoopbackClient, ScriptedUser};
use support::{Kind, Server, in_time, incarnation, key, one_connection, record, say, until, write};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// How long the store is waited for, by whatever clock: a server that is down or takes no writes says so itself.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a pause takes.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Real,
    /// A part of its time.
    Hurried,
    /// Far more than its time.
    Slow,
}

impl Pace {
    fn of(self, duration: Duration) -> Duration {
        match self {
            Self::Real => duration,
            Self::Hurried => duration / 16,
            Self::Slow => duration * 10,
        }
    }

    /// What takes `duration` in the end.
    fn that_takes(self, duration: Duration) -> Duration {
        match self {
            Self::Real => duration,
            Self::Hurried => duration * 16,
            Self::Slow => duration / 10,
        }
    }
}

#[derive(Debug)]
struct Paced {
    clock: SystemClock,
    pace: Pace,
}

#[async_trait]
impl Clock for Paced {
    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(self.pace.of(duration)).await;
    }
}

/// One process of an application, which keeps its states in memory.
fn process(server: &AuthorizationServer, database: &SqlDatabase) -> Connections {
    process_with(server, database, Arc::new(MemoryStateStore::new()), Pace::Real)
}

fn process_with(
    server: &AuthorizationServer,
    database: &SqlDatabase,
    states: Arc<dyn StateStore>,
    pace: Pace,
) -> Connections {
    let provider = server.provider("example").build().unwrap();
    let credentials =
        ClientCredentials::public(server.public_client().id()).redirect_uri("http://127.0.0.1/callback");
    let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
    let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
    Connections::builder()
        .flow(flow)
        .token_store(SqlTokenStore::new(database))
        .keys(KeyRing::generate().unwrap())
        .store_timeout(pace.that_takes(STORE_TIMEOUT))
        .clock(Arc::new(Paced { clock: SystemClock::new(), pace }))
        .build()
        .unwrap()
}

/// The callback comes while the database is down, and again when it is back.
async fn sends_no_code_while_it_is_down(
    database: &SqlDatabase,
    down: impl AsyncFnOnce(),
    back: impl AsyncFnOnce(),
) {
    let server = AuthorizationServer::builder().start().await.unwrap();
    sends_no_code_meanwhile(&server, &process(&server, database), down, back).await;
}

async fn sends_no_code_meanwhile(
    server: &AuthorizationServer,
    connections: &Connections,
    down: impl AsyncFnOnce(),
    back: impl AsyncFnOnce(),
) {
    let requests = || server.ledger().token_requests().len();
    let user = Binding::user("tenant", "user-42");
    let callback = callback(connections, &user).await;
    let response = AuthorizationResponse::from_url(&callback).unwrap();

    down().await;
    let complete = || async { connections.complete("example", &response, &user).await };
    let error = in_time(complete()).await.unwrap_err();
    assert_eq!((error.kind(), requests()), (ErrorKind::StoreUnavailable, 0), "{error:?}");
    assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{error:?}");

    back().await;
    until("the same callback works", || async {
        match complete().await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!((error.kind(), requests()), (ErrorKind::StoreUnavailable, 0), "{error:?}");
                false
            }
        }
    })
    .await;
    assert_eq!(requests(), 1);
}

/// What comes back once the user has agreed.
async fn callback(connections: &Connections, user: &Binding) -> String {
    let authorization = connections.begin("example", user).unwrap().await.unwrap();
    ScriptedUser::new().approve(authorization.url()).await.unwrap()
}

#[tokio::test]
async fn x26_no_code_is_sent_while_a_server_is_down_and_the_callback_works_later() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let server = std::cell::RefCell::new(Server::start(kind));
        // That long a server that is down is asked again whether it is.
        let database = one_connection(&server.borrow().url(), Duration::from_secs(2));
        until("the tables are made", || async { database.migrate().await.is_ok() }).await;
        let (down, back) = (async || server.borrow_mut().kill(), async || server.borrow_mut().restart());
        sends_no_code_while_it_is_down(&database, down, back).await;
    }
}

/// A file has no server that goes down: what it lacks are its tables, as while a backup is brought back.
#[tokio::test]
async fn x26_no_code_is_sent_while_the_tables_are_away_and_the_callback_works_later() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("connections.db").to_str().unwrap());
    let database = SqlDatabase::connect(&url).await.unwrap();
    database.migrate().await.unwrap();
    let down = async || {
        say(&url, "ALTER TABLE authflow_connections RENAME TO elsewhere").await;
    };
    let back = async || {
        say(&url, "ALTER TABLE elsewhere RENAME TO authflow_connections").await;
    };
    sends_no_code_while_it_is_down(&database, down, back).await;
}

type Lock = sqlx::Transaction<'static, sqlx::Sqlite>;

/// A database of each kind, which can be told to take no writes and is read all the same.
enum Switch {
    Server(Server, &'static str, &'static str),
    /// Another writer keeps its lock.
    Sqlite(sqlx::SqlitePool, Mutex<Option<Lock>>, #[expect(dead_code)] TempDir),
}

impl Switch {
    async fn all() -> Vec<(Self, SqlDatabase)> {
        let mut all = Vec::new();
        let postgres = Server::start(Kind::Postgres);
        let database = one_connection(&postgres.url(), Duration::from_secs(60));
        let (off, on) = (
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "ALTER SYSTEM SET default_transaction_read_only = off",
        );
        all.push((Self::Server(postgres, off, on), database));

        let mariadb = Server::start(Kind::MariaDb);
        // Who may do everything may write to a server that is read-only.
        let root = mariadb.url().replace("authflow@", "root@");
        say(&root, "CREATE USER app@'%'; GRANT ALL ON test.* TO app@'%'").await;
        let url = mariadb.url().replace("authflow@", "app@");
        let database = one_connection(&url, Duration::from_secs(60));
        all.push((Self::Server(mariadb, "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"), database));

        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("connections.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_millis(1));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        all.push((Self::Sqlite(pool.clone(), Mutex::default(), dir), SqlDatabase::sqlite(pool)));

        for (_, database) in &all {
            database.migrate().await.unwrap();
        }
        all
    }

    /// Returns once it is so for the database's one connection.
    async fn takes_writes(&self, database: &SqlDatabase, takes: bool) {
        match self {
            Self::Server(server, off, on) => {
                say(&server.url(), if takes { on } else { off }).await;
                if server.kind == Kind::Postgres {
                    say(&server.url(), "SELECT pg_reload_conf()").await;
                }
            }
            Self::Sqlite(pool, lock, _) if !takes => {
                *lock.lock().await = Some(pool.begin_with("BEGIN IMMEDIATE").await.unwrap());
            }
            Self::Sqlite(_, lock, _) => lock.lock().await.take().unwrap().rollback().await.unwrap(),
        }
        let (store, stranger) = (SqlTokenStore::new(database), key("stranger"));
        until("it is so", || async {
            let put = store.put(&stranger, incarnation(), write(b"one")).await;
            store.load(&stranger).await.expect("it is read");
            put.is_ok() == takes
        })
        .await;
    }
}

/// To use up the state is a write, and comes first.
#[tokio::test]
async fn x26_no_code_is_sent_while_the_states_are_where_nothing_can_be_written() {
    for (switch, database) in Switch::all().await {
        let server = AuthorizationServer::builder().start().await.unwrap();
        let states = Arc::new(SqlStateStore::new(&database));
        let connections = process_with(&server, &database, states, Pace::Real);
        let down = async || switch.takes_writes(&database, false).await;
        let back = async || switch.takes_writes(&database, true).await;
        sends_no_code_meanwhile(&server, &connections, down, back).await;
    }
}

/// Where the states are elsewhere nothing was written before, and the code is sent. The tokens are offered to the database a few
/// times, and then given back; the connection that was there before stays.
#[tokio::test]
async fn x26_tokens_for_which_there_is_no_place_are_given_back() {
    for (switch, database) in Switch::all().await {
        let server = AuthorizationServer::builder().start().await.unwrap();
        let connections = process_with(&server, &database, Arc::new(MemoryStateStore::new()), Pace::Hurried);
        let user = Binding::user("tenant", "user-42");
        let complete = async |callback: &str| {
            let response = AuthorizationResponse::from_url(callback).unwrap();
            in_time(connections.complete("example", &response, &user).into_future()).await
        };
        let key = complete(&callback(&connections, &user).await).await.unwrap().key;
        let before = connections.token(&key).await.unwrap();
        let late = callback(&connections, &user).await;

        switch.takes_writes(&database, false).await;
        let error = complete(&late).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.recovery()),
            (ErrorKind::NotDurable, Recovery::Reconnect),
            "{error:?}"
        );
        let ledger = server.ledger();
        assert_eq!((ledger.token_requests().len(), ledger.of(Endpoint::Revocation).len()), (2, 1));
        let reused = complete(&late).await.unwrap_err();
        assert_eq!(reused.kind(), ErrorKind::StateNotFound);
        assert_eq!(connections.token(&key).await.unwrap().expose(), before.expose());

        switch.takes_writes(&database, true).await;
        let again = callback(&connections, &user).await;
        assert_eq!(complete(&again).await.unwrap().key, key);
        assert_ne!(connections.token(&key).await.unwrap().expose(), before.expose());
    }
}

/// A pause of the database that is over before long costs nothing. The pauses between the attempts are long, so that no
/// machine is so slow that the last of them comes while the database takes no writes.
#[tokio::test]
async fn x26_tokens_are_kept_once_the_database_takes_writes_again() {
    for (switch, database) in Switch::all().await {
        let server = AuthorizationServer::builder().start().await.unwrap();
        let connections = process_with(&server, &database, Arc::new(MemoryStateStore::new()), Pace::Slow);
        let user = Binding::user("tenant", "user-42");
        let callback = callback(&connections, &user).await;
        let response = AuthorizationResponse::from_url(&callback).unwrap();

        switch.takes_writes(&database, false).await;
        let completed = tokio::spawn(connections.complete("example", &response, &user).into_future());
        until("the code was sent", || async { server.ledger().token_requests().len() == 1 }).await;
        switch.takes_writes(&database, true).await;
        let key = in_time(completed).await.unwrap().unwrap().key;
        let (ledger, store) = (server.ledger(), SqlTokenStore::new(&database));
        assert_eq!((ledger.token_requests().len(), ledger.of(Endpoint::Revocation).len()), (1, 0));
        assert_eq!(record(&store, &key).await.version.counter(), 1);
        connections.token(&key).await.unwrap();
    }
}
