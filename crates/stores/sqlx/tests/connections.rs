//! `Connections` on a database that is down: X26.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Connections, ErrorKind, Flow,
    KeyRing, MemoryStateStore, Recovery,
};
use authflow_sqlx::{SqlDatabase, SqlTokenStore};
use authflow_testkit::{AuthorizationServer, LoopbackClient, ScriptedUser};
use support::{Kind, Server, in_time, one_connection, say, until};

/// One process of an application.
fn process(server: &AuthorizationServer, database: &SqlDatabase) -> Connections {
    let provider = server.provider("example").build().unwrap();
    let credentials =
        ClientCredentials::public(server.public_client().id()).redirect_uri("http://127.0.0.1/callback");
    let states = Arc::new(MemoryStateStore::new());
    let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
    let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
    Connections::builder()
        .flow(flow)
        .token_store(SqlTokenStore::new(database))
        .keys(KeyRing::generate().unwrap())
        .store_timeout(Duration::from_millis(500))
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
    let requests = || server.ledger().token_requests().len();
    let connections = process(&server, database);
    let user = Binding::user("tenant", "user-42");
    let authorization = connections.begin("example", &user).unwrap().await.unwrap();
    let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
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

#[tokio::test]
async fn x26_no_code_is_sent_while_a_server_is_down_and_the_callback_works_later() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let server = std::cell::RefCell::new(Server::start(kind));
        let database = one_connection(&server.borrow().url(), Duration::from_secs(10));
        database.migrate().await.unwrap();
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
