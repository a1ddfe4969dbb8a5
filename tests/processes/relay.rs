//! What stands between a process and its provider: keeps an answer back, whole or by half, until it is let go.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::process::in_time;

/// How much of an answer comes through at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lets {
    Nothing,
    /// The head, and half of the body.
    Half,
}

#[derive(Debug)]
pub struct Relay {
    pub url: String,
    kept: Arc<Notify>,
    let_go: Arc<Notify>,
}

impl Relay {
    /// To the provider at `url`. Every answer is kept back.
    pub async fn to(url: &str, lets: Lets) -> Self {
        let provider = url.strip_prefix("http://").expect("it is on this machine").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (kept, let_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let relay = Self { url, kept: Arc::clone(&kept), let_go: Arc::clone(&let_go) };
        tokio::spawn(async move {
            while let Ok((mut process, _)) = listener.accept().await {
                let mut provider = TcpStream::connect(&provider).await.unwrap();
                let request = message(&mut process).await;
                provider.write_all(&request).await.unwrap();
                let answer = message(&mut provider).await;
                let (at_once, later) = match lets {
                    Lets::Nothing => (&*answer, 0),
                    Lets::Half => (&*answer, answer.len() - body_of(&answer).expect("it is whole").len() / 2),
                };
                let (at_once, later) = at_once.split_at(later);
                process.write_all(at_once).await.unwrap();
                kept.notify_one();
                let_go.notified().await;
                process.write_all(later).await.unwrap();
            }
        });
        relay
    }

    /// Returns once an answer is kept back: the provider has done its part.
    pub async fn kept(&self) {
        in_time("the provider answers", self.kept.notified()).await;
    }

    pub fn let_go(&self) {
        self.let_go.notify_one();
    }
}

/// A request or an answer.
async fn message(from: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    while body_of(&read).is_none() {
        let got = from.read_buf(&mut read).await.unwrap();
        assert!(got > 0, "it ends in the middle: {}", String::from_utf8_lossy(&read));
    }
    read
}

/// The body, if the message is whole.
fn body_of(message: &[u8]) -> Option<&[u8]> {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    message.get(end + 4..end + 4 + length)
}
