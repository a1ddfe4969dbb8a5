//! The token endpoint that all contenders ask: a process of its own, so that its CPU time is counted for none of them. It
//! reads a request to its end, checks nothing, and answers with always the same token response.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"access_token":"SlAV32hkKGpFLYlaSlAV32hkKGpFLYla","token_type":"Bearer","refresh_token":"8xLOxBtZp8Fw2yKq8xLOxBtZp8Fw2yKq","expires_in":3600,"scope":"read_inbox no_expiry"}"#;

/// The hidden subcommand. It says its port on stdout and ends with its stdin, so with the process that started it.
pub(crate) fn serve() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
        let mut rest = Vec::new();
        let _ended = tokio::io::stdin().read_to_end(&mut rest).await;
        accept.abort();
    });
    runtime.shutdown_background();
    ExitCode::SUCCESS
}

async fn answer(mut stream: TcpStream) {
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let _is_delayed_otherwise = stream.set_nodelay(true);
    let mut received = Vec::new();
    loop {
        while let Some(end) = request_end(&received) {
            received.drain(..end);
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut received).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Where the first request ends, once it is there whole.
pub(crate) fn request_end(received: &[u8]) -> Option<usize> {
    let head_end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&received[..head_end]).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let end = head_end + length.map_or(0, |length| length.trim().parse().unwrap());
    (end <= received.len()).then_some(end)
}

/// A running token server.
pub(crate) struct TokenServer {
    process: Child,
    port: u16,
}

impl TokenServer {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("serve-tokens")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, port: port.trim().parse().unwrap() }
    }

    pub(crate) fn token_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/oauth2/token", self.port)
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _status = self.process.wait();
    }
}
