//! What `delivery()` says is what happened on the wire: a test for each way to fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{Delivery, HttpClient as _, HttpError, HttpErrorKind, HttpResponse, Limits};
use authflow_reqwest::ReqwestClient;
use common::clock::ManualClock;
use common::server::{Seen, answer, answering, hold, serve};
use common::tls::{Ca, https};
use common::{all_text, get, post, what};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

const SECOND: Duration = Duration::from_secs(1);

fn client(clock: &Arc<ManualClock>) -> ReqwestClient {
    ReqwestClient::builder().clock(clock.clone()).build().unwrap()
}

/// Sends a POST to `seen`, with a clock that stands still.
async fn send_to(seen: &Seen) -> Result<HttpResponse, HttpError> {
    client(&ManualClock::new()).send(post(&seen.url("/token")), &Limits::default()).await
}

/// Sends a POST, and moves the clock by `by` once `ready` is there.
async fn send_until(
    client: &ReqwestClient,
    clock: &ManualClock,
    url: &str,
    by: Duration,
    ready: impl Future<Output = ()>,
) -> HttpError {
    let limits = Limits::default();
    let (sent, ()) = tokio::join!(client.send(post(url), &limits), async {
        ready.await;
        clock.advance(by);
    });
    sent.unwrap_err()
}

#[tokio::test]
async fn connection_refused_is_not_sent() {
    // Bound, so that no one else gets the port, and not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/token", socket.local_addr().unwrap());
    let clock = ManualClock::without_pauses();
    let error = client(&clock).send(post(&url), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::NotSent));
}

#[tokio::test]
async fn x15_a_name_that_does_not_resolve_is_not_sent() {
    // A label of more than 63 bytes (RFC 1035 §2.3.4): the resolver refuses it without asking the network.
    let url = format!("https://{}.invalid/token", "a".repeat(64));
    let clock = ManualClock::without_pauses();
    let error = client(&clock).send(post(&url), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::NotSent));
}

#[tokio::test]
async fn connect_deadline_is_not_sent() {
    // TCP stands, TLS does not: the server never says hello.
    let seen = serve(|_, stream, _| hold(stream)).await;
    let clock = ManualClock::new();
    let error = send_until(
        &client(&clock),
        &clock,
        &https(&seen, "/token"),
        10 * SECOND,
        seen.wait_for_connections(1),
    )
    .await;
    assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::NotSent));
    assert_eq!(seen.connections(), 1, "a connection that did not come in time is not tried again");
}

#[tokio::test]
async fn the_connect_timeout_of_the_client_is_not_sent() {
    let seen = serve(|_, stream, _| hold(stream)).await;
    let builder = ReqwestClient::builder().connect_timeout(Duration::from_millis(20));
    // With a clock that stands still, no deadline of the request can pass.
    let client = builder.clock(ManualClock::new()).build().unwrap();
    let error = client.send(post(&https(&seen, "/token")), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::NotSent));
}

#[tokio::test]
async fn total_deadline_while_connecting_is_not_sent() {
    let seen = serve(|_, stream, _| hold(stream)).await;
    let clock = ManualClock::new();
    let client = client(&clock);
    let limits = Limits::default().with_total(2 * SECOND);
    let url = https(&seen, "/token");
    for (count, request) in [(1, post(&url)), (2, get(&url))] {
        let (sent, ()) = tokio::join!(client.send(request, &limits), async {
            seen.wait_for_connections(count).await;
            clock.advance(2 * SECOND);
        });
        assert_eq!(what(&sent.unwrap_err()), (HttpErrorKind::Timeout, Delivery::NotSent));
    }
}

#[tokio::test]
async fn the_connect_deadline_ends_with_the_connection() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await.unwrap();
        seen.wait_for_requests(2).await;
        stream.write_all(b"ok").await.unwrap();
    })
    .await;
    let clock = ManualClock::new();
    let client = client(&clock);
    let limits = Limits::default();
    let url = seen.url("/");
    let (sent, ()) = tokio::join!(client.send(get(&url), &limits), async {
        seen.wait_for_requests(1).await;
        // More than Limits::connect, less than Limits::total.
        clock.advance(20 * SECOND);
        seen.request(&mut &b"GET / HTTP/1.1\r\n\r\n"[..]).await;
    });
    assert_eq!(sent.unwrap().body, b"ok");
}

