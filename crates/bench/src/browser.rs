//! A browser, as far as a server sees it: one connection that is kept alive, the headers of a navigation, cookies.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::registration::{RETURN_TO, callback_query};

/// What Chromium sends when somebody follows a link of the page that is open.
const HEADERS: &str = "sec-ch-ua-mobile: ?0\r\n\
    upgrade-insecure-requests: 1\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    sec-fetch-site: same-origin\r\n\
    sec-fetch-mode: navigate\r\n\
    sec-fetch-user: ?1\r\n\
    sec-fetch-dest: document\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\n\
    accept-language: en-GB,en;q=0.9\r\n";

const CALLBACK: &str = "/auth/bench/callback";

pub(crate) struct Browser {
    stream: TcpStream,
    received: Vec<u8>,
    cookies: Vec<(String, String)>,
    /// How many of the cookies are those of the session.
    lasting: usize,
}

/// The head of an answer, as far as it matters.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: String,
}

impl Browser {
    pub(crate) async fn open(from: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let stream = socket.connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new(), cookies: Vec::new(), lasting: 0 }
    }

    /// Gets a session.
    pub(crate) async fn sign_in(&mut self, user: u32) {
        let answer = self.get(&format!("/sign-in?user={user}")).await;
        assert_eq!(answer.status, 200);
        self.lasting = self.cookies.len();
    }

    /// Begins a flow; the callback's query comes back.
    pub(crate) async fn begin(&mut self) -> String {
        let answer = self.get(&format!("/auth/bench/connect?return_to={RETURN_TO}")).await;
        assert_eq!(answer.status, 303, "the flow begins");
        callback_query(&answer.location)
    }

    /// Whether the flow ends well. The next one finds a browser that has had none.
    pub(crate) async fn finish(&mut self, query: &str) -> bool {
        let answer = self.get(&format!("{CALLBACK}?{query}")).await;
        self.forget();
        // A sign-in that went well leads to the callback once more, to see the session; the application of the bench keeps none.
        answer.status == 303 && (answer.location == RETURN_TO || answer.location.starts_with(CALLBACK))
    }

    /// Loses all cookies but the session's.
    pub(crate) fn forget(&mut self) {
        self.cookies.truncate(self.lasting);
    }

    async fn get(&mut self, path: &str) -> Answer {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: app.example.com\r\n{HEADERS}");
        for (at, (name, value)) in self.cookies.iter().enumerate() {
            request.extend([if at == 0 { "cookie: " } else { "; " }, name, "=", value]);
        }
        request.push_str(if self.cookies.is_empty() { "\r\n" } else { "\r\n\r\n" });
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.read().await;
        };
        let head = String::from_utf8(self.received.drain(..end + 4).collect()).unwrap();
        let mut answer = Answer { status: head[9..12].parse().unwrap(), location: String::new() };
        let mut length = 0;
        for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            } else if name.eq_ignore_ascii_case("location") {
                value.clone_into(&mut answer.location);
            } else if name.eq_ignore_ascii_case("set-cookie") {
                self.keep(value);
            }
        }
        while self.received.len() < length {
            self.read().await;
        }
        self.received.drain(..length);
        answer
    }

    async fn read(&mut self) {
        assert_ne!(self.stream.read_buf(&mut self.received).await.unwrap(), 0, "the server hung up");
    }

    fn keep(&mut self, cookie: &str) {
        let (name, value) = cookie.split(';').next().unwrap_or_default().split_once('=').unwrap();
        match self.cookies.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => self.cookies.push((name.to_owned(), value.to_owned())),
        }
    }
}
