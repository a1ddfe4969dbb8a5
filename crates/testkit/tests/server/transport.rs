//! Each fault that only a connection can show, as a client without any HTTP library sees it.

use std::{io, time::Duration};

use authflow_testkit::{AuthorizationServer, Endpoint, Fault, Outcome, RetryAfter, Sent};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::approving;

const TARGET: &str = "/elsewhere";
const BODY: &[u8] = b"elsewhere";

async fn server() -> AuthorizationServer {
    approving().start().await.unwrap()
}

async fn connect(server: &AuthorizationServer) -> TcpStream {
    let address = server.base_url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {TARGET} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What arrived until the connection ended, and how it ended.
async fn read(stream: &mut TcpStream) -> (Vec<u8>, io::Result<()>) {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return (received, Ok(())),
            Ok(length) => received.extend_from_slice(&buffer[..length]),
            Err(error) => return (received, Err(error)),
        }
    }
}

async fn under(fault: Fault) -> (Vec<u8>, io::Result<()>) {
    let server = server().await;
    server.fault_next(Endpoint::Other, fault);
    read(&mut connect(&server).await).await
}

/// Reads until the response has this many bytes of body.
async fn read_body(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end.filter(|end| received.len() >= end + 4 + length) {
            return received.split_off(end + 4);
        }
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).await.unwrap(), 1, "the connection ended early");
        received.push(byte[0]);
    }
}

fn body(response: &[u8]) -> &[u8] {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").expect("whole headers");
    &response[end + 4..]
}

fn content_length(response: &[u8]) -> usize {
    let head = String::from_utf8_lossy(response).to_ascii_lowercase();
    let (_, after) = head.split_once("content-length: ").expect("a length");
    after.split_once("\r\n").unwrap().0.parse().unwrap()
}

fn was_reset(end: &io::Result<()>) -> bool {
    end.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn without_a_fault_the_response_is_whole() {
    let server = server().await;
    let (received, end) = read(&mut connect(&server).await).await;
    assert!(end.is_ok());
    assert_eq!(body(&received), BODY);
}

#[tokio::test]
async fn a_reset_before_the_response_sends_nothing_and_does_nothing() {
    let server = server().await;
    server.fault_next(Endpoint::Other, Fault::ResetBeforeResponse);
    let (received, end) = read(&mut connect(&server).await).await;
    assert!(received.is_empty() && was_reset(&end), "{end:?}");
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::Faulted);
}

#[tokio::test]
async fn x12_a_reset_after_the_commit_comes_at_three_places() {
    let server = server().await;
    for (sent, length) in [(Sent::Nothing, None), (Sent::Headers, Some(0)), (Sent::HalfBody, Some(4))] {
        server.fault_next(Endpoint::Other, Fault::ResetAfterCommit(sent));
        let (received, end) = read(&mut connect(&server).await).await;
        assert!(was_reset(&end), "{sent:?}: {end:?}");
        match length {
            None => assert!(received.is_empty()),
            Some(length) => {
                assert_eq!(body(&received), &BODY[..length], "{sent:?}");
                assert_eq!(content_length(&received), BODY.len());
            }
        }
        assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::Served);
    }
}

#[tokio::test]
async fn x12_a_body_can_end_before_its_length_or_its_last_chunk() {
    let (received, end) = under(Fault::TruncatedBody).await;
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(body(&received), BODY);
    assert!(content_length(&received) > BODY.len());

    let (received, end) = under(Fault::TruncatedChunked).await;
    assert!(end.is_ok(), "{end:?}");
    assert!(String::from_utf8_lossy(&received).to_ascii_lowercase().contains("transfer-encoding: chunked"));
    assert_eq!(body(&received), b"4\r\nelse\r\n");
}

#[tokio::test]
async fn c1_an_oversized_body_goes_on_and_on() {
    let (received, end) = under(Fault::OversizedBody(3 << 20)).await;
    assert!(end.is_ok());
    let spaces = body(&received).iter().filter(|byte| **byte == b' ').count();
    assert_eq!(spaces, (3 << 20) - BODY.len());
}