#[tokio::test]
async fn no_answer_in_time_is_unknown() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        hold(stream).await;
    })
    .await;
    let clock = ManualClock::new();
    let error =
        send_until(&client(&clock), &clock, &seen.url("/token"), 30 * SECOND, seen.wait_for_requests(1))
            .await;
    assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::Unknown));
    assert_eq!(seen.requests(), 1);
}

#[tokio::test]
async fn no_answer_in_time_on_a_kept_connection_is_unknown() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream.write_all(&answer(200, "", b"first")).await.unwrap();
        seen.request(&mut stream).await.unwrap();
        hold(stream).await;
    })
    .await;
    let clock = ManualClock::new();
    let client = client(&clock);
    client.send(get(&seen.url("/")), &Limits::default()).await.unwrap();
    let error = send_until(&client, &clock, &seen.url("/"), 30 * SECOND, seen.wait_for_requests(2)).await;
    assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::Unknown));
    assert_eq!(seen.connections(), 1);
}

#[tokio::test]
async fn c2_slow_body_is_answered() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
        hold(stream).await;
    })
    .await;
    let client = ReqwestClient::new().unwrap();
    // By the client's own timer, since nobody but the client knows when it has read the headers; and longer where this
    // machine was too slow to get there.
    for milliseconds in [100, 1_000, 10_000] {
        let limits = Limits::default().with_total(Duration::from_millis(milliseconds));
        let error = client.send(post(&seen.url("/token")), &limits).await.unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Timeout);
        if error.delivery() == Delivery::Answered {
            return;
        }
    }
    panic!("the headers never arrived");
}

#[tokio::test]
async fn c22_x16_unknown_ca_is_tls_and_not_sent() {
    let ca = Ca::new();
    let seen = common::tls::answering(ca.acceptor("127.0.0.1", |_| {}), answer(200, "", b"{}")).await;
    let error = client(&ManualClock::new())
        .send(post(&https(&seen, "/token")), &Limits::default())
        .await
        .unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Tls, Delivery::NotSent));
    assert_eq!(
        (seen.connections(), seen.requests()),
        (1, 0),
        "a certificate stays what it is: no second try"
    );
}

#[tokio::test]
async fn c22_x16_wrong_host_and_expired_are_tls_and_not_sent() {
    let ca = Ca::new();
    let good = ca.acceptor("127.0.0.1", |_| {});
    let wrong_host = ca.acceptor("provider.example", |_| {});
    let expired = ca.acceptor("127.0.0.1", common::tls::expired);
    let client = ReqwestClient::builder().root_certificates_pem(ca.pem()).build().unwrap();
    let trusted = common::tls::answering(good, answer(200, "", b"{}")).await;
    let sent = client.send(post(&https(&trusted, "/token")), &Limits::default()).await;
    assert_eq!(sent.unwrap().body, b"{}", "the CA is trusted");
    for acceptor in [wrong_host, expired] {
        let seen = common::tls::answering(acceptor, answer(200, "", b"{}")).await;
        let error = client.send(post(&https(&seen, "/token")), &Limits::default()).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Tls, Delivery::NotSent));
        assert_eq!((seen.connections(), seen.requests()), (1, 0));
    }
}

#[tokio::test]
async fn https_to_a_server_that_speaks_http_is_tls_and_not_sent() {
    let seen = serve(|_, mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        hold(stream).await;
    })
    .await;
    let error = client(&ManualClock::new())
        .send(post(&https(&seen, "/token")), &Limits::default())
        .await
        .unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Tls, Delivery::NotSent));
}

#[tokio::test]
async fn reset_after_the_request_is_unknown() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let error = send_to(&seen).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::Unknown));
    assert_eq!((seen.connections(), seen.requests()), (1, 1));
}

#[tokio::test]
async fn close_after_the_request_is_unknown() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
    })
    .await;
    let error = send_to(&seen).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::Unknown));
    assert_eq!((seen.connections(), seen.requests()), (1, 1));
}

#[tokio::test]
async fn a_server_that_hangs_up_at_once_is_never_said_to_have_answered() {
    // Whether the request is written before the end of the connection is seen is chance: both are told as they are.
    let seen = serve(|_, stream, _| async move { drop(stream) }).await;
    let client = client(&ManualClock::without_pauses());
    for _ in 0..20 {
        let before = seen.connections();
        let error = client.send(post(&seen.url("/token")), &Limits::default()).await.unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Transport);
        assert_ne!(error.delivery(), Delivery::Answered);
        if error.delivery() == Delivery::NotSent {
            assert_eq!(seen.connections(), before + 3, "what was not sent is tried three times");
        }
    }
}

