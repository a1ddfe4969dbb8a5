//! PostgreSQL and MariaDB whose disk is full: X8.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use authflow_core::{
    AccessToken, AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ConnectionKey,
    Connections, ErrorKind, Expected, Flow, KeyRing, LeaseHolder, LeaseOutcome, LeaseRequest, Recovery,
    SaveOutcome, StoreError, StoreErrorKind, TokenStore as _, Version,
};
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore};
use authflow_test_servers::SmallDisk;
use authflow_testkit::conformance::token_store::check_error;
use authflow_testkit::{AuthorizationServer, LoopbackClient, ScriptedUser};
use support::{
    Kind, LONG, Server, holder, in_time, incarnation, key, one_connection, record, say, text, until, write,
};

/// How long a connection, and each answer, is waited for where it comes: however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same, where none comes: the server is down, or waits for room.
const IN_VAIN: Duration = Duration::from_secs(1);
/// What an operation may take: a write and reading it back, and a connection for each.
const DEADLINE: Duration = Duration::from_secs(300);

/// What was written to one connection.
struct Written {
    key: ConnectionKey,
    /// What was answered last, if anything.
    version: Option<Version>,
    sealed: Vec<u8>,
    holder: Option<LeaseHolder>,
    /// What was asked for after that, and whether it may have been done.
    refused: Option<(Vec<u8>, StoreErrorKind)>,
}

/// An application whose stores are on a disk that can be filled.
struct App {
    server: Server,
    provider: AuthorizationServer,
    ring: KeyRing,
    store: SqlTokenStore,
    written: Vec<Written>,
}

impl App {
    async fn start(place: &Path, kind: Kind, more: &[&str]) -> Self {
        let server = Server::start_within(place, kind, more);
        let database = one_connection(&server.url(), PATIENCE).answer_timeout(PATIENCE);
        database.migrate().await.unwrap();
        let (store, provider) =
            (SqlTokenStore::new(&database), AuthorizationServer::builder().start().await.unwrap());
        Self { server, provider, ring: KeyRing::generate().unwrap(), store, written: Vec::new() }
    }

    /// One process of it.
    fn process(&self) -> Connections {
        self.process_on(&self.database())
    }

    fn process_on(&self, database: &SqlDatabase) -> Connections {
        let provider = self.provider.provider("example").build().unwrap();
        let credentials = ClientCredentials::public(self.provider.public_client().id())
            .redirect_uri("http://127.0.0.1/callback");
        let manager =
            ConfiguredProvider::from_provider(provider, credentials, SqlStateStore::new(database)).unwrap();
        let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
        Connections::builder()
            .flow(flow)
            .token_store(SqlTokenStore::new(database))
            .keys(self.ring.clone())
            .store_timeout(DEADLINE)
            .cache_for(DEADLINE)
            .build()
            .unwrap()
    }

    fn database(&self) -> SqlDatabase {
        one_connection(&self.server.url(), PATIENCE).answer_timeout(PATIENCE)
    }

    /// The database of a server that runs and does not answer.
    fn silent(&self) -> SqlDatabase {
        self.database().answer_timeout(IN_VAIN)
    }

    /// The database of a server that does not run.
    fn down(&self) -> SqlDatabase {
        one_connection(&self.server.url(), IN_VAIN)
    }

    /// One process of it, to which somebody is connected with this token, and two connections more.
    async fn used(&mut self) -> (Connections, ConnectionKey, AccessToken) {
        let connections = self.process();
        let user = connected(&connections).await;
        self.connect().await;
        self.connect().await;
        let token = connections.token(&user).await.unwrap();
        (connections, user, token)
    }

    /// Connects, which has to work.
    async fn connect(&mut self) {
        let (key, sealed) = (key("user"), noise(MUCH));
        let version = self.store.put(&key, incarnation(), write(&sealed)).await.unwrap();
        self.written.push(Written { key, version: Some(version), sealed, holder: None, refused: None });
    }

