//! Over the application's own `reqwest::Client`, what can be held is held.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::time::Duration;

use authflow_core::{Delivery, HttpClient as _, HttpErrorKind, Limits};
use authflow_reqwest::ReqwestClient;
use common::clock::ManualClock;
use common::server::{answer, answering, hold, serve};
use common::{get, post, what};
use tokio::net::TcpSocket;

fn with_redirects() -> ReqwestClient {
    ReqwestClient::from_client(reqwest::Client::builder().no_proxy().build().unwrap())
}

#[tokio::test]
async fn c4_a_redirect_that_was_followed_is_an_error() {
    let target = answering(answer(200, "", b"{\"access_token\":\"a\"}")).await;
    for status in [301, 302, 303] {
        let location = format!("Location: {}\r\n", target.url("/elsewhere"));
        let seen = answering(answer(status, &location, b"")).await;
        let error = with_redirects().send(post(&seen.url("/token")), &Limits::default()).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Redirected, Delivery::Answered), "{status}");
    }
    assert!(target.requests() > 0, "this client does follow");
    assert!(!target.texts().concat().contains("grant_type"), "the body does not go along");
}

#[tokio::test]
async fn c4_a_redirect_that_would_take_the_body_along_is_not_followed() {
    let target = answering(answer(200, "", b"{}")).await;
    for status in [307, 308] {
        let location = format!("Location: {}\r\n", target.url("/elsewhere"));
        let seen = answering(answer(status, &location, b"")).await;
        let response = with_redirects().send(post(&seen.url("/token")), &Limits::default()).await.unwrap();
        assert_eq!(response.status, status);
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_loop_of_redirects_is_an_error() {
    let seen = answering(answer(302, "Location: /again\r\n", b"")).await;
    let error = with_redirects().send(get(&seen.url("/")), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Redirected, Delivery::Answered));
}

#[tokio::test]
async fn a_request_whose_redirect_leads_nowhere_was_sent_all_the_same() {
    let refusing = TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let location = format!("Location: http://{}/\r\n", refusing.local_addr().unwrap());
    let seen = answering(answer(302, &location, b"")).await;
    let clock = ManualClock::without_pauses();
    let client = with_redirects().with_clock(clock.clone());
    let error = client.send(post(&seen.url("/token")), &Limits::default()).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::Unknown);
    assert_eq!(seen.requests(), 1, "it is not sent again");
}

#[tokio::test]
async fn an_answer_without_redirect_is_an_answer() {
    let seen = answering(answer(200, "", b"{}")).await;
    for url in ["", "/", "/token?a=%20b&c=d+e#fragment", "/%7Euser/./x"] {
        let response = with_redirects().send(get(&seen.url(url)), &Limits::default()).await.unwrap();
        assert_eq!(response.body, b"{}", "{url}");
    }
}

#[tokio::test]
async fn the_deadlines_hold_and_the_delivery_is_known() {
    let unconnected = serve(|_, stream, _| hold(stream)).await;
    let unanswered = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        hold(stream).await;
    })
    .await;
    let limits = Limits::default();
    for (url, seconds, delivery) in [
        (common::tls::https(&unconnected, "/token"), 10, Delivery::NotSent),
        (unanswered.url("/token"), 30, Delivery::Unknown),
    ] {
        let clock = ManualClock::new();
        let client = with_redirects().with_clock(clock.clone());
        let (sent, ()) = tokio::join!(client.send(post(&url), &limits), async {
            match delivery {
                Delivery::NotSent => unconnected.wait_for_connections(1).await,
                _ => unanswered.wait_for_requests(1).await,
            }
            clock.advance(Duration::from_secs(seconds));
        });
        assert_eq!(what(&sent.unwrap_err()), (HttpErrorKind::Timeout, delivery));
    }
}

#[tokio::test]
async fn the_cap_on_the_body_holds() {
    let seen = answering(answer(200, "", &[b' '; 101])).await;
    let limits = Limits::default().with_max_body(100);
    let error = with_redirects().send(get(&seen.url("/")), &limits).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::TooLarge, Delivery::Answered));
}

#[tokio::test]
async fn https_only_holds() {
    let seen = answering(answer(200, "", b"{}")).await;
    let url = seen.url("/").replace("127.0.0.1", "localhost");
    let error = with_redirects().send(get(&url), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Insecure, Delivery::NotSent));
    assert_eq!(seen.connections(), 0);
}

#[tokio::test]
async fn a_refused_connection_is_not_sent_and_tried_again() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/token", socket.local_addr().unwrap());
    let clock = ManualClock::without_pauses();
    let error =
        with_redirects().with_clock(clock.clone()).send(post(&url), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::NotSent));
    assert_eq!(clock.pauses().len(), 2);
}
