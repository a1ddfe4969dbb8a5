//! Many processes at once, on each store: the ledger of the server is the judge.

#![cfg(unix)]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_test_servers::{Kind, Server};
use authflow_testkit::{AuthorizationServer, Endpoint, Fault, Outcome, RetryAfter};
use support::{Ended, PATIENCE, Store, home, kept_expired};
use tokio::time::timeout;

/// What came of so many processes that ask at once. Where the machine is busy, they may say what they wait for.
async fn sixty_four(store: &Store) -> Vec<Ended> {
    let children: Vec<_> = (0..64).map(|_| store.command(&["token", "work"]).spawn().unwrap()).collect();
    let mut all = Vec::new();
    for child in children {
        all.push(timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap().into());
    }
    all
}

/// I1: the refresh token is used once, and all get what came of it. The server revokes everything where it is used twice.
async fn one_token_request(store: &Store) {
    let server = AuthorizationServer::builder().start().await.unwrap();
    kept_expired(&server, store).await;
    let all = sixty_four(store).await;
    for ended in &all {
        assert!(ended.code == Some(0) && !ended.stderr.contains("error"), "{ended:?}");
    }
    let requests = server.ledger().token_requests();
    assert_eq!(requests.len(), 2, "the login's and one");
    assert_eq!(requests[1].outcome(), &Outcome::RefreshUsed);
    let newest = format!("{}\n", requests[1].access_token().unwrap());
    assert!(all.iter().all(|ended| ended.stdout == newest), "{all:?}");
}

/// X13, F20: a provider that asks for time is asked once, and all are told how long it wants to be left alone.
async fn one_request_where_the_provider_asks_for_time(store: &Store) {
    let server = AuthorizationServer::builder().start().await.unwrap();
    kept_expired(&server, store).await;
    server.fault_all(Endpoint::Token, Fault::Unavailable(RetryAfter::Seconds(3000)));
    for ended in sixty_four(store).await {
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains("kind: Unavailable"), "{ended:?}");
    }
    let later = store.run(&["token", "work"]).await;
    assert!(later.code == Some(1) && later.stderr.contains("kind: Unavailable"), "{later:?}");
    assert_eq!(server.ledger().count(Endpoint::Token), 2, "the login's and one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x13_f20_sixty_four_processes_leave_the_provider_alone_with_files() {
    one_request_where_the_provider_asks_for_time(&Store::files()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x13_f20_sixty_four_processes_leave_the_provider_alone_with_redis() {
    let database = Server::start(Kind::Redis);
    one_request_where_the_provider_asks_for_time(&Store::at(&database.url())).await;
}

async fn one_token_request_on(kind: Kind) {
    let database = Server::start(kind);
    one_token_request(&Store::at(&database.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_sixty_four_processes_with_files() {
    one_token_request(&Store::files()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_sixty_four_processes_with_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    one_token_request(&Store::at(&format!("sqlite:{}", dir.path().join("kept.db").display()))).await;
    // Only the keys are at home.
    assert_eq!(std::fs::read_dir(home()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_sixty_four_processes_with_redis() {
    one_token_request_on(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_sixty_four_processes_with_postgres() {
    one_token_request_on(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_sixty_four_processes_with_mariadb() {
    one_token_request_on(Kind::MariaDb).await;
}
