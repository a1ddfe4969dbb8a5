//! `authflow request`.

use authflow_testkit::{Endpoint, Fault, RetryAfter};

use crate::support::{Store, feed, kept};
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
