//! The token endpoint of the rows about refresh: a process of its own. It takes as long over a refresh as it is told, rotates,
//! ends the whole family of a refresh token that comes a second time (RFC 9700 §4.14.2), and counts what it was asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::form_urlencoded;

use crate::server::request_end;

/// How long the access token of a refresh is good, in seconds.
pub(crate) const LIFETIME: u64 = 3600;

/// What the program that started it sets, and asks for.
struct State {
    delay: Duration,
    /// The status of the answer to a refresh.
    status: u16,
    /// How long the access token of a code is good, in seconds.
    lifetime: u64,
    families: Vec<Family>,
    refused: usize,
    /// When each refresh came.
    came: Vec<Instant>,
}

/// What descends from one code.
struct Family {
    generation: u32,
    is_revoked: bool,
}

/// The hidden subcommand. It says its port on stdout, then answers each line of stdin with one, and ends with its stdin.
pub(crate) fn serve() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let state = Arc::new(Mutex::new(State {
        delay: Duration::ZERO,
        status: 200,
        lifetime: LIFETIME,
        families: Vec::new(),
        refused: 0,
        came: Vec::new(),
    }));
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        let served = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&served)));
            }
        });
        let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            println!("{}", state.lock().unwrap().obey(&line));
        }
    });
    runtime.shutdown_background();
    ExitCode::SUCCESS
}

impl State {
    fn obey(&mut self, line: &str) -> String {
        let (command, value) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "delay" => self.delay = Duration::from_millis(value.parse().unwrap()),
            "status" => self.status = value.parse().unwrap(),
            "lifetime" => self.lifetime = value.parse().unwrap(),
            "forget" => (self.refused, self.came) = (0, Vec::new()),
            "seen" => return format!("{} {} {}", self.came.len(), self.refused, self.peak()),
            unknown => panic!("`{unknown}` is no command"),
        }
        "ok".to_owned()
    }

    /// The most refreshes that came within any second.
    fn peak(&self) -> usize {
        let within = |(first, came): (usize, &Instant)| {
            let rest = &self.came[first..];
            rest.iter().take_while(|later| **later - *came < Duration::from_secs(1)).count()
        };
        self.came.iter().enumerate().map(within).max().unwrap_or_default()
    }

    /// The answer to a token request, and whether it takes its time.
    fn handle(&mut self, body: &[u8]) -> (String, Duration) {
        let token = form_urlencoded::parse(body).find(|(name, _)| name == "refresh_token");
        let Some((_, token)) = token else {
            self.families.push(Family { generation: 0, is_revoked: false });
            return (self.tokens(self.families.len() - 1, self.lifetime), Duration::ZERO);
        };
        self.came.push(now());
        let reply = if self.status == 200 {
            match self.rotate(&token) {
                Some(family) => self.tokens(family, LIFETIME),
                None => {
                    self.refused += 1;
                    reply(400, r#"{"error":"invalid_grant"}"#)
                }
            }
        } else {
            reply(self.status, "{}")
        };
        (reply, self.delay)
    }

    fn rotate(&mut self, token: &str) -> Option<usize> {
        let mut parts = token.split('.').skip(1);
        let at: usize = parts.next()?.parse().ok()?;
        let generation: u32 = parts.next()?.parse().ok()?;
        let family = self.families.get_mut(at)?;
        if family.is_revoked || family.generation != generation {
            family.is_revoked = true;
            return None;
        }
        family.generation += 1;
        Some(at)
    }

    fn tokens(&self, at: usize, lifetime: u64) -> String {
        let generation = self.families[at].generation;
        let body = format!(
            r#"{{"access_token":"a.{at}.{generation}.SlAV32hkKGpFLYlaSlAV32hkKGpFLYla","token_type":"Bearer","refresh_token":"r.{at}.{generation}.8xLOxBtZp8Fw2yKq8xLOxBtZp8Fw2yKq","expires_in":{lifetime},"scope":"read_inbox no_expiry"}}"#
        );
        reply(200, &body)
    }
}

fn reply(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncache-control: no-store\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[allow(clippy::disallowed_methods, reason = "a server that is slow")]
async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let _is_delayed_otherwise = stream.set_nodelay(true);
    let mut received = Vec::new();
    loop {
        while let Some(end) = request_end(&received) {
            let request: Vec<u8> = received.drain(..end).collect();
            let body = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let (reply, delay) = state.lock().unwrap().handle(&request[body..]);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
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

#[allow(clippy::disallowed_methods, reason = "when requests came is what is measured")]
fn now() -> Instant {
    Instant::now()
}

/// What the server was asked since it was told to forget.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) refreshes: usize,
    /// Those of them whose refresh token was used up.
    pub(crate) refused: usize,
    /// The most of them in any second.
    pub(crate) peak: usize,
}

/// A running server.
pub(crate) struct RefreshServer {
    process: Child,
    control: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
    port: u16,
}

impl RefreshServer {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("serve-refreshes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let control = Mutex::new(Some((process.stdin.take().unwrap(), output)));
        Self { process, control, port: port.trim().parse().unwrap() }
    }

    pub(crate) fn token_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/oauth2/token", self.port)
    }

    /// Tells it something: see `State::obey`.
    pub(crate) fn tell(&self, command: &str) -> String {
        let mut control = self.control.lock().unwrap();
        let (input, output) = control.as_mut().unwrap();
        writeln!(input, "{command}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn seen(&self) -> Seen {
        let line = self.tell("seen");
        let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Seen { refreshes: next(), refused: next(), peak: next() }
    }
}

impl Drop for RefreshServer {
    fn drop(&mut self) {
        drop(self.control.lock().map(|mut control| control.take()));
        let _status = self.process.wait();
    }
}
