//! A TCP proxy that can lose the server's answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of the server's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// They arrive.
    Arrive,
    /// The server answers, and then the client's connection is closed instead.
    Lost,
}

#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    loses: AtomicBool,
    loses_next: AtomicBool,
    connections: AtomicUsize,
    writes: AtomicUsize,
}

impl Proxy {
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                    tokio::spawn(carry(client, server, Arc::clone(&seen)));
                }
            }
        });
        Self { port, shared, task }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// For the answers that come from now on.
    pub fn answers(&self, answers: Answers) {
        self.shared.loses.store(answers == Answers::Lost, Ordering::SeqCst);
    }

    /// For the next answer alone.
    pub fn lose_one(&self) {
        self.shared.loses_next.store(true, Ordering::SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often something came from a client: at least as often as it waited for an answer.
    pub fn writes(&self) -> usize {
        self.shared.writes.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, shared: Arc<Shared>) {
    let (mut asked, mut answered) = ([0; 65_536], [0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                shared.writes.fetch_add(1, Ordering::SeqCst);
                if server.write_all(&asked[..read]).await.is_err() { return }
            }
            read = server.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                let is_lost = shared.loses_next.swap(false, Ordering::SeqCst) || shared.loses.load(Ordering::SeqCst);
                if is_lost || client.write_all(&answered[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
