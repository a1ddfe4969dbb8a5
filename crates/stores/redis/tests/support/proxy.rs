//! A TCP proxy that can lose the server's answers, fall silent, and reset.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of the server's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// They arrive.
    #[default]
    Arrive,
    /// The server answers, and then the client's connection is closed instead.
    Lost,
    /// The server answers, and the answer goes nowhere; the connection stays open.
    Swallowed,
    /// Nothing that the client sends reaches the server, and the connection stays open.
    NotAsked,
    /// As soon as the client sends something, its connection is reset.
    Reset,
}

#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    /// Where its server listens.
    server: watch::Sender<u16>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<Answers>,
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
        let (server, leads_to) = watch::channel(server);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let mut leads_to = leads_to.clone();
                let server = *leads_to.borrow_and_update();
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                    tokio::spawn(carry(client, server, Arc::clone(&seen), leads_to));
                }
            }
        });
        Self { port, shared, server, task }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on it leads to another server. The connections that are there end.
    pub fn lead_to(&self, server: u16) {
        self.server.send_replace(server);
    }

    /// For the answers that come from now on.
    pub fn answers(&self, answers: Answers) {
        *self.shared.answers.lock().unwrap() = answers;
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

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    shared: Arc<Shared>,
    mut leads_to: watch::Receiver<u16>,
) {
    let (mut asked, mut answered) = ([0; 65_536], [0; 65_536]);
    let now = || *shared.answers.lock().unwrap();
    loop {
        tokio::select! {
            _ = leads_to.changed() => return,
            read = client.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                shared.writes.fetch_add(1, Ordering::SeqCst);
                match now() {
                    Answers::NotAsked => {}
                    Answers::Reset => return client.set_zero_linger().unwrap(),
                    _ if server.write_all(&asked[..read]).await.is_err() => return,
                    _ => {}
                }
            }
            read = server.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                match now() {
                    Answers::Lost => return,
                    Answers::Swallowed | Answers::NotAsked => {}
                    _ if shared.loses_next.swap(false, Ordering::SeqCst) => return,
                    _ if client.write_all(&answered[..read]).await.is_err() => return,
                    _ => {}
                }
            }
        }
    }
}
