//! As many open files as the process may have, and no more.

#![cfg(target_os = "linux")]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_test_servers::{Kind, Server};
use authflow_testkit::{AuthorizationServer, Endpoint, ScriptedUser};
use support::{
    Ended, Running, Store, arguments, command, deliver, finish, kept_expired, limited_by, parameter, provider,
};
use tokio::net::TcpStream;

/// With so many all that a command needs is there, and no more.
const ENOUGH: u32 = 40;

async fn server() -> AuthorizationServer {
    AuthorizationServer::builder().start().await.unwrap()
}

async fn limited(files: u32, store: &Store, arguments: &[&str]) -> Ended {
    finish(limited_by(&format!("-n {files}"), &store.command(arguments))).await
}

/// Too few are told before anything is begun.
fn is_refused(ended: &Ended) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("ulimit -n"), "{ended:?}");
    assert!(ended.stdout.is_empty() && !ended.stderr.contains("panicked"), "{ended:?}");
}

#[tokio::test]
async fn x32_with_too_few_files_a_login_is_refused_before_its_address_is_shown() {
    let (server, store) = (server().await, Store::files());
    let provider = provider(&server, server.public_client());
    let login = arguments("login", &provider, &["--no-browser", "--timeout", "1"]);
    for files in [6, 7, 8, 12, 16, 24, 32] {
        let ended = limited(files, &store, &login).await;
        is_refused(&ended);
        assert!(!ended.stderr.contains("open: "), "{ended:?}");
    }
    // It waits for the callback, that is, it has all that it needs.
    let ended = limited(ENOUGH, &store, &login).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
}

#[tokio::test]
async fn x32_with_too_few_files_no_refresh_is_begun_and_nothing_is_lost_on_any_store() {
    let (redis, dir) = (Server::start(Kind::Redis), tempfile::tempdir().unwrap());
    let database = format!("sqlite:{}", dir.path().join("kept.db").display());
    for store in [Store::files(), Store::at(&redis.url()), Store::at(&database)] {
        let server = server().await;
        kept_expired(&server, &store).await;
        for files in [6, 7, 8, 12, 16, 24, 32] {
            is_refused(&limited(files, &store, &["token", "work"]).await);
        }
        assert_eq!(server.ledger().count(Endpoint::Token), 1, "{store:?}");
        let token = limited(ENOUGH, &store, &["token", "work"]).await;
        assert_eq!(token.code, Some(0), "{store:?}: {token:?}");
        let newest = server.ledger().token_requests().pop().unwrap();
        assert_eq!(token.stdout.trim_end(), newest.access_token().unwrap());
        assert_eq!(store.good(&["token", "work"]).await.stdout, token.stdout);
        store.good(&["logout", "work"]).await;
    }
}

/// Connections that say nothing take all the files that the listener may open: the oldest make room for the browser.
#[tokio::test]
async fn x32_a_crowd_at_the_listener_that_takes_every_file_does_not_keep_the_callback_out() {
    let server = server().await;
    let provider = provider(&server, server.public_client());
    let login = command(&arguments("login", &provider, &["--no-browser", "--json"]));
    let mut running = Running::of(limited_by(&format!("-n {ENOUGH}"), &login));
    let url = running.url().await;
    let redirect_uri = url::Url::parse(&parameter(&url, "redirect_uri")).unwrap();
    let host = format!("127.0.0.1:{}", redirect_uri.port().unwrap());
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(TcpStream::connect(&host).await.unwrap());
    }
    let callback = ScriptedUser::new().approve(&url).await.unwrap();
    let page = deliver(&callback).await;
    assert!(page.body().contains("Connected"), "{}", page.body());
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.json()["access_token"].is_string() && !ended.stderr.contains("panicked"), "{ended:?}");
}