    /// Connects one after the other until one is refused.
    async fn connect_until_refused(&mut self, bytes: usize) -> StoreError {
        for _ in 0..ENOUGH {
            let (key, sealed) = (key("user"), noise(bytes));
            let put = soon(self.store.put(&key, incarnation(), write(&sealed))).await;
            let mut written = Written { key, version: None, sealed, holder: None, refused: None };
            match put {
                Ok(version) => written.version = Some(version),
                Err(ref error) => written.refused = Some((std::mem::take(&mut written.sealed), error.kind())),
            }
            let key = written.key.clone();
            self.written.push(written);
            if let Err(error) = put {
                return typed(error, &key);
            }
        }
        panic!("there is room for all of it");
    }

    /// Saves to the connection, if there is room.
    async fn save(&mut self, at: usize, bytes: usize) -> Result<(), StoreError> {
        let written = &mut self.written[at];
        let (expected, sealed) = (Expected::version(written.version.unwrap()), noise(bytes));
        match soon(self.store.save_if_version(&written.key, &expected, write(&sealed))).await {
            Ok(SaveOutcome::Saved(version)) => (written.version, written.sealed) = (Some(version), sealed),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                written.refused = Some((sealed, error.kind()));
                return Err(typed(error, &written.key));
            }
        }
        Ok(())
    }

    /// Saves to the connection again and again until that is refused.
    async fn save_until_refused(&mut self, at: usize, bytes: usize) -> StoreError {
        for _ in 0..ENOUGH {
            if let Err(error) = self.save(at, bytes).await {
                return error;
            }
        }
        panic!("there is room for all of it");
    }

    /// Leases the connection: that may need no room.
    async fn lease(&mut self, at: usize) -> Option<StoreError> {
        let (written, owner) = (&mut self.written[at], holder());
        match soon(self.store.lease(&written.key, LeaseRequest::new(owner, LONG))).await {
            Ok(LeaseOutcome::Leased { .. }) => written.holder = Some(owner),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return Some(typed(error, &written.key)),
        }
        None
    }

    /// Begins flows until one is refused. None of them has left.
    async fn begin_until_refused(&self, database: &SqlDatabase) {
        let connections = self.process_on(database);
        for _ in 0..ENOUGH {
            let begun = soon(
                connections.begin("example", &Binding::user("tenant", "user-42")).unwrap().into_future(),
            );
            if let Err(error) = begun.await {
                assert!(
                    matches!(
                        (error.kind(), error.recovery()),
                        (ErrorKind::StoreUnavailable, Recovery::Retry { .. })
                            | (ErrorKind::StoreOutcomeUnknown, Recovery::Reconnect)
                    ),
                    "{error:?}"
                );
                return;
            }
        }
        panic!("there is room for all of them");
    }

    /// What was answered is there, and what was not done is not.
    async fn nothing_is_lost(&self) {
        let patient = SqlTokenStore::new(&self.database());
        for Written { key, version, sealed, holder, refused } in &self.written {
            let Some(found) = in_time(patient.load(key)).await.unwrap().into_record() else {
                assert_eq!(*version, None, "{key} is lost");
                continue;
            };
            let was_done = match refused {
                Some((refused, StoreErrorKind::OutcomeUnknown)) => found.sealed.as_bytes() == refused,
                _ => false,
            };
            if was_done {
                assert_eq!(found.version.counter(), version.map_or(1, |version| version.next().counter()));
            } else {
                assert_eq!(Some(found.version), *version, "{key}");
                assert!(found.sealed.as_bytes() == sealed, "{key}");
                let is_leased = found.lease.map(|lease| lease.holder);
                assert!(holder.is_none() || is_leased == *holder, "{key}: {is_leased:?} {holder:?}");
            }
        }
    }

    /// What was refused works, and so does all else.
    async fn all_works(&mut self) {
        let count = self.written.len();
        self.store = SqlTokenStore::new(&self.database());
        for at in 0..count {
            if let Some((refused, _)) = self.written[at].refused.take() {
                let key = self.written[at].key.clone();
                let found = self.store.load(&key).await.unwrap().into_record();
                match found {
                    None => drop(self.store.put(&key, incarnation(), write(&refused)).await.unwrap()),
                    Some(found) => {
                        let expected = Expected::version(found.version);
                        let saved = self.store.save_if_version(&key, &expected, write(&refused)).await;
                        assert!(matches!(saved.unwrap(), SaveOutcome::Saved(_)));
                    }
                }
                assert!(record(&self.store, &key).await.sealed.as_bytes() == refused);
            }
        }
        self.connect().await;
        assert!(self.lease(count).await.is_none());
        connected(&self.process()).await;
    }
}

