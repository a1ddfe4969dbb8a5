//! A TCP proxy that can lose the server's answers, reset, and fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Once it is armed, the next write of a client that has `words` in it reaches the server, whose answer is awaited and lost: the
/// client's connection is closed instead. Or it is not carried at all, and the connection is closed at once, or stays open.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    words: &'static str,
    server: AtomicU16,
    /// How many statements come until one whose answer is lost, and that one; zero for never.
    loses_answer: AtomicUsize,
    loses_question: AtomicBool,
    hangs: AtomicBool,
    swallows: AtomicBool,
    resets: AtomicBool,
    lost: AtomicUsize,
}

impl Shared {
    /// Ends the client's connection, as something was lost.
    fn lose(&self, client: &TcpStream) {
        self.lost.fetch_add(1, Ordering::SeqCst);
        if self.resets.load(Ordering::SeqCst) {
            client.set_zero_linger().unwrap();
        }
    }
}

impl Proxy {
    pub async fn start(server: u16, words: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            words,
            server: AtomicU16::new(server),
            loses_answer: AtomicUsize::default(),
            loses_question: AtomicBool::default(),
            hangs: AtomicBool::default(),
            swallows: AtomicBool::default(),
            resets: AtomicBool::default(),
            lost: AtomicUsize::default(),
        });
        let seen = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = seen.server.load(Ordering::SeqCst);
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                    tokio::spawn(carry(client, server, Arc::clone(&seen)));
                }
            }
        });
        Self { port, shared, task }
    }

    /// Who connects from now on comes to another server.
    pub fn lead_to(&self, server: u16) {
        self.shared.server.store(server, Ordering::SeqCst);
    }

    /// The next statement is done, and its answer is lost.
    pub fn lose_an_answer(&self) {
        self.lose_an_answer_after(0);
    }

    /// The same of a later statement.
    pub fn lose_an_answer_after(&self, statements: usize) {
        self.shared.loses_answer.store(statements + 1, Ordering::SeqCst);
    }

    /// The next statement is lost on its way.
    pub fn lose_a_question(&self) {
        self.shared.loses_question.store(true, Ordering::SeqCst);
    }

    /// The next statement is done, and its answer is kept for ever.
    pub fn hang(&self) {
        self.shared.hangs.store(true, Ordering::SeqCst);
    }

    /// The next statement goes nowhere, and the connection stays open.
    pub fn swallow(&self) {
        self.shared.swallows.store(true, Ordering::SeqCst);
    }

    /// Where something is lost from now on, the connection is reset and not closed.
    pub fn reset(&self, resets: bool) {
        self.shared.resets.store(resets, Ordering::SeqCst);
    }

    /// How often something was lost.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, shared: Arc<Shared>) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let (mut loses_answer, mut hangs) = (false, false);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                let words = shared.words.as_bytes();
                if asked[..read].windows(words.len()).any(|window| window == words) {
                    if shared.loses_question.swap(false, Ordering::SeqCst) {
                        return shared.lose(&client);
                    }
                    if shared.swallows.swap(false, Ordering::SeqCst) {
                        shared.lost.fetch_add(1, Ordering::SeqCst);
                        continue;
                    }
                    let less = |left: usize| left.checked_sub(1);
                    let left = shared.loses_answer.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
                    loses_answer |= left == Ok(1);
                    hangs |= shared.hangs.swap(false, Ordering::SeqCst);
                }
                if server.write_all(&asked[..read]).await.is_err() { return }
            }
            read = server.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                if loses_answer {
                    return shared.lose(&client);
                }
                if !hangs && client.write_all(&answered[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
