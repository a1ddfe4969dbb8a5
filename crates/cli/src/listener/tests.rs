use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::{Judge, Limits, Listener, Serving, Verdict, place};

/// Takes the first callback with `state=right`, once it is let.
#[derive(Default)]
struct Script {
    taken: AtomicUsize,
    holds: bool,
    go_on: Notify,
    arrived: Notify,
}

#[async_trait]
impl Judge for Script {
    async fn judge(self: Arc<Self>, query: String) -> Verdict {
        if query != "state=right" {
            return Verdict::Stray("another".to_owned());
        }
        if self.taken.fetch_add(1, Ordering::SeqCst) > 0 {
            return Verdict::AlreadyDone;
        }
        self.arrived.notify_one();
        if self.holds {
            self.go_on.notified().await;
        }
        Verdict::Done
    }
}

async fn start(script: Script, limits: Limits) -> (String, Serving, Arc<Script>) {
    let listener = Listener::bind(&place(None).unwrap().unwrap()).unwrap();
    let host = listener.site.host.clone();
    let script = Arc::new(script);
    (host, listener.serve(Arc::clone(&script) as _, limits), script)
}

async fn ask(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(host: &str, target: &str) -> String {
    ask(host, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
}

/// The callback as a browser follows it: the redirect's path, and the page there.
async fn follow(host: &str, target: &str) -> (String, String) {
    let answer = get(host, target).await;
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    let location = answer.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().to_owned();
    let page = get(host, &location).await;
    (location, page)
}

/// So long that only what is waited for ends it.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn r6749_07_the_browser_is_sent_to_an_address_without_code_and_state() {
    let limits = Limits { follow: FOR_EVER, ..Limits::default() };
    let (host, serving, _) = start(Script::default(), limits).await;
    for early in ["/authflow-result/done", "/authflow-result/denied"] {
        assert!(get(&host, early).await.starts_with("HTTP/1.1 404 "), "nobody was sent there yet");
    }
    let answer = get(&host, "/callback?state=right").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 303 "), "{answer}");
    assert!(head.lines().any(|line| line == "Location: /authflow-result/done"), "{answer}");
    assert!(head.contains("\r\nReferrer-Policy: no-referrer\r\n"), "{answer}");
    assert!(head.contains("\r\nCache-Control: no-store\r\n"), "{answer}");
    assert!(!answer.contains("right") && body.is_empty(), "{answer}");

    // The listener stays until the browser has its page, and answers what else comes as before.
    let closing = tokio::spawn(serving.close());
    assert!(get(&host, "/authflow-result/denied").await.starts_with("HTTP/1.1 404 "), "another's result");
    assert!(get(&host, "/authflow-result/done?x").await.starts_with("HTTP/1.1 404 "));
    let evil = ask(&host, "GET /authflow-result/done HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert!(evil.starts_with("HTTP/1.1 421 "), "{evil}");
    assert!(get(&host, "/favicon.ico").await.starts_with("HTTP/1.1 404 "));
    assert!(!closing.is_finished());
    let page = get(&host, "/authflow-result/done").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("Connected"), "{page}");
    assert!(page.contains("\r\nReferrer-Policy: no-referrer\r\n"), "{page}");
    assert!(page.contains("\r\nCache-Control: no-store\r\n"), "{page}");
    closing.await.unwrap();
    assert!(TcpStream::connect(&host).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn r6749_07_a_browser_that_does_not_follow_holds_nothing_up() {
    let limits = Limits { follow: Duration::from_millis(50), ..Limits::default() };
    let (host, serving, _) = start(Script::default(), limits).await;
    assert!(get(&host, "/callback?state=right").await.starts_with("HTTP/1.1 303 "));
    let closed = tokio::time::timeout(Duration::from_secs(30), serving.close());
    closed.await.expect("the end does not wait for ever");
}

#[tokio::test]
async fn g9_only_a_browser_that_was_sent_on_is_waited_for() {
    let limits = Limits { follow: FOR_EVER, ..Limits::default() };
    let (host, serving, _) = start(Script::default(), limits).await;
    for target in ["/", "/callback?state=wrong", "/authflow-result/done"] {
        assert!(get(&host, target).await.starts_with("HTTP/1.1 4"));
    }
    let closed = tokio::time::timeout(Duration::from_secs(30), serving.close());
    closed.await.expect("nothing is owed");
}

#[tokio::test]
async fn a_redirect_uri_that_is_a_results_address_gets_the_page_at_once() {
    let place = place(Some("http://127.0.0.1:0/authflow-result/done")).unwrap().unwrap();
    let listener = Listener::bind(&place).unwrap();
    let host = listener.site.host.clone();
    let limits = Limits { follow: FOR_EVER, ..Limits::default() };
    let serving = listener.serve(Arc::new(Script::default()), limits);
    let page = get(&host, "/authflow-result/done?state=right").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("Connected"), "{page}");
    let closed = tokio::time::timeout(Duration::from_secs(30), serving.close());
    closed.await.expect("nothing is owed");
}

#[tokio::test]
async fn g4_stray_hits_are_answered_and_the_wait_goes_on() {
    let (host, _serving, _) = start(Script::default(), Limits::default()).await;
    for target in ["/", "/callback", "/callback?state=wrong", "/favicon.ico", "/callback?code=a"] {
        let answer = get(&host, target).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{target}: {answer}");
        assert!(!answer.contains("wrong"), "{answer}");
    }
    let evil = ask(&host, "GET /callback?state=right HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert!(evil.starts_with("HTTP/1.1 421 "), "{evil}");
    let post =
        format!("POST /callback?state=right HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\na=bc");
    assert!(ask(&host, &post).await.starts_with("HTTP/1.1 405 "));
    assert!(get(&host, "/callback?state=right").await.starts_with("HTTP/1.1 303 "));
}

#[tokio::test]
async fn g6_silent_connections_do_not_keep_the_real_one_out() {
    // The time limit of the silent ones is of no help here.
    let limits = Limits { connections: 4, time: Duration::from_secs(3600), ..Limits::default() };
    let (host, _serving, _) = start(Script::default(), limits).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(&host).await.unwrap());
    }
    let real = tokio::time::timeout(Duration::from_secs(30), get(&host, "/callback?state=right"));
    assert!(real.await.expect("an answer").starts_with("HTTP/1.1 303 "));
}

#[tokio::test]
async fn g6_a_slow_head_is_cut_off() {
    let limits = Limits { time: Duration::from_millis(50), ..Limits::default() };
    let (host, _serving, _) = start(Script::default(), limits).await;
    let answer = ask(&host, "GET /callback?state=right HTTP/1.1\r\nHost: ").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn g6_a_huge_head_is_refused() {
    let (host, _serving, _) = start(Script::default(), Limits::default()).await;
    let answer = get(&host, &format!("/callback?state=right&{}", "a".repeat(20_000))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn g4_hits_have_a_cap() {
    let limits = Limits { hits: 10, ..Limits::default() };
    let (host, serving, _) = start(Script::default(), limits).await;
    for _ in 0..10 {
        get(&host, "/").await;
    }
    let over = TcpStream::connect(&host).await;
    serving.exhausted().await;
    drop(over);
}

#[tokio::test]
async fn g8_a_second_callback_is_told_that_it_is_done() {
    let limits = Limits { follow: FOR_EVER, ..Limits::default() };
    let (host, serving, script) = start(Script { holds: true, ..Script::default() }, limits).await;
    let first = tokio::spawn({
        let host = host.clone();
        async move { follow(&host, "/callback?state=right").await }
    });
    script.arrived.notified().await;
    let (at, second) = follow(&host, "/callback?state=right").await;
    assert_eq!(at, "/authflow-result/already-done");
    assert!(second.starts_with("HTTP/1.1 200 ") && second.contains("Already done"), "{second}");
    script.go_on.notify_one();
    // Closing waits for the answer that is under way, and for the page that it leads to.
    serving.close().await;
    let (_, first) = first.await.unwrap();
    assert!(first.contains("Connected"), "{first}");
}

#[tokio::test]
async fn g9_the_port_is_free_after_the_end() {
    let (host, serving, _) = start(Script::default(), Limits::default()).await;
    serving.close().await;
    assert!(tokio::net::TcpListener::bind(&host).await.is_ok());
    let (host, serving, _) = start(Script::default(), Limits::default()).await;
    drop(serving);
    // An aborted task is dropped when it next would run.
    tokio::task::yield_now().await;
    assert!(tokio::net::TcpListener::bind(&host).await.is_ok());
}
