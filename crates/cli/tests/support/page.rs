//! A browser for the page of the demo: cookies, headers as a browser sends them, redirects that are not followed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use authflow_testkit::{LeakDetector, ScriptedUser};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::{PATIENCE, Running, command, query_values, secret_in};

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.head.lines().skip(1).filter_map(move |line| {
            let (of, value) = line.split_once(':')?;
            of.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// The running demo, and the browser that has it open.
pub(crate) struct DemoPage {
    pub(crate) running: Running,
    /// `127.0.0.1:PORT`.
    pub(crate) authority: String,
    cookies: Mutex<BTreeMap<String, String>>,
    /// Everything that was ever shown is looked through for what this browser knows to be secret.
    pub(crate) leaks: LeakDetector,
    /// What stood in the addresses that this browser was sent to.
    known: Mutex<Vec<String>>,
}

impl DemoPage {
    pub(crate) async fn open(arguments: &[&str]) -> Self {
        let arguments = [&["demo", "--no-browser"], arguments].concat();
        Self::of(command(&arguments)).await
    }

    /// By a command that is `authflow demo --no-browser` with options.
    pub(crate) async fn of(command: Command) -> Self {
        let mut running = Running::of(command);
        let url = running.url().await;
        let authority = url.strip_prefix("http://").and_then(|url| url.strip_suffix('/')).unwrap().to_owned();
        assert!(authority.starts_with("127.0.0.1:"), "{authority}");
        Self {
            running,
            authority,
            cookies: Mutex::default(),
            leaks: LeakDetector::new(),
            known: Mutex::default(),
        }
    }

    /// A request with these headers besides `Host` and the cookies.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let host =
            headers.iter().find(|(name, _)| *name == "host").map_or(&*self.authority, |(_, host)| host);
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.push_str(&format!("cookie: {}\r\n", cookies.join("; ")));
        }
        if method == "POST" {
            let length = body.len();
            request.push_str(&format!(
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n"
            ));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let exchange = async {
            let mut stream = TcpStream::connect(&self.authority).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        };
        let text = timeout(PATIENCE, exchange).await.expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
        self.keep_cookies(&answer);
        self.leaks.scan_named(path, &answer.body);
        answer
    }

    fn keep_cookies(&self, answer: &Answer) {
        let mut cookies = self.cookies.lock().unwrap();
        for cookie in answer.headers("set-cookie") {
            assert!(cookie.contains("HttpOnly"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.to_ascii_lowercase().contains("max-age=0") {
                cookies.remove(name);
            } else {
                // The flow's secret is in it, among what is none.
                value.split(['.', ':', '~', '!']).filter(|part| part.len() > 20).for_each(|part| {
                    self.leaks.plant("cookie", part);
                });
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("accept", "text/html")], "").await
    }

    /// A form of the page itself.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("sec-fetch-site", "same-origin"), ("accept", "text/html")], body).await
    }

    /// Goes to a provider and comes back: `decide` is what the user does there. Returns the answer to the callback.
    pub(crate) async fn visit(&self, provider: &str, decision: Decision) -> Answer {
        let sent = self.post(&format!("/accounts/{provider}/connect"), "return_to=%2F").await;
        assert_eq!(sent.status, 303, "{sent:?}");
        let there = sent.header("location").unwrap();
        self.leaks.plant("state", super::parameter(there, "state"));
        self.known.lock().unwrap().extend(query_values(there));
        let user = ScriptedUser::new();
        let back = match decision {
            Decision::Approve => user.approve(there).await.unwrap(),
            Decision::Deny => user.deny(there).await.unwrap(),
        };
        let query = url::Url::parse(&back).unwrap();
        for (name, value) in query.query_pairs().filter(|(name, _)| name == "code") {
            self.leaks.plant(&name, value.as_bytes());
        }
        let path = back.strip_prefix(&format!("http://{}", self.authority)).expect("back at the page");
        self.get(path).await
    }

    /// Nothing in `text` looks like a code or a token of the servers.
    pub(crate) fn shows_no_token(&self, text: &str) {
        assert_eq!(secret_in(text, &self.known.lock().unwrap()), None, "{text}");
    }

    pub(crate) async fn connect(&self, provider: &str) {
        let answer = self.visit(provider, Decision::Approve).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{answer:?}");
    }

    /// The news after `after`.
    pub(crate) async fn news(&self, after: u64) -> Value {
        let answer = self.get(&format!("/demo/news?after={after}")).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Follows the news, as the page does, until all of these were said after `after`. Returns the revision and what was said.
    pub(crate) async fn said(&self, after: u64, texts: &[&str]) -> (u64, String) {
        let mut revision = after;
        let mut said = String::new();
        let told = timeout(PATIENCE, async {
            while !texts.iter().all(|text| said.contains(text)) {
                let news = self.news(revision).await;
                revision = news["revision"].as_u64().unwrap();
                said.push_str(news["messages"].as_str().unwrap());
            }
        });
        if told.await.is_err() {
            panic!("{texts:?} was not said: {said}");
        }
        (revision, said)
    }

    /// The card of a provider as it is now.
    pub(crate) async fn card(&self, provider: &str) -> String {
        let page = self.get("/").await;
        assert_eq!(page.status, 200);
        let start = page.body.find(&format!("aria-labelledby=\"account-{provider}\"")).expect("a card");
        let card = &page.body[start..];
        card[..card.find("</article>").unwrap()].to_owned()
    }

    /// The revision that the page shows now.
    pub(crate) async fn revision(&self) -> u64 {
        let page = self.get("/").await.body;
        let (_, rest) = page.split_once("data-revision=\"").unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    }
}

/// What the user does at the provider.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision {
    Approve,
    Deny,
}
