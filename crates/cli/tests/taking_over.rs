//! Processes and servers that die in the middle, and those who go on.

#![cfg(unix)]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use authflow::{ConnectionKey, Release, TokenStore as _, User};
use authflow_file::FileTokenStore;
use authflow_test_servers::{Kind, Server};
use authflow_testkit::{AuthorizationServer, Endpoint, Outcome, Rotation};
use support::{Gate, PATIENCE, Running, Store, home, kept_expired, kept_expired_behind, signal};
#[cfg(target_os = "linux")]
use support::{ignoring_hangups, minding_hangups};
use tokio::time::timeout;

async fn server(grace: Option<Duration>) -> AuthorizationServer {
    AuthorizationServer::builder().rotation(Rotation::Rotate { grace }).start().await.unwrap()
}

/// The lease of whoever refreshes ends, and nobody waits for it: what it wrote down stays, as when its time is over.
async fn lease_ends() {
    let store = FileTokenStore::open(home().join("connections")).await.unwrap();
    let key = ConnectionKey::new(&User::new("authflow-cli", "work"), "work");
    let record = store.load(&key).await.unwrap().into_record().expect("it is kept");
    // A slow machine may have ended it already.
    let Some(lease) = record.lease else { return };
    store.release(&key, &lease.holder, Release::new().keep_mark()).await.unwrap();
}

/// A process that has sent its refresh, and will have no answer before the gate opens.
async fn in_the_middle(server: &AuthorizationServer, store: &Store) -> (Running, Gate) {
    let gate = Gate::before(server).await;
    kept_expired_behind(&gate, server, store).await;
    gate.shut();
    let command = store.command(&["token", "work"]);
    #[cfg(target_os = "linux")]
    let command = minding_hangups(&command);
    let running = Running::of(command);
    let seen = server.ledger().wait_for(|entry| entry.outcome() == &Outcome::RefreshUsed);
    timeout(PATIENCE, seen).await.expect("the refresh is sent");
    (running, gate)
}

#[tokio::test]
async fn x1_after_a_kill_in_the_middle_of_a_refresh_another_process_takes_over() {
    let (server, store) = (server(Some(Duration::from_secs(300))).await, Store::files());
    let (mut running, gate) = in_the_middle(&server, &store).await;
    // Who waits for the lease is told what is waited for.
    let mut other = Running::of(store.command(&["token", "work"]));
    other.line("Asking the provider for a new access token, or waiting for another process").await;
    running.child.kill().await.unwrap();
    gate.open();
    // It ends by itself.
    let token = other.end().await;
    assert_eq!(token.code, Some(0), "{token:?}");
    let newest = server.ledger().token_requests().pop().unwrap();
    assert_eq!(newest.outcome(), &Outcome::RefreshGrace);
    assert_eq!(token.stdout.trim_end(), newest.access_token().unwrap());
    assert_eq!(server.ledger().count(Endpoint::Token), 3);
}

#[tokio::test]
async fn f10_where_the_new_refresh_token_is_lost_the_user_is_told_how_to_connect_again() {
    let (server, store) = (server(None).await, Store::files());
    let (mut running, gate) = in_the_middle(&server, &store).await;
    running.child.kill().await.unwrap();
    gate.open();
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
    // Of hangups only Linux says whether they are to be ignored.
    let names = if cfg!(target_os = "linux") { &["INT", "TERM", "HUP"][..] } else { &["INT", "TERM"] };
    for name in names {
        let (server, store) = (server(None).await, Store::files());
        let (mut running, gate) = in_the_middle(&server, &store).await;
        signal(&running.child, name);
        running.line("Waiting for a refresh that is under way").await;
        if *name == "HUP" {
            // That of the shell, behind that of the terminal.
            signal(&running.child, name);
        }
        gate.open();
        let interrupted = running.end().await;
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

#[cfg(target_os = "linux")]
#[tokio::test]
async fn x1_who_has_a_closed_terminal_ignored_goes_on() {
    let (server, store) = (server(None).await, Store::files());
    let gate = Gate::before(&server).await;
    kept_expired_behind(&gate, &server, &store).await;
    gate.shut();
    let running = Running::of(ignoring_hangups(&store.command(&["token", "work"])));
    let seen = server.ledger().wait_for(|entry| entry.outcome() == &Outcome::RefreshUsed);
    timeout(PATIENCE, seen).await.expect("the refresh is sent");
    signal(&running.child, "HUP");
    gate.open();
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let newest = server.ledger().token_requests().pop().unwrap();
    assert_eq!(ended.stdout.trim_end(), newest.access_token().unwrap());
}

#[tokio::test]
async fn x3_a_process_that_stood_still_spoils_nothing() {
    let (server, store) = (server(Some(Duration::from_secs(300))).await, Store::files());
    let (running, gate) = in_the_middle(&server, &store).await;
    signal(&running.child, "STOP");
    gate.open();
    lease_ends().await;
    let other = store.good(&["token", "work"]).await;
    signal(&running.child, "CONT");
    let late = running.end().await;
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
        // Somebody else may have tokens that the store has not got.
        assert!(down.stdout.is_empty() && !down.stderr.contains("nothing is lost"), "{down:?}");
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
    let (mut running, gate) = in_the_middle(&server, &store).await;
    redis.kill();
    gate.open();
    // It stays down until the program has noticed.
    running.line("The provider has given new tokens").await;
    redis.restart();
    let one = running.end().await;
    assert_eq!(one.code, Some(0), "{one:?}");
    let two = store.good(&["token", "work"]).await;
    assert_eq!(one.stdout, two.stdout);
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
}

#[tokio::test]
async fn x4_tokens_that_no_store_took_are_an_error_although_the_token_was_printed() {
    let server = server(None).await;
    let mut redis = Server::start(Kind::Redis);
    let store = Store::at(&redis.url().replace("redis://", "redis://default:planted-password@"));
    let (mut running, gate) = in_the_middle(&server, &store).await;
    redis.kill();
    gate.open();
    let note = running.line("The provider has given new tokens for `work`").await;
    assert!(note.contains(&redis.url()) && note.contains("in memory"), "{note}");
    // Who asks a first time waits for the store, and who asks a second time does not.
    signal(&running.child, "INT");
    running.line("The provider has given new tokens for `work`").await;
    signal(&running.child, "INT");
    let ended = running.end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in ["error: ", "kind: NotDurable", "authflow login --name work"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert!(!ended.stderr.contains("planted-password"), "{ended:?}");
    let newest = server.ledger().token_requests().pop().unwrap();
    assert_eq!(ended.stdout.trim_end(), newest.access_token().unwrap());
    // What it said is what comes.
    redis.restart();
    let lost = store.run(&["token", "work"]).await;
    assert!(lost.code == Some(1) && lost.stderr.contains("kind: RotationLost"), "{lost:?}");
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
    kept_expired(&server, &store).await;
    // Another machine: nothing of the first one's home is there.
    let elsewhere = tempfile::tempdir().unwrap();
    let home = elsewhere.path().join("none");
    let second = store.clone().with("AUTHFLOW_HOME", home.to_str().unwrap());
    let (one, two) = tokio::join!(store.good(&["token", "work"]), second.good(&["token", "work"]));
    assert_eq!(one.stdout, two.stdout);
    assert_eq!(server.ledger().count(Endpoint::Token), 2, "the login's request and one refresh");
    assert!(!home.exists());
    let third = second.with("AUTHFLOW_KEYS", other).run(&["token", "work"]).await;
    assert_eq!(third.code, Some(1), "{third:?}");
    assert!(third.stderr.contains("kind: KeyUnknown"), "{}", third.stderr);
}