#[tokio::test]
async fn something_that_is_not_http_is_answered() {
    let seen = answering(*b"SSH-2.0-OpenSSH\r\n\r\n").await;
    let error = send_to(&seen).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::Answered));
    assert_eq!(seen.requests(), 1);
}

#[tokio::test]
async fn truncated_body_is_answered() {
    for head in ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"] {
        let seen = serve(move |seen, mut stream, _| async move {
            seen.request(&mut stream).await.unwrap();
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await.unwrap();
        })
        .await;
        let error = send_to(&seen).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::Answered));
        assert_eq!(seen.requests(), 1);
    }
}

#[tokio::test]
async fn c1_too_large_is_answered() {
    let limits = Limits::default().with_max_body(10);
    let client = client(&ManualClock::new());
    let fits = answering(answer(200, "", b"0123456789")).await;
    assert_eq!(client.send(post(&fits.url("/")), &limits).await.unwrap().body, b"0123456789");
    for (headers, body) in [
        ("Content-Length: 11\r\nContent-Type: application/json", "01234567890"),
        ("Content-Length: 11\r\nContent-Type: image/png", "01234567890"),
        ("Transfer-Encoding: chunked\r\nContent-Type: application/json", "b\r\n01234567890\r\n0\r\n\r\n"),
        (
            "Transfer-Encoding: chunked\r\nContent-Type: image/png",
            "8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n",
        ),
    ] {
        let seen = answering(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}")).await;
        let error = client.send(post(&seen.url("/")), &limits).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::TooLarge, Delivery::Answered), "{headers}");
        assert_eq!(seen.requests(), 1);
    }
}

#[tokio::test]
async fn c1_a_body_that_announces_too_much_is_not_waited_for() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n").await.unwrap();
        hold(stream).await;
    })
    .await;
    let error = send_to(&seen).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::TooLarge, Delivery::Answered));
}

#[tokio::test]
async fn c1_an_endless_body_is_cut_off_at_the_cap() {
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let error = send_to(&seen).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::TooLarge, Delivery::Answered));
}

#[tokio::test]
async fn c21_insecure_urls_are_not_sent() {
    let seen = answering(answer(200, "", b"")).await;
    let port = seen.url("").rsplit(':').next().unwrap().to_owned();
    for url in [
        "http://provider.example/token".to_owned(),
        format!("http://localhost:{port}/token"),
        format!("http://user:password@127.0.0.1:{port}/token"),
        "ftp://127.0.0.1/token".to_owned(),
    ] {
        let error = client(&ManualClock::new()).send(post(&url), &Limits::default()).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Insecure, Delivery::NotSent), "{url}");
    }
    assert_eq!(seen.connections(), 0);
}

#[tokio::test]
async fn no_error_holds_a_url_a_header_or_a_body() {
    let ca = Ca::new();
    let refused = TcpSocket::new_v4().unwrap();
    refused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = format!("http://{}/", refused.local_addr().unwrap());
    let closing = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
    })
    .await;
    let nonsense = answering(*b"planted-answer planted-answer\r\nplanted-answer\r\n\r\n").await;
    let bad_header = answering(*b"HTTP/1.1 200 OK\r\nplanted-answer planted-answer: \x01\r\n\r\n").await;
    let truncated = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nplanted-answer").await.unwrap();
    })
    .await;
    let encoded = answering(answer(200, "Content-Encoding: planted-answer\r\n", b"planted-answer")).await;
    let untrusted = common::tls::answering(ca.acceptor("127.0.0.1", |_| {}), answer(200, "", b"{}")).await;
    let urls = [
        refused,
        closing.url("/"),
        nonsense.url("/"),
        bad_header.url("/"),
        truncated.url("/"),
        encoded.url("/"),
        https(&untrusted, "/"),
    ];
    let ours = client(&ManualClock::without_pauses());
    let theirs = ReqwestClient::from_client(reqwest::Client::new());
    for client in [ours, theirs] {
        for url in &urls {
            let request = post(&format!("{url}planted-path?access_token=planted-query"))
                .with_header(http::header::AUTHORIZATION, "Bearer planted-header".parse().unwrap())
                .with_body("client_secret=planted-body");
            let error = client.send(request, &Limits::default()).await.unwrap_err();
            let text = all_text(&error);
            assert!(!text.contains("planted"), "{url}: {text}");
        }
    }
}
