//! Processes and servers that die in the middle, and those who go on.

#![cfg(unix)]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::process::Command as Process;
use std::time::Duration;

use authflow::{ConnectionKey, Release, Tenure, TokenStore as _, User};
use authflow_file::FileTokenStore;
use authflow_test_servers::{Kind, Server};
use authflow_testkit::{AuthorizationServer, Endpoint, Fault, Outcome, Rotation};
use support::{Ended, PATIENCE, Store, home, kept, kept_expired};
use tokio::process::Child;
use tokio::time::timeout;

async fn server(grace: Option<Duration>) -> AuthorizationServer {
    AuthorizationServer::builder().rotation(Rotation::Rotate { grace }).start().await.unwrap()
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill {name} {}", child.id().unwrap());
    assert!(Process::new("sh").args(["-c", &kill]).status().unwrap().success());
}

async fn ended(child: Child) -> Ended {
    timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap().into()
}

/// The lease of whoever refreshes ends, and nobody waits for it: what it wrote down stays, as when its time is over.
async fn lease_ends() {
    let store = FileTokenStore::open(home().join("connections")).await.unwrap();
    let key = ConnectionKey::new(&User::new("authflow-cli", "work"), "work");
    let record = store.load(&key).await.unwrap().into_record().expect("it is kept");
    let lease = record.lease.expect("somebody refreshes");
    let released = store.release(&key, &lease.holder, Release::new().keep_mark()).await.unwrap();
    assert_eq!(released, Tenure::Held);
}

/// A process that has sent its refresh, and will have no answer before `fault` lets it.
async fn in_the_middle(server: &AuthorizationServer, store: &Store, fault: Fault) -> Child {
    kept_expired(server, store).await;
    server.fault_next(Endpoint::Token, fault);
    let child = store.command(&["token", "work"]).spawn().unwrap();
    let seen = server.ledger().wait_for(|entry| entry.outcome() == &Outcome::RefreshUsed);
    timeout(PATIENCE, seen).await.expect("the refresh is sent");
    child
}

#[tokio::test]
async fn x1_after_a_kill_in_the_middle_of_a_refresh_another_process_takes_over() {
    let (server, store) = (server(Some(Duration::from_secs(300))).await, Store::files());
    let mut child = in_the_middle(&server, &store, Fault::StallHeaders).await;
    child.kill().await.unwrap();
    // The lease ends by itself; who waits for it is told what is waited for.
    let token = store.good(&["token", "work"]).await;
    assert!(token.stderr.contains("waiting for another process"), "{}", token.stderr);
    let newest = server.ledger().token_requests().pop().unwrap();
    assert_eq!(newest.outcome(), &Outcome::RefreshGrace);
    assert_eq!(token.stdout.trim_end(), newest.access_token().unwrap());
    assert_eq!(server.ledger().count(Endpoint::Token), 3);
}

#[tokio::test]
async fn f10_where_the_new_refresh_token_is_lost_the_user_is_told_how_to_connect_again() {
    let (server, store) = (server(None).await, Store::files());
    let mut child = in_the_middle(&server, &store, Fault::StallHeaders).await;
    child.kill().await.unwrap();
    lease_ends().await;
    let lost = store.run(&["token", "work"]).await;
    assert_eq!(lost.code, Some(1), "{lost:?}");
    assert!(lost.stderr.contains("kind: RotationLost"), "{}", lost.stderr);
    assert!(lost.stderr.contains("authflow login --name work"), "{}", lost.stderr);
    let status = store.good(&["status", "--json"]).await.json();
    assert_eq!(status["connections"][0]["reason"], "rotation_lost");
}

