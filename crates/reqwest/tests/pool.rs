//! Kept connections: what they mean for deadlines and delivery.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{Delivery, HttpClient as _, HttpErrorKind, Limits};
use authflow_reqwest::ReqwestClient;
use common::clock::ManualClock;
use common::server::{answer, answering, hold, serve};
use common::tls::{Ca, https};
use common::{get, post, what};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

#[tokio::test]
async fn a_connection_is_used_again() {
    let seen = answering(answer(200, "", b"{}")).await;
    let client = ReqwestClient::new().unwrap();
    for _ in 0..5 {
        client.clone().send(post(&seen.url("/")), &Limits::default()).await.unwrap();
    }
    assert_eq!((seen.connections(), seen.requests()), (1, 5));
}

#[tokio::test]
async fn none_is_kept_where_none_may_be() {
    let seen = answering(answer(200, "", b"{}")).await;
    let client = ReqwestClient::builder().max_idle_per_host(0).build().unwrap();
    for _ in 0..3 {
        client.send(post(&seen.url("/")), &Limits::default()).await.unwrap();
    }
    assert_eq!((seen.connections(), seen.requests()), (3, 3));
}

#[tokio::test]
async fn none_is_kept_longer_than_it_may_be() {
    let seen = answering(answer(200, "", b"{}")).await;
    let client = ReqwestClient::builder().idle_timeout(Duration::ZERO).build().unwrap();
    for _ in 0..3 {
        client.send(post(&seen.url("/")), &Limits::default()).await.unwrap();
    }
    assert_eq!((seen.connections(), seen.requests()), (3, 3));
}

#[tokio::test]
async fn a_request_that_is_in_line_for_a_kept_connection_is_unknown() {
    let seen = answering(answer(200, "", b"{}")).await;
    let client = ReqwestClient::builder().clock(ManualClock::new()).build().unwrap();
    client.send(post(&seen.url("/")), &Limits::default()).await.unwrap();
    // Given to the task of the connection, and given up before that task runs.
    let limits = Limits::default().with_total(Duration::ZERO);
    let error = client.send(post(&seen.url("/")), &limits).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::Unknown));
}

/// The second request waits for a new connection, whose TLS never comes to an end, and is then sent over the first
/// connection, which has become free.
#[tokio::test]
async fn a_request_that_takes_over_a_free_connection_counts_as_sent() {
    let acceptor = Ca::new();
    let pem = acceptor.pem();
    let acceptor = acceptor.acceptor("127.0.0.1", |_| {});
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let seen = serve(move |seen, stream, number| {
        let (acceptor, released) = (acceptor.clone(), Arc::clone(&released));
        async move {
            if number > 0 {
                return hold(stream).await;
            }
            let mut stream = acceptor.accept(stream).await.unwrap();
            seen.request(&mut stream).await.unwrap();
            released.notified().await;
            stream.write_all(&answer(200, "", b"first")).await.unwrap();
            seen.request(&mut stream).await.unwrap();
            hold(stream).await;
        }
    })
    .await;
    let clock = ManualClock::new();
    let client = ReqwestClient::builder().clock(clock.clone()).root_certificates_pem(pem).build().unwrap();
    let limits = Limits::default();
    let (first, second) = (https(&seen, "/first"), https(&seen, "/second"));
    let (first, second, ()) = tokio::join!(
        client.send(get(&first), &limits),
        async {
            seen.wait_for_requests(1).await;
            client.send(get(&second), &limits).await
        },
        async {
            seen.wait_for_connections(2).await;
            release.notify_one();
            seen.wait_for_requests(2).await;
            // The connect deadline is over, and means nothing any more.
            clock.advance(Duration::from_secs(15));
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(15));
        }
    );
    assert_eq!(first.unwrap().body, b"first");
    assert_eq!(what(&second.unwrap_err()), (HttpErrorKind::Timeout, Delivery::Unknown));
}
