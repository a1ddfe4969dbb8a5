//! Only what was not sent is sent again, and nobody below does it behind our back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::time::Duration;

use authflow_core::{Delivery, HttpClient as _, HttpError, HttpErrorKind, Limits};
use authflow_reqwest::ReqwestClient;
use common::clock::ManualClock;
use common::server::{answer, hold, serve, serve_on};
use common::{get, post, what};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

/// A port that refuses, and that nobody else gets.
fn refusing() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/token", socket.local_addr().unwrap());
    (socket, url)
}

#[tokio::test]
async fn what_was_not_sent_is_sent_again_once_the_server_is_back() {
    let (socket, url) = refusing();
    let clock = ManualClock::new();
    let client = ReqwestClient::builder().clock(clock.clone()).build().unwrap();
    let limits = Limits::default();
    let (sent, seen) = tokio::join!(client.send(post(&url), &limits), async {
        let pause = clock.pause_begun().await;
        let seen = serve_on(socket.listen(8).unwrap(), |seen, mut stream, _| async move {
            seen.request(&mut stream).await.unwrap();
            stream.write_all(&answer(200, "", b"{}")).await.unwrap();
        });
        clock.advance(pause);
        seen
    });
    assert_eq!(sent.unwrap().body, b"{}");
    assert_eq!(seen.requests(), 1);
    assert!(seen.texts()[0].ends_with("grant_type=authorization_code"), "the body is sent in full");
}

/// The first try is refused, and the second finds a server that never says hello. Moves the clock by each of `moves` after
/// the second has begun, and returns before which of them it had ended, if so, and how.
async fn ends_before(limits: Limits, moves: impl Fn(Duration) -> Vec<Duration>) -> (usize, HttpError) {
    let (socket, url) = refusing();
    let url = url.replacen("http:", "https:", 1);
    let clock = ManualClock::new();
    let client = ReqwestClient::builder().clock(clock.clone()).build().unwrap();
    let sending = tokio::spawn(async move { client.send(post(&url), &limits).await });
    let pause = clock.pause_begun().await;
    let seen = serve_on(socket.listen(8).unwrap(), |_, stream, _| hold(stream));
    clock.advance(pause);
    seen.wait_for_connections(1).await;
    let mut count = 0;
    for by in moves(pause) {
        if sending.is_finished() {
            break;
        }
        count += 1;
        clock.advance(by);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    assert!(sending.is_finished());
    (count, sending.await.unwrap().unwrap_err())
}

#[tokio::test]
async fn each_try_has_its_own_deadline_for_the_connection() {
    // By the first move, the first try would have ended.
    let connect = Limits::default().connect;
    let (moves, error) = ends_before(Limits::default(), |pause| vec![connect - pause, pause]).await;
    assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::NotSent));
    assert_eq!(moves, 2);
}

#[tokio::test]
async fn all_tries_share_the_total_deadline() {
    let total = Duration::from_secs(5);
    let limits = Limits::default().with_total(total);
    let (_, error) = ends_before(limits, |pause| vec![total - pause]).await;
    assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::NotSent));
}

#[tokio::test]
async fn it_is_tried_three_times_with_jitter() {
    let (_socket, url) = refusing();
    let mut first = Vec::new();
    for _ in 0..16 {
        let clock = ManualClock::without_pauses();
        let client = ReqwestClient::builder().clock(clock.clone()).build().unwrap();
        let error = client.send(post(&url), &Limits::default()).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::NotSent));
        let pauses = clock.pauses();
        assert_eq!(pauses.len(), 2, "{pauses:?}");
        assert!((50..150).contains(&pauses[0].as_millis()), "{pauses:?}");
        assert!((200..600).contains(&pauses[1].as_millis()), "{pauses:?}");
        first.push(pauses[0]);
    }
    first.dedup();
    assert!(first.len() > 8, "the pauses are spread: {first:?}");
}

