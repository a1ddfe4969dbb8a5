//! What stands between a process and its provider: keeps an answer back, whole or by half, until it is let go; or spoils it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
    /// To the provider at `url`. The first answer is kept back, those after it are not.
    pub async fn to(url: &str, lets: Lets) -> Self {
        let provider = url.strip_prefix("http://").expect("it is on this machine").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (kept, let_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let relay = Self { url, kept: Arc::clone(&kept), let_go: Arc::clone(&let_go) };
        tokio::spawn(async move {
            let mut keeps = true;
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
                if std::mem::take(&mut keeps) {
                    kept.notify_one();
                    let_go.notified().await;
                }
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

/// What arrives of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The connection is reset, before anything or after a part.
    BeforeTheHead,
    InTheHead,
    AfterTheHead,
    InTheBody,
    BeforeTheLastByte,
    /// The same, where the body comes in chunks.
    InAChunk,
    BeforeTheLastChunk,
    /// `Content-Length` is more than comes before the connection is closed, or less.
    LongLength,
    ShortLength,
    /// All arrives, and then the connection is reset.
    AfterTheBody,
    AfterTheLastChunk,
}

/// Answers of a provider that end in another way than it said, the first ones.
#[derive(Debug)]
pub struct Spoiler {
    pub url: String,
    spoiled: Arc<AtomicUsize>,
}

impl Spoiler {
    pub async fn of(url: &str, ends: Ends, times: usize) -> Self {
        let provider = url.strip_prefix("http://").expect("it is on this machine").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spoiled = Arc::new(AtomicUsize::new(0));
        let spoiler = Self { url, spoiled: Arc::clone(&spoiled) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A client may keep one connection and have another.
                let (provider, spoiled) = (provider.clone(), Arc::clone(&spoiled));
                let left = move || {
                    spoiled.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < times).then_some(n + 1))
                };
                tokio::spawn(async move { serve(client, &provider, || left().ok().map(|_| ends)).await });
            }
        });
        spoiler
    }

    /// How many answers were spoiled.
    pub fn spoiled(&self) -> usize {
        self.spoiled.load(Ordering::SeqCst)
    }
}

/// Passes on what comes over one connection, until an answer is to be spoiled.
async fn serve(mut client: TcpStream, provider: &str, spoils: impl Fn() -> Option<Ends>) {
    while let Some(request) = next_message(&mut client).await {
        let mut provider = TcpStream::connect(provider).await.unwrap();
        provider.write_all(&request).await.unwrap();
        let answer = message(&mut provider).await;
        let Some(ends) = spoils() else {
            client.write_all(&answer).await.unwrap();
            continue;
        };
        client.write_all(&ends.of(&answer)).await.unwrap();
        if !matches!(ends, Ends::LongLength | Ends::ShortLength) {
            #[allow(deprecated, reason = "the method that replaces it needs a newer tokio")]
            client.set_linger(Some(Duration::ZERO)).unwrap();
        }
        return;
    }
}

const CHUNKED: &str = "transfer-encoding: chunked";

impl Ends {
    fn of(self, answer: &[u8]) -> Vec<u8> {
        let body = body_of(answer).expect("it is whole");
        let head = String::from_utf8(answer[..answer.len() - body.len()].to_vec()).unwrap();
        let (length, half) = (body.len(), body.len() / 2);
        // Every header but its length, and the empty line.
        let lines = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
        let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let with = |header: &str| format!("{}\r\n{header}\r\n\r\n", lines.join("\r\n")).into_bytes();
        let of_length = |length: usize| with(&format!("content-length: {length}"));
        let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        let chunks = || [with(CHUNKED), chunk(&body[..half]), chunk(&body[half..])].concat();
        match self {
            Self::BeforeTheHead => Vec::new(),
            Self::InTheHead => head.as_bytes()[..head.len() / 2].to_vec(),
            Self::AfterTheHead => head.into_bytes(),
            Self::InTheBody => answer[..answer.len() - half].to_vec(),
            Self::BeforeTheLastByte => answer[..answer.len() - 1].to_vec(),
            Self::InAChunk => [with(CHUNKED), chunk(&body[..half])[..half].to_vec()].concat(),
            Self::BeforeTheLastChunk => chunks(),
            Self::LongLength => [of_length(length + 1), body.to_vec()].concat(),
            Self::ShortLength => [of_length(length - 1), body.to_vec()].concat(),
            Self::AfterTheBody => answer.to_vec(),
            Self::AfterTheLastChunk => [chunks(), b"0\r\n\r\n".to_vec()].concat(),
        }
    }
}

/// A request or an answer.
async fn message(from: &mut TcpStream) -> Vec<u8> {
    next_message(from).await.expect("something comes")
}

/// The same, unless nothing more comes.
async fn next_message(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    while body_of(&read).is_none() {
        match from.read_buf(&mut read).await {
            Ok(0) | Err(_) if read.is_empty() => return None,
            got => assert!(got.unwrap() > 0, "it ends in the middle: {}", String::from_utf8_lossy(&read)),
        }
    }
    Some(read)
}

/// The body, if the message is whole.
fn body_of(message: &[u8]) -> Option<&[u8]> {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    message.get(end + 4..end + 4 + length)
}
