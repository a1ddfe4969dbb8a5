//! The loopback client speaks to loopback addresses, within its limits, and says what happened on the wire.

use std::net::SocketAddr;
use std::time::Duration;

use authflow_core::{Delivery, HttpClient as _, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits};
use authflow_testkit::LoopbackClient;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server for one connection: reads the head of one request and what follows of it, answers with `reply`, and then closes
/// or stalls.
async fn server(reply: &'static [u8], stalls: bool) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !complete(&seen) {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                read => seen.extend_from_slice(&buffer[..read]),
            }
        }
        stream.write_all(reply).await.unwrap();
        if stalls {
            // Until the client hangs up.
            let _ = stream.read(&mut [0; 1]).await;
        }
        String::from_utf8(seen).unwrap()
    });
    (address, task)
}

fn complete(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

async fn ask(address: SocketAddr, limits: &Limits) -> Result<HttpResponse, HttpError> {
    let url = format!("http://{address}/path?query=1#fragment").parse().unwrap();
    LoopbackClient::new().send(HttpRequest::get(url), limits).await
}

fn failure(error: &HttpError) -> (HttpErrorKind, Delivery) {
    (error.kind(), error.delivery())
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made_and_so_does_the_answer() {
    let reply = b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nnone";
    let (address, task) = server(reply, false).await;
    let url = format!("http://{address}/a%20b?c=d&e").parse().unwrap();
    let request = HttpRequest::new(Method::POST, url)
        .with_header(CONTENT_TYPE, HeaderValue::from_static("text/plain"))
        .with_body("hello");
    let response = LoopbackClient::new().send(request, &Limits::default()).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (StatusCode::NOT_FOUND, b"none".as_slice()));
    assert_eq!(response.media_type().as_deref(), Some("text/plain"));
    let seen = task.await.unwrap();
    assert!(seen.starts_with("POST /a%20b?c=d&e HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: {address}\r\n")), "{seen}");
    assert!(seen.ends_with("\r\n\r\nhello"), "{seen}");
}

#[tokio::test]
async fn a_redirect_is_the_answer() {
    let (address, _task) =
        server(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", false)
            .await;
    assert_eq!(ask(address, &Limits::default()).await.unwrap().status, StatusCode::FOUND);
}

#[tokio::test]
async fn only_plain_http_to_loopback_addresses_is_spoken() {
    for url in [
        "http://localhost/",
        "http://as.example/",
        "http://192.0.2.1/",
        "http://[2001:db8::1]/",
        "https://127.0.0.1/",
        "ftp://127.0.0.1/",
        "http://user@127.0.0.1/",
    ] {
        let error =
            LoopbackClient::new().send(HttpRequest::get(url.parse().unwrap()), &Limits::default()).await;
        assert_eq!(failure(&error.unwrap_err()), (HttpErrorKind::Insecure, Delivery::NotSent), "{url}");
    }
}

#[tokio::test]
async fn nobody_there_means_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = ask(address, &Limits::default()).await.unwrap_err();
    assert_eq!(failure(&error), (HttpErrorKind::Transport, Delivery::NotSent));
}

#[tokio::test]
async fn a_connection_that_breaks_off_before_the_answer_leaves_it_open() {
    let (address, _task) = server(b"", false).await;
    let error = ask(address, &Limits::default()).await.unwrap_err();
    assert_eq!(failure(&error), (HttpErrorKind::Transport, Delivery::Unknown));
}

#[tokio::test]
async fn a_body_that_breaks_off_was_an_answer() {
    let (address, _task) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", false).await;
    let error = ask(address, &Limits::default()).await.unwrap_err();
    assert_eq!(failure(&error), (HttpErrorKind::Transport, Delivery::Answered));
}

#[tokio::test]
async fn the_deadline_spans_everything() {
    let limits = Limits::default().with_total(Duration::from_millis(300));
    for (reply, delivery) in [
        (b"".as_slice(), Delivery::Unknown),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".as_slice(), Delivery::Answered),
    ] {
        let (address, task) = server(reply, true).await;
        let error = ask(address, &limits).await.unwrap_err();
        assert_eq!(failure(&error), (HttpErrorKind::Timeout, delivery));
        task.await.expect("the connection was closed");
    }
}

#[tokio::test]
async fn the_cap_on_the_body_holds_for_every_framing() {
    let limits = Limits::default().with_max_body(8);
    for reply in [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789".as_slice(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n123456789",
    ] {
        let (address, _task) = server(reply, false).await;
        let error = ask(address, &limits).await.unwrap_err();
        assert_eq!(failure(&error), (HttpErrorKind::TooLarge, Delivery::Answered));
    }
    let (address, _task) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n12345678", false).await;
    assert_eq!(ask(address, &limits).await.unwrap().body, b"12345678");
}

#[tokio::test]
async fn what_is_encoded_is_not_guessed_at() {
    let (address, _task) =
        server(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx", false).await;
    let error = ask(address, &Limits::default()).await.unwrap_err();
    assert_eq!(failure(&error), (HttpErrorKind::Decode, Delivery::Answered));
}

#[tokio::test]
async fn rubbish_is_no_answer_to_rely_on() {
    let (address, _task) = server(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", false).await;
    let error = ask(address, &Limits::default()).await.unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Transport);
}