#[tokio::test]
async fn x1_ctrl_c_in_the_middle_of_a_refresh_loses_nothing() {
    for name in ["-INT", "-TERM"] {
        let (server, store) = (server(None).await, Store::files());
        let child = in_the_middle(&server, &store, Fault::SlowHeaders(Duration::from_millis(1500))).await;
        signal(&child, name);
        let interrupted = ended(child).await;
        assert_eq!(interrupted.code, Some(1), "{interrupted:?}");
        assert!(
            interrupted.stdout.is_empty() && interrupted.stderr.contains("interrupted"),
            "{interrupted:?}"
        );
        let token = store.good(&["token", "work"]).await;
        let requests = server.ledger().token_requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(token.stdout.trim_end(), requests[1].access_token().unwrap());
        store.good(&["logout", "work"]).await;
    }
}

#[tokio::test]
async fn x3_a_process_that_stood_still_spoils_nothing() {
    let (server, store) = (server(Some(Duration::from_secs(300))).await, Store::files());
    let child = in_the_middle(&server, &store, Fault::SlowHeaders(Duration::from_millis(300))).await;
    signal(&child, "-STOP");
    lease_ends().await;
    let other = store.good(&["token", "work"]).await;
    signal(&child, "-CONT");
    let late = ended(child).await;
    assert_eq!(late.code, Some(0), "{late:?}");
    let again = store.good(&["token", "work"]).await;
    assert_eq!((late.stdout, again.stdout), (other.stdout.clone(), other.stdout));
}

#[tokio::test]
async fn x4_a_redis_that_is_down_is_told_and_asks_no_provider() {
    let server = server(None).await;
    let mut redis = Server::start(Kind::Redis);
    let store = Store::at(&redis.url());
    kept_expired(&server, &store).await;
    redis.kill();
    let (one, two) = tokio::join!(store.run(&["token", "work"]), store.run(&["token", "work"]));
    for down in [one, two] {
        assert_eq!(down.code, Some(1), "{down:?}");
        assert!(down.stderr.contains("the store") && down.stderr.contains("try again"), "{}", down.stderr);
        assert!(down.stdout.is_empty());
    }
    assert_eq!(server.ledger().count(Endpoint::Token), 1);
    redis.restart();
    let (one, two) = tokio::join!(store.good(&["token", "work"]), store.good(&["token", "work"]));
    assert_eq!(one.stdout, two.stdout);
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
}

#[tokio::test]
async fn x4_a_redis_that_dies_during_a_refresh_gets_the_new_tokens_when_it_is_back() {
    let server = server(None).await;
    let mut redis = Server::start(Kind::Redis);
    let store = Store::at(&redis.url());
    let child = in_the_middle(&server, &store, Fault::SlowHeaders(Duration::from_secs(1))).await;
    redis.kill();
    redis.restart();
    let one = ended(child).await;
    assert_eq!(one.code, Some(0), "{one:?}");
    let two = store.good(&["token", "work"]).await;
    assert_eq!(one.stdout, two.stdout);
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
}

#[tokio::test]
async fn two_terminals_share_one_redis_and_a_third_without_the_key_is_told() {
    let server = server(None).await;
    let redis = Server::start(Kind::Redis);
    let (keys, other) = (
        "k1:a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=",
        "k2:1HNeOiZeFu7gP1lxi5tdAwGcB9i2xR+Q2jpmbuwTqzU=",
    );
    let store = Store::at(&redis.url()).with("AUTHFLOW_KEYS", keys);
    kept(&server, &store).await;
    // Another machine: nothing of the first one's home is there.
    let elsewhere = tempfile::tempdir().unwrap();
    let home = elsewhere.path().join("none");
    let second = store.clone().with("AUTHFLOW_HOME", home.to_str().unwrap());
    let (one, two) = (store.good(&["token", "work"]).await, second.good(&["token", "work"]).await);
    assert_eq!(one.stdout, two.stdout);
    assert!(!home.exists());
    let third = second.with("AUTHFLOW_KEYS", other).run(&["token", "work"]).await;
    assert_eq!(third.code, Some(1), "{third:?}");
    assert!(third.stderr.contains("kind: KeyUnknown"), "{}", third.stderr);
}
