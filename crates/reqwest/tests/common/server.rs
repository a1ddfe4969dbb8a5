//! A server that does exactly what a test says, on a loopback port.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Counts what a server saw.
#[derive(Debug)]
pub struct Seen {
    url: String,
    connections: watch::Sender<usize>,
    requests: watch::Sender<usize>,
    texts: Mutex<Vec<String>>,
}

impl Seen {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// The requests as they were on the wire.
    pub fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap().clone()
    }

    /// Waits until this many requests have been read.
    pub async fn wait_for_requests(&self, count: usize) {
        self.requests.subscribe().wait_for(|seen| *seen >= count).await.unwrap();
    }

    /// Waits until this many connections have been accepted.
    pub async fn wait_for_connections(&self, count: usize) {
        self.connections.subscribe().wait_for(|seen| *seen >= count).await.unwrap();
    }

    /// Reads a request; `None` at the end of the connection.
    pub async fn request(&self, stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
        let request = read_request(stream).await?;
        self.texts.lock().unwrap().push(request.clone());
        self.requests.send_modify(|seen| *seen += 1);
        Some(request)
    }
}

/// Serves each connection by `script`, which gets the number of the connection, from 0.
pub async fn serve<F, R>(script: F) -> Arc<Seen>
where
    F: Fn(Arc<Seen>, TcpStream, usize) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve_on(listener, script)
}

pub fn serve_on<F, R>(listener: TcpListener, script: F) -> Arc<Seen>
where
    F: Fn(Arc<Seen>, TcpStream, usize) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let seen = Arc::new(Seen {
        url: format!("http://{}", listener.local_addr().unwrap()),
        connections: watch::Sender::new(0),
        requests: watch::Sender::new(0),
        texts: Mutex::new(Vec::new()),
    });
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = shared.connections();
            shared.connections.send_modify(|seen| *seen += 1);
            tokio::spawn(script(Arc::clone(&shared), stream, number));
        }
    });
    seen
}

/// A server that answers every request of every connection with `answer`, byte for byte.
pub async fn answering(answer: impl Into<Vec<u8>>) -> Arc<Seen> {
    let answer: Arc<[u8]> = answer.into().into();
    serve(move |seen, mut stream, _| {
        let answer = Arc::clone(&answer);
        async move {
            while seen.request(&mut stream).await.is_some() {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// An answer with a body and its length.
pub fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// Reads head and body (by `Content-Length`) of one request.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let byte = stream.read_u8().await.ok()?;
        request.push(byte);
        if request.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(request).unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// Holds a connection open until the client closes it.
pub async fn hold(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