/// More than there is room for.
const ENOUGH: usize = 10_000;

/// For what no page has room.
const MUCH: usize = 20_000;
/// What takes the place of what was there before.
const LITTLE: usize = 200;

/// Bytes that no server can make fewer.
fn noise(bytes: usize) -> Vec<u8> {
    let mut number = u64::from_le_bytes(incarnation().as_bytes()[..8].try_into().unwrap()) | 1;
    let numbers = std::iter::repeat_with(|| {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        number.to_le_bytes()
    });
    numbers.flatten().take(bytes).collect()
}

/// The store gives up by itself.
async fn soon<F: Future>(call: F) -> F::Output {
    tokio::time::timeout(DEADLINE, call).await.expect("the store has a deadline")
}

fn typed(error: StoreError, key: &ConnectionKey) -> StoreError {
    check_error(&error, key, b"planted-sealed").unwrap();
    assert!(
        matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::OutcomeUnknown),
        "{}",
        text(&error)
    );
    error
}

/// Somebody connects.
async fn connected(connections: &Connections) -> ConnectionKey {
    let user = Binding::user("tenant", "user-42");
    let authorization = connections.begin("example", &user).unwrap().await.unwrap();
    let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    connections.complete("example", &response, &user).await.unwrap().key
}

/// Its tables cannot grow.
#[tokio::test]
async fn x8_a_postgres_whose_disk_is_full_is_read_and_goes_on_once_there_is_room() {
    let test = "x8_a_postgres_whose_disk_is_full_is_read_and_goes_on_once_there_is_room";
    let Some(disk) = SmallDisk::of(test, "96m") else { return };
    let mut app = App::start(disk.path(), Kind::Postgres, &[]).await;
    let (_, user, token) = app.used().await;
    // A segment of the log that is made before has room for all that follows.
    say(&app.server.url(), "SELECT pg_switch_wal()").await;
    app.connect().await;

    disk.fill();
    let refused = app.connect_until_refused(MUCH).await;
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{}", text(&refused));
    assert!(text(&refused).contains("full"), "{}", text(&refused));
    assert_eq!(app.save_until_refused(0, MUCH).await.kind(), StoreErrorKind::Unavailable);
    app.lease(1).await;
    app.begin_until_refused(&app.database()).await;
    assert_eq!(soon(app.process().token(&user)).await.unwrap().expose(), token.expose());
    app.nothing_is_lost().await;

    disk.make_room();
    assert!(!app.server.has_ended());
    app.nothing_is_lost().await;
    app.all_works().await;
}