#[tokio::test]
async fn it_is_not_tried_again_beyond_the_total_deadline() {
    let (_socket, url) = refusing();
    // Less than the shortest first pause.
    let total = Duration::from_millis(40);
    let clock = ManualClock::without_pauses_but(total);
    let client = ReqwestClient::builder().clock(clock.clone()).build().unwrap();
    let error = client.send(post(&url), &Limits::default().with_total(total)).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::NotSent));
    assert_eq!(clock.pauses(), [total], "the deadline itself, and no pause");

    // Enough for the first pause, and not for the second.
    let total = Duration::from_secs(5);
    let clock = ManualClock::without_pauses();
    clock.let_pauses_cost(Duration::from_millis(4_850));
    let client = ReqwestClient::builder().clock(clock.clone()).build().unwrap();
    let error = client.send(post(&url), &Limits::default().with_total(total)).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!((50..150).contains(&clock.pauses()[0].as_millis()));
    let second = |pause: &Duration| (200..600).contains(&pause.as_millis());
    assert!(!clock.pauses().iter().any(second), "{:?}", clock.pauses());
}

/// A server that keeps the connection after its first answer, and does `then` with the second request there.
async fn keep_alive_then_close(method_is_post: bool) {
    let seen = serve(|seen, mut stream, number| async move {
        seen.request(&mut stream).await.unwrap();
        stream.write_all(&answer(200, "", b"{}")).await.unwrap();
        if number == 0 {
            // Takes the second request of the first connection, and closes without a word.
            seen.request(&mut stream).await;
        }
    })
    .await;
    let client = ReqwestClient::new().unwrap();
    let request = |path: &str| if method_is_post { post(&seen.url(path)) } else { get(&seen.url(path)) };
    client.send(request("/first"), &Limits::default()).await.unwrap();
    let error = client.send(request("/second"), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::Unknown));
    assert_eq!(
        (seen.connections(), seen.requests()),
        (1, 2),
        "the second went over the kept connection, once"
    );
}

#[tokio::test]
async fn a_post_that_a_kept_connection_swallowed_is_not_repeated() {
    keep_alive_then_close(true).await;
}

#[tokio::test]
async fn a_get_that_a_kept_connection_swallowed_is_not_repeated() {
    keep_alive_then_close(false).await;
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_costs_nothing() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream.write_all(&answer(200, "", b"{}")).await.unwrap();
    })
    .await;
    let client = ReqwestClient::new().unwrap();
    for _ in 0..20 {
        // The close may be seen before the request is written, or hit it: never is a request read twice, and what is
        // reported as not sent was not read.
        let before = seen.requests();
        match client.send(post(&seen.url("/token")), &Limits::default()).await {
            Ok(_) => assert_eq!(seen.requests(), before + 1),
            Err(error) => {
                assert_eq!(error.delivery(), Delivery::Unknown);
                assert_eq!(seen.requests(), before);
            }
        }
    }
    assert!(seen.requests() > 0);
}

#[tokio::test]
async fn what_may_have_been_sent_is_not_sent_again() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
    })
    .await;
    let clock = ManualClock::without_pauses();
    let client = ReqwestClient::builder().clock(clock.clone()).build().unwrap();
    for (count, request) in [(1, post(&seen.url("/"))), (2, get(&seen.url("/")))] {
        client.send(request, &Limits::default()).await.unwrap_err();
        assert_eq!((seen.connections(), seen.requests()), (count, count));
    }
    assert!(clock.pauses().is_empty());
}

#[tokio::test]
async fn an_answer_is_an_answer() {
    // 408, 421, 425, 429 and 503 ask for another try: that is for the engine to decide, not for the client.
    for status in [408, 421, 425, 429, 500, 503] {
        let seen = common::server::answering(answer(status, "Retry-After: 0\r\n", b"later")).await;
        let client = ReqwestClient::new().unwrap();
        let response = client.send(post(&seen.url("/")), &Limits::default()).await.unwrap();
        assert_eq!((response.status.as_u16(), response.body.as_slice()), (status, b"later".as_slice()));
        assert_eq!(seen.requests(), 1);
    }
}
