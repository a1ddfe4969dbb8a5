//! Redis whose disk is full: X7.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::error::Error as _;
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections,
    ErrorKind, Expected, Flow, KeyRing, LeaseOutcome, LeaseRequest, Recovery, SaveOutcome, StoreError,
    StoreErrorKind, TokenStore as _, Version,
};
use authflow_redis::{RedisConfig, RedisStateStore, RedisTokenStore};
use authflow_test_servers::{Kind, Server, SmallDisk};
use authflow_testkit::{AuthorizationServer, LoopbackClient, ScriptedUser};
use support::tokens::{LONG, bytes, connect_as, connection, found, holder, sealed};
use support::{in_time, until};

/// How long an answer is waited for: a server that runs gives one, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// Has no room left before long.
const SIZE: &str = "2m";

/// An application, and what it was told that it has stored.
struct App {
    server: Server,
    provider: AuthorizationServer,
    ring: KeyRing,
    store: RedisTokenStore,
    written: Vec<(ConnectionKey, Version, String)>,
}

impl App {
    async fn start(disk: &SmallDisk, more: &[&str]) -> Self {
        let server = Server::start_within(disk.path(), Kind::Redis, more);
        let (store, provider) = (open(&server).await, AuthorizationServer::builder().start().await.unwrap());
        Self { server, provider, ring: KeyRing::generate().unwrap(), store, written: Vec::new() }
    }

    /// One process of it.
    async fn process(&self) -> Connections {
        let provider = self.provider.provider("example").build().unwrap();
        let credentials = ClientCredentials::public(self.provider.public_client().id())
            .redirect_uri("http://127.0.0.1/callback");
        let states = RedisStateStore::connect(config(&self.server)).await.unwrap();
        let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
        let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
        let builder = Connections::builder().flow(flow).token_store(open(&self.server).await);
        builder.keys(self.ring.clone()).store_timeout(2 * PATIENCE).cache_for(2 * PATIENCE).build().unwrap()
    }

    /// Connects, if there is room.
    async fn connect(&mut self) -> Result<(), StoreError> {
        let (key, sealed) = (connection(&format!("user {}", self.written.len())), "one".repeat(5_000));
        let version = connect_as(&self.store, &key, &sealed).await?;
        self.written.push((key, version, sealed));
        Ok(())
    }

    async fn connect_until_refused(&mut self) -> StoreError {
        for _ in 0..100_000 {
            if let Err(error) = self.connect().await {
                return error;
            }
        }
        panic!("there is room for all of it");
    }

    /// Leases and saves nothing.
    async fn refuses_all(&self) {
        let (key, version, _) = &self.written[0];
        let expected = Expected::version(*version);
        let leased = in_time(self.store.lease(key, LeaseRequest::new(holder(), LONG))).await;
        let saved = in_time(self.store.save_if_version(key, &expected, sealed("two"))).await;
        for error in [leased.unwrap_err(), saved.unwrap_err()] {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
        }
    }

    /// What was answered is there.
    async fn nothing_is_lost(&self) {
        let store = open(&self.server).await;
        for (key, version, sealed) in &self.written {
            let record = found(&store, key).await.unwrap().expect("what was answered");
            assert_eq!(record.version, *version);
            assert!(bytes(&record) == sealed, "{key}");
        }
    }

    /// Saves and leases what was stored, and connects anew.
    async fn all_works(&mut self) {
        self.store = open(&self.server).await;
        let (key, version, _) = &self.written[0];
        let expected = Expected::version(*version);
        let saved = in_time(self.store.save_if_version(key, &expected, sealed("two"))).await.unwrap();
        assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
        let leased = in_time(self.store.lease(key, LeaseRequest::new(holder(), LONG))).await.unwrap();
        assert!(matches!(leased, LeaseOutcome::Leased { .. }), "{leased:?}");
        self.connect().await.unwrap();
        connected(&self.process().await).await;
    }
}

fn config(server: &Server) -> RedisConfig {
    RedisConfig::server(&server.url()).unwrap().response_timeout(PATIENCE)
}

async fn open(server: &Server) -> RedisTokenStore {
    RedisTokenStore::connect(config(server)).await.unwrap()
}

/// Somebody connects.
async fn connected(connections: &Connections) -> ConnectionKey {
    let user = Binding::user("tenant", "user-42");
    let authorization = connections.begin("example", &user).unwrap().await.unwrap();
    let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
    let response = AuthorizationResponse::from_url(&callback).unwrap();
    connections.complete("example", &response, &user).await.unwrap().key
}

async fn begins_nothing(connections: &Connections) {
    let begun =
        in_time(connections.begin("example", &Binding::user("tenant", "user-42")).unwrap().into_future());
    let error = begun.await.unwrap_err();
    // Who has not noticed yet that the server has ended asks it, and hears nothing.
    assert!(
        matches!(
            (error.kind(), error.recovery()),
            (ErrorKind::StoreUnavailable, Recovery::Retry { .. })
                | (ErrorKind::StoreOutcomeUnknown, Recovery::Reconnect)
        ),
        "{error:?}"
    );
}

/// It answers nothing that is not on its disk: it ends.
#[tokio::test]
async fn x7_a_redis_without_room_for_what_it_is_to_answer_ends_and_loses_nothing_that_was_answered() {
    let test = "x7_a_redis_without_room_for_what_it_is_to_answer_ends_and_loses_nothing_that_was_answered";
    let Some(disk) = SmallDisk::of(test, SIZE) else { return };
    let mut app = App::start(&disk, &[]).await;
    let connections = app.process().await;
    let user = connected(&connections).await;
    app.connect().await.unwrap();
    let token = connections.token(&user).await.unwrap();

    disk.fill();
    assert_eq!(app.connect_until_refused().await.kind(), StoreErrorKind::OutcomeUnknown);
    let server = std::sync::Mutex::new(&mut app.server);
    until("it ends", || std::future::ready(server.lock().unwrap().has_ended())).await;
    app.refuses_all().await;
    begins_nothing(&connections).await;
    assert_eq!(in_time(connections.token(&user)).await.unwrap().expose(), token.expose());

    disk.make_room();
    app.server.restart();
    app.nothing_is_lost().await;
    app.all_works().await;
}

/// It answers before it writes. Once it has found out that it cannot, it takes no writes, and is read.
#[tokio::test]
async fn x7_a_redis_that_cannot_write_its_log_is_read_and_takes_writes_once_there_is_room() {
    let test = "x7_a_redis_that_cannot_write_its_log_is_read_and_takes_writes_once_there_is_room";
    let Some(disk) = SmallDisk::of(test, SIZE) else { return };
    let mut app = App::start(&disk, &["--appendfsync", "everysec"]).await;
    let connections = app.process().await;
    let user = connected(&connections).await;
    app.connect().await.unwrap();
    let token = connections.token(&user).await.unwrap();

    disk.fill();
    let refused = app.connect_until_refused().await;
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{refused:?}");
    let source = refused.source().unwrap().to_string();
    assert!(source.contains("MISCONF") && source.contains("disk"), "{source}");
    app.refuses_all().await;
    begins_nothing(&connections).await;
    let another = app.process().await;
    assert_eq!(in_time(another.token(&user)).await.unwrap().expose(), token.expose());
    app.nothing_is_lost().await;

    disk.make_room();
    let store = app.store.clone();
    until("it takes writes", || async { connect_as(&store, &connection("late"), "late").await.is_ok() })
        .await;
    app.server.kill();
    app.server.restart();
    app.nothing_is_lost().await;
    app.all_works().await;
}
