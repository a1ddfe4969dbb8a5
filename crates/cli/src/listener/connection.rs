//! One connection: reads one head, writes one response, closes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::request::{Head, MAX_HEAD, Refusal, Site, read_head};

/// What is read and thrown away after the answer, so that closing does not tear the answer down.
const MAX_REST: usize = 64 * 1024;

/// How long that is waited for.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// Reads the head. `None` if the peer went away, or never said anything.
pub(super) async fn read(stream: &mut TcpStream, site: &Site, time: Duration) -> Option<Head> {
    let mut bytes = Vec::with_capacity(2048);
    let reading = async {
        let mut piece = [0; 2048];
        loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => bytes.extend_from_slice(piece.get(..length).unwrap_or_default()),
            }
            if let Some(head) = read_head(&bytes, site) {
                return Some(head);
            }
            debug_assert!(bytes.len() <= MAX_HEAD, "a longer head is refused");
        }
    };
    match timeout(time, reading).await {
        Ok(head) => head,
        Err(_) if bytes.is_empty() => None,
        Err(_) => Some(Head::Refused(Refusal::TooSlow)),
    }
}

/// Writes the response and closes. Says whether it left.
pub(super) async fn write(stream: &mut TcpStream, response: &str, time: Duration) -> bool {
    let writing = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    };
    // Whoever does not take the answer has no need of it.
    if !matches!(timeout(time, writing).await, Ok(Ok(()))) {
        return false;
    }
    let draining = async {
        let mut rest = 0;
        let mut piece = [0; 2048];
        while rest < MAX_REST {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => rest += length,
            }
        }
    };
    let _ = timeout(time.min(MAX_LINGER), draining).await;
    true
}