#[tokio::test]
async fn c1_a_client_may_leave_in_the_middle() {
    let server = server().await;
    server.fault_all(Endpoint::Other, Fault::OversizedBody(u64::MAX));
    for _ in 0..3 {
        let mut stream = connect(&server).await;
        let mut some = [0; 1 << 16];
        stream.read_exact(&mut some).await.unwrap();
    }
    server.clear_faults();
    let (received, _) = read(&mut connect(&server).await).await;
    assert_eq!(body(&received), BODY, "the server is still there");
}

#[tokio::test]
async fn c2_a_stalled_body_is_half_there_and_the_connection_open() {
    let server = server().await;
    server.fault_next(Endpoint::Other, Fault::StallBody);
    let mut stream = connect(&server).await;
    assert_eq!(read_body(&mut stream, 4).await, b"else");
    let mut more = [0];
    let waited = stream.try_read(&mut more).unwrap_err();
    assert_eq!(waited.kind(), io::ErrorKind::WouldBlock);
    drop(server);
    let (rest, _) = read(&mut stream).await;
    assert!(rest.is_empty(), "it ends with the server");
}

#[tokio::test]
async fn c2_stalled_headers_never_come() {
    let server = server().await;
    server.fault_next(Endpoint::Other, Fault::StallHeaders);
    let mut stream = connect(&server).await;
    let entry = server.ledger().wait_for(|entry| entry.endpoint() == Endpoint::Other).await;
    assert_eq!((entry.outcome(), entry.fault()), (&Outcome::Served, Some(&Fault::StallHeaders)));
    assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(server);
    assert!(read(&mut stream).await.0.is_empty());
}

/// The clock of the runtime is paused: a wait costs nothing, and is as long as it says.
#[tokio::test(start_paused = true)]
async fn c2_slow_headers_and_slow_bodies_take_their_time() {
    let server = server().await;
    let minute = Duration::from_secs(60);
    for (fault, least) in [
        (Fault::SlowHeaders(minute), minute),
        (Fault::SlowBody(minute), minute * u32::try_from(BODY.len()).unwrap()),
    ] {
        server.fault_next(Endpoint::Other, fault.clone());
        let mut stream = connect(&server).await;
        let before = tokio::time::timeout(least - Duration::from_secs(1), read(&mut stream)).await;
        assert!(before.is_err(), "{fault}: too early");
    }
    server.fault_next(Endpoint::Other, Fault::SlowBody(minute));
    let (received, end) = read(&mut connect(&server).await).await;
    assert!(end.is_ok());
    assert_eq!(body(&received), BODY);
    server.fault_next(Endpoint::Other, Fault::SlowHeaders(minute));
    let (received, _) = read(&mut connect(&server).await).await;
    assert_eq!(body(&received), BODY);
}

#[tokio::test]
async fn a_connection_is_good_for_many_requests() {
    let server = server().await;
    let address = server.base_url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        let request = format!("GET {TARGET} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(read_body(&mut stream, BODY.len()).await, BODY);
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let server = server().await;
    let address = server.base_url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /token HTTP/1.1\r\nHost: {address}\r\nContent-Length: 2000000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    assert!(server.ledger().is_empty());
}

#[tokio::test]
async fn other_faults_travel_as_they_are() {
    let (received, _) = under(Fault::TooManyRequests(RetryAfter::Seconds(3))).await;
    let text = String::from_utf8_lossy(&received).to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 429") && text.contains("retry-after: 3"));
    let (received, _) = under(Fault::DecompressionBomb(1 << 20)).await;
    assert!(String::from_utf8_lossy(&received).to_ascii_lowercase().contains("content-encoding: gzip"));
}

#[tokio::test]
async fn a_dropped_server_frees_its_port() {
    let server = server().await;
    let address = server.base_url().strip_prefix("http://").unwrap().to_owned();
    let (received, _) = read(&mut connect(&server).await).await;
    assert_eq!(body(&received), BODY);
    let (mut idle, held) = (TcpStream::connect(&address).await.unwrap(), server);
    drop(held);
    assert!(read(&mut idle).await.0.is_empty());
    assert!(TcpStream::connect(&address).await.is_err());
}
