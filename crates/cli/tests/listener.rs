//! The loopback listener of `authflow login`, attacked.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_testkit::{AuthorizationServer, Endpoint, ScriptedUser};
use support::{Running, arguments, deliver, parameter, provider};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

async fn begun(server: &AuthorizationServer) -> (Running, String) {
    let provider = provider(server, server.public_client());
    let mut running = Running::start(&arguments("login", &provider, &["--no-browser", "--json"]));
    let url = running.url().await;
    (running, url)
}

/// `127.0.0.1:port` of the redirect URI.
fn host(url: &str) -> String {
    let uri = url::Url::parse(&parameter(url, "redirect_uri")).unwrap();
    format!("{}:{}", uri.host_str().unwrap(), uri.port().unwrap())
}

async fn ask(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn g4_stray_hits_do_not_end_the_wait() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let (running, url) = begun(&server).await;
    let host = host(&url);
    let state = parameter(&url, "state");
    let callback = ScriptedUser::new().approve(&url).await.unwrap();
    let code = parameter(&callback, "code");
    let real = format!("/callback?code={code}&state={state}");

    for (request, status) in [
        (format!("GET {real} HTTP/1.1\r\nHost: evil.example:80\r\n\r\n"), "421"),
        (format!("GET {real} HTTP/1.1\r\nHost: localhost:1\r\n\r\n"), "421"),
        (format!("GET {real} HTTP/1.1\r\n\r\n"), "400"),
        (format!("GET /other?code={code}&state={state} HTTP/1.1\r\nHost: {host}\r\n\r\n"), "404"),
        (format!("GET /favicon.ico HTTP/1.1\r\nHost: {host}\r\n\r\n"), "404"),
        (format!("POST {real} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"), "405"),
        (format!("GET /callback HTTP/1.1\r\nHost: {host}\r\n\r\n"), "400"),
        (format!("GET /callback?code={code} HTTP/1.1\r\nHost: {host}\r\n\r\n"), "400"),
        (format!("GET /callback?code={code}&state=wrong HTTP/1.1\r\nHost: {host}\r\n\r\n"), "400"),
        (format!("GET /callback?error=access_denied&state=wrong HTTP/1.1\r\nHost: {host}\r\n\r\n"), "400"),
        (format!("GET {real}&state={state} HTTP/1.1\r\nHost: {host}\r\n\r\n"), "400"),
        ("\u{16}\u{3}\u{1}".to_owned(), "400"),
    ] {
        let answer = ask(&host, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(!answer.contains(&code) && !answer.contains(&state), "{answer}");
    }
    for round in 0..20 {
        // No more at once than there are seats: of a crowd, those that a busy machine keeps from talking are sent away.
        let junk: Vec<_> = (0..50)
            .map(|at| {
                let host = host.clone();
                let target = format!("/callback?code={round}&state={at}");
                tokio::spawn(async move {
                    ask(&host, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
                })
            })
            .collect();
        for answer in junk {
            let answer = answer.await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
        }
    }
    assert_eq!(server.ledger().count(Endpoint::Token), 0);

    let page = deliver(&callback).await;
    assert!(page.body().contains("Connected"), "{}", page.body());
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.matches("ignored:").count() < 10, "{}", ended.stderr);
}

#[tokio::test]
async fn g6_silent_connections_do_not_keep_the_callback_out() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let (running, url) = begun(&server).await;
    let host = host(&url);
    let mut silent = Vec::new();
    for at in 0..100 {
        let mut stream = TcpStream::connect(&host).await.unwrap();
        if at % 2 == 0 {
            // Begun and never ended.
            stream.write_all(b"GET /callback?code=a").await.unwrap();
        }
        silent.push(stream);
    }
    let user = ScriptedUser::new();
    let callback = user.approve(&url).await.unwrap();
    let page = deliver(&callback).await;
    assert!(page.body().contains("Connected"), "{}", page.body());
    assert_eq!(running.end().await.code, Some(0));
}

#[tokio::test]
async fn g7_the_page_is_static() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let (running, url) = begun(&server).await;
    let user = ScriptedUser::new();
    let callback = user.approve(&url).await.unwrap();
    let callback = format!("{callback}&x=<script>alert(1)</script>");
    let answer = user.deliver(&callback).await.unwrap();
    assert_eq!(answer.status(), 303);
    let location = answer.header("location").unwrap();
    assert!(
        !location.contains(['?', '#']) && !location.contains(&parameter(&callback, "code")),
        "{location}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert!(answer.body().is_empty());
    let result = url::Url::parse(&callback).unwrap().join(location).unwrap();
    let page = user.open(result.as_str()).await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(!page.body().contains("script") && !page.body().contains("alert"), "{}", page.body());
    assert!(!page.body().contains(&parameter(&callback, "code")));
    assert_eq!(running.end().await.code, Some(0));
}

#[tokio::test]
async fn g8_the_second_callback_is_already_done() {
    // The exchange is held back until the second callback has its answer.
    let tokens = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", tokens.local_addr().unwrap());
    let (authorization, token) = (format!("{base}/authorize"), format!("{base}/token"));
    let mut running = Running::start(&[
        "login",
        "--authorization-endpoint",
        &authorization,
        "--token-endpoint",
        &token,
        "--client-id",
        "client-1",
        "--no-browser",
        "--json",
    ]);
    let url = running.url().await;
    let callback = format!("{}?code=a&state={}", parameter(&url, "redirect_uri"), parameter(&url, "state"));
    let first = tokio::spawn({
        let callback = callback.clone();
        async move { deliver(&callback).await }
    });
    let (mut exchange, _) = tokens.accept().await.unwrap();

    let second = deliver(&callback).await;
    assert!(second.body().contains("Already done"), "{}", second.body());
    // Another one with a state of its own is as stray as before.
    let stray = format!("{}?code=a&state=wrong", parameter(&url, "redirect_uri"));
    assert_eq!(ScriptedUser::new().deliver(&stray).await.unwrap().status(), 400);

    let body = r#"{"access_token":"access-1","token_type":"Bearer"}"#;
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut request = [0; 4096];
    assert!(exchange.read(&mut request).await.unwrap() > 0);
    exchange.write_all(reply.as_bytes()).await.unwrap();
    drop(exchange);

    let first = first.await.unwrap();
    assert!(first.body().contains("Connected"), "{}", first.body());
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let json = ended.json();
    assert_eq!(json["access_token"], "access-1");
    assert!(json["expires_at"].is_null() && json["refresh_token"].is_null(), "{json}");
}

#[tokio::test]
async fn g1_a_port_that_is_taken_is_an_error_and_not_another_port() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let squatter = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let uri = format!("http://{}/callback", squatter.local_addr().unwrap());
    let provider = provider(&server, server.public_client());
    let ended = support::run(&arguments("login", &provider, &["--no-browser", "--redirect-uri", &uri])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("another program listens there"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("open:"), "{}", ended.stderr);
}

#[tokio::test]
async fn r8252_04_the_port_is_bound_while_it_waits_and_free_afterwards() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let (running, url) = begun(&server).await;
    let host = host(&url);
    assert!(TcpListener::bind(&host).await.is_err(), "bound before the URL is known");
    let user = ScriptedUser::new();
    let callback = user.approve(&url).await.unwrap();
    deliver(&callback).await;
    assert_eq!(running.end().await.code, Some(0));
    assert!(TcpStream::connect(&host).await.is_err(), "nobody listens any more");
}
