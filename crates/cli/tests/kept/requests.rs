//! `authflow request`.

use authflow_testkit::{Endpoint, Fault, RetryAfter};
use axum::Router;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use tokio::net::TcpListener;

use crate::support::{Store, feed, kept, kept_with};
use crate::{assert_tells_no_secret, server};

#[tokio::test]
async fn request_sends_with_the_token_and_prints_the_body() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let url = server.resource_url();
    let ended = store.good(&["request", "work", "get", &url, "--header", "Accept: application/json"]).await;
    assert!(ended.json().is_object(), "{ended:?}");
    assert!(ended.stderr.contains("HTTP 200"), "{}", ended.stderr);
    let seen = server.ledger().of(Endpoint::Resource).pop().unwrap();
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_tells_no_secret(&server, &ended.stderr);

    let post = ["request", "work", "POST", &url, "-H", "Content-Type: application/x-www-form-urlencoded"];
    let data = store.good(&[&post[..], &["--data", "a=b"]].concat()).await;
    assert!(!data.stdout.is_empty());
    assert_eq!(server.ledger().of(Endpoint::Resource).pop().unwrap().form_value("a"), Some("b"));
    let fed = feed(store.command(&[&post[..], &["--body", "-"]].concat()), "c=d").await;
    assert_eq!(fed.code, Some(0), "{fed:?}");
    assert_eq!(server.ledger().of(Endpoint::Resource).pop().unwrap().form_value("c"), Some("d"));
}

#[tokio::test]
async fn f22_a_401_is_answered_with_one_refresh() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    server.fault_next(Endpoint::Resource, Fault::Refuse(authflow_testkit::ErrorCode::InvalidToken));
    let ended = store.good(&["request", "work", "GET", &server.resource_url()]).await;
    assert!(ended.json().is_object());
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
    assert_eq!(server.ledger().count(Endpoint::Resource), 2);
}

#[tokio::test]
async fn f22_a_request_that_was_not_sent_again_says_so_and_works_when_it_is() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let refused = || {
        server.fault_next(Endpoint::Resource, Fault::Refuse(authflow_testkit::ErrorCode::InvalidToken));
    };
    refused();
    let url = server.resource_url();
    let post = ["request", "work", "POST", &url, "--data", "a=b"];
    let ended = store.run(&post).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("Run the same command again; with --replayable"), "{ended:?}");
    assert!(!ended.stderr.contains("connect again"), "{ended:?}");
    assert_eq!(server.ledger().count(Endpoint::Token), 2, "there is a new token");
    store.good(&post).await;
    assert_eq!(server.ledger().count(Endpoint::Token), 2);
    refused();
    store.good(&[&post[..], &["--replayable"]].concat()).await;
}

#[tokio::test]
async fn f22_without_a_refresh_token_only_its_user_helps_also_where_nothing_is_sent_again() {
    let (server, store) = (server().await, Store::files());
    server.fault_next(Endpoint::Token, Fault::MissingRefreshToken);
    kept(&server, &store).await;
    for method in ["GET", "POST"] {
        server.fault_next(Endpoint::Resource, Fault::Refuse(authflow_testkit::ErrorCode::InvalidToken));
        let ended = store.run(&["request", "work", method, &server.resource_url()]).await;
        assert_eq!(ended.code, Some(1), "{method}: {ended:?}");
        assert!(ended.stderr.contains("connect again: authflow login --name work"), "{method}: {ended:?}");
    }
}

/// An API that answers each request with 401 and this challenge.
async fn challenging(challenge: &'static str) -> String {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", socket.local_addr().unwrap());
    let answer = move || async move { (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]) };
    tokio::spawn(async move { axum::serve(socket, Router::new().fallback(answer)).await });
    origin
}

#[tokio::test]
async fn f22_what_an_api_refuses_beside_the_token_is_told_in_its_words() {
    let (server, store) = (server().await, Store::files());
    for (challenge, lessons) in [
        (
            r#"Bearer error="insufficient_scope", error_description="not for you", scope="repo admin""#,
            &["(insufficient_scope: not for you; it needs: repo admin)", "login --name work --scope SCOPE"][..],
        ),
        (
            r#"Bearer error="invalid_request", error_description="the id is missing""#,
            &["the request is wrong (invalid_request: the id is missing)"],
        ),
    ] {
        let api = challenging(challenge).await;
        kept_with(&server, &store, &["--name", "work", "--api-origin", &api]).await;
        let before = server.ledger().count(Endpoint::Token);
        for method in ["GET", "POST"] {
            let ended = store.run(&["request", "work", method, &format!("{api}/x")]).await;
            assert_eq!(ended.code, Some(1), "{ended:?}");
            for lesson in lessons {
                assert!(ended.stderr.contains(lesson), "{lesson}: {ended:?}");
            }
            assert!(!ended.stderr.contains("connect again"), "{ended:?}");
        }
        assert_eq!(server.ledger().count(Endpoint::Token), before, "another token would not help");
    }
}

#[tokio::test]
async fn d1_the_token_goes_to_the_providers_api_only() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let stranger = crate::server().await;
    let ended = store.run(&["request", "work", "GET", &stranger.resource_url()]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains(server.base_url()), "{}", ended.stderr);
    assert!(stranger.ledger().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_1() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    server.fault_next(Endpoint::Resource, Fault::ServerError(RetryAfter::Absent));
    let ended = store.run(&["request", "work", "GET", &server.resource_url()]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("HTTP 500") && !ended.stdout.is_empty(), "{ended:?}");
}
