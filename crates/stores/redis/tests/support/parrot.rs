//! A server that says whatever it is told.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server that says whatever it is told.
#[derive(Debug)]
pub struct Parrot {
    pub port: u16,
    says: Arc<Mutex<Says>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Says {
    /// To all commands; what a good server would say otherwise.
    answer: Option<&'static str>,
    asked: usize,
}

impl Parrot {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let says = Arc::new(Mutex::new(Says::default()));
        let shared = Arc::clone(&says);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(talk(client, Arc::clone(&shared)));
            }
        });
        Self { port, says, task }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn says(&self, answer: &'static str) {
        *self.says.lock().unwrap() = Says { answer: Some(answer), asked: 0 };
    }

    pub fn says_what_a_good_server_says(&self) {
        *self.says.lock().unwrap() = Says::default();
    }

    pub fn asked(&self) -> usize {
        self.says.lock().unwrap().asked
    }
}

impl Drop for Parrot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The commands come one at a time.
async fn talk(mut client: TcpStream, says: Arc<Mutex<Says>>) {
    let (mut command, mut piece) = (Vec::new(), [0; 65_536]);
    while let Ok(read @ 1..) = client.read(&mut piece).await {
        command.extend_from_slice(&piece[..read]);
        if !is_whole(&command) {
            continue;
        }
        let answer = {
            let mut says = says.lock().unwrap();
            says.asked += 1;
            let command = String::from_utf8_lossy(&command);
            says.answer.unwrap_or(match command.split("\r\n").nth(2) {
                Some("SET") => "+OK\r\n",
                Some("INFO") => "$29\r\nmaxmemory_policy:noeviction\r\n\r\n",
                // The names of the ten scripts of a token store.
                Some("EVAL") => "*10\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n+g\r\n+h\r\n+i\r\n+j\r\n",
                _ => "$-1\r\n",
            })
        };
        command.clear();
        if client.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Whether all parts of a command are there: `*count`, then `$length` and so many bytes for each.
fn is_whole(command: &[u8]) -> bool {
    let mut rest = command;
    let mut number = |sign: u8| {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = rest.split_at(end + 1);
        rest = after;
        let digits = line.strip_prefix(&[sign])?.strip_suffix(b"\r\n")?;
        let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        if sign == b'$' {
            rest = rest.get(number + 2..)?;
        }
        Some(number)
    };
    number(b'*').is_some_and(|count| (0..count).all(|_| number(b'$').is_some()))
}