/// It has no room for its log, and ends in the middle of a commit: whether that was done is not known.
#[tokio::test]
async fn x8_a_postgres_that_has_no_room_for_its_log_loses_nothing_that_was_answered() {
    let test = "x8_a_postgres_that_has_no_room_for_its_log_loses_nothing_that_was_answered";
    let Some(disk) = SmallDisk::of(test, "96m") else { return };
    // Nothing but the statements of this test writes to the log, so that it is one of them for which there is no room.
    let alone = ["wal_level=minimal", "max_wal_senders=0", "autovacuum=off", "checkpoint_timeout=1d"];
    let alone = alone.map(|setting| ["-c", setting]).concat();
    let mut app = App::start(disk.path(), Kind::Postgres, &alone).await;
    app.store = SqlTokenStore::new(&app.database().prepared_statements(true));
    let (connections, user, token) = app.used().await;

    disk.fill();
    let refused = loop {
        // What is written next needs another segment of the log.
        say(&app.server.url(), "SELECT pg_switch_wal()").await;
        if let Err(error) = app.save(0, LITTLE).await {
            break error;
        }
    };
    assert_eq!(refused.kind(), StoreErrorKind::OutcomeUnknown, "{}", text(&refused));
    let server = std::sync::Mutex::new(&mut app.server);
    until("it ends", || std::future::ready(server.lock().unwrap().has_ended())).await;
    app.store = SqlTokenStore::new(&app.down());
    assert_eq!(app.connect_until_refused(MUCH).await.kind(), StoreErrorKind::Unavailable);
    assert_eq!(app.lease(1).await.unwrap().kind(), StoreErrorKind::Unavailable);
    app.begin_until_refused(&app.down()).await;
    assert_eq!(soon(connections.token(&user)).await.unwrap().expose(), token.expose());

    disk.make_room();
    app.server.restart();
    app.nothing_is_lost().await;
    app.all_works().await;
}

/// Its tables cannot grow. What is read needs no room, and some of what is written is not refused: it waits for room.
#[tokio::test]
async fn x8_a_mariadb_whose_disk_is_full_is_read_and_goes_on_once_there_is_room() {
    let test = "x8_a_mariadb_whose_disk_is_full_is_read_and_goes_on_once_there_is_room";
    let Some(disk) = SmallDisk::of(test, "192m") else { return };
    let mut app = App::start(disk.path(), Kind::MariaDb, &["--innodb-log-file-size=8M"]).await;
    let (_, user, token) = app.used().await;

    disk.fill();
    for refused in [app.connect_until_refused(LITTLE).await, app.save_until_refused(0, MUCH).await] {
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{}", text(&refused));
        assert!(text(&refused).contains("full"), "{}", text(&refused));
    }
    app.lease(1).await;
    app.begin_until_refused(&app.database()).await;
    assert_eq!(soon(app.process().token(&user)).await.unwrap().expose(), token.expose());
    app.nothing_is_lost().await;

    disk.make_room();
    assert!(!app.server.has_ended());
    app.nothing_is_lost().await;
    app.all_works().await;
}

/// It waits for room for its log of changes, and looks for it once a minute: nobody waits with it.
#[tokio::test]
async fn x8_a_mariadb_that_waits_for_room_is_given_up_in_time() {
    let test = "x8_a_mariadb_that_waits_for_room_is_given_up_in_time";
    let Some(disk) = SmallDisk::of(test, "2m") else { return };
    let changes = format!("--log-bin={}", disk.path().join("changes").display());
    let more = [&changes, "--server-id=1", "--innodb-log-file-size=8M"];
    let mut app = App::start(&std::env::temp_dir(), Kind::MariaDb, &more).await;
    let (_, user, token) = app.used().await;

    disk.fill();
    app.store = SqlTokenStore::new(&app.silent());
    let refused = app.save_until_refused(0, LITTLE).await;
    assert_eq!(refused.kind(), StoreErrorKind::OutcomeUnknown);
    assert!(text(&refused).contains("in time"), "{}", text(&refused));
    assert_eq!(app.connect_until_refused(MUCH).await.kind(), StoreErrorKind::OutcomeUnknown);
    assert_eq!(app.lease(1).await.unwrap().kind(), StoreErrorKind::OutcomeUnknown);
    app.begin_until_refused(&app.silent()).await;
    assert_eq!(soon(app.process().token(&user)).await.unwrap().expose(), token.expose());

    disk.make_room();
    assert!(!app.server.has_ended());
    app.server.kill();
    app.server.restart();
    app.nothing_is_lost().await;
    app.all_works().await;
}
