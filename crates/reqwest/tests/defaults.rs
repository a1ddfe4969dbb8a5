//! What a request looks like on the wire, and what is not done with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::process::Command;

use authflow_core::{
    ClientCredentials, ConfiguredProvider, ErrorKind, Flow, HttpClient as _, HttpRequest, Limits,
    MemoryStateStore, Provider, Scopes,
};
use authflow_reqwest::ReqwestClient;
use common::server::{answer, answering, serve};
use common::tls::{Ca, https};
use common::{get, post};
use http::Method;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn c4_redirects_are_the_answer() {
    let target = answering(answer(200, "", b"{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}\r\n", target.url("/stolen"));
        let seen = answering(answer(status, &location, b"moved")).await;
        let client = ReqwestClient::new().unwrap();
        let response = client.send(post(&seen.url("/token")), &Limits::default()).await.unwrap();
        assert_eq!((response.status.as_u16(), response.body.as_slice()), (status, b"moved".as_slice()));
        assert_eq!(seen.requests(), 1);
    }
    assert_eq!(target.connections(), 0, "the target of a redirect sees nothing");
}

#[tokio::test]
async fn a_request_says_what_it_was_given_and_no_more() {
    let seen = answering(answer(200, "Set-Cookie: session=1; Path=/\r\n", b"{}")).await;
    let client = ReqwestClient::new().unwrap();
    for path in ["/first", "/second?code=1"] {
        let request = post(&seen.url(path))
            .with_header(http::header::ACCEPT_ENCODING, "identity".parse().unwrap())
            .with_header(http::header::AUTHORIZATION, "Basic Og==".parse().unwrap());
        let response = client.send(request, &Limits::default()).await.unwrap();
        assert_eq!(response.headers["set-cookie"], "session=1; Path=/", "headers are handed on");
    }
    let mut names: Vec<_> = seen.texts()[1].lines().skip(1).filter_map(name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "accept-encoding", "authorization", "content-length", "host", "user-agent"],
        "no cookie, no referer"
    );
    assert!(seen.texts()[1].starts_with("POST /second?code=1 HTTP/1.1\r\n"));
    assert!(seen.texts()[1].contains("accept-encoding: identity\r\n"));
    assert!(seen.texts()[1].contains(concat!("user-agent: authflow/", env!("CARGO_PKG_VERSION"), "\r\n")));
}

/// RFC 9110 §8.6: some servers answer 411 to a POST that says nothing of its body.
#[tokio::test]
async fn an_empty_post_says_that_it_is_empty() {
    let seen = answering(answer(200, "", b"{}")).await;
    let client = ReqwestClient::new().unwrap();
    for (method, expected) in [
        (Method::POST, Some("content-length: 0")),
        (Method::PUT, Some("content-length: 0")),
        (Method::PATCH, Some("content-length: 0")),
        (Method::GET, None),
        (Method::DELETE, None),
    ] {
        let request = HttpRequest::new(method.clone(), seen.url("/").parse().unwrap());
        client.send(request, &Limits::default()).await.unwrap();
        let text = seen.texts().pop().unwrap();
        assert_eq!(text.lines().find(|line| line.starts_with("content-length")), expected, "{method}");
    }
}

fn name(line: &str) -> Option<String> {
    line.split_once(": ").map(|(name, _)| name.to_ascii_lowercase())
}

#[tokio::test]
async fn nothing_is_asked_for_compressed_by_itself() {
    let seen = answering(answer(200, "", b"{}")).await;
    ReqwestClient::new().unwrap().send(get(&seen.url("/")), &Limits::default()).await.unwrap();
    assert!(!seen.texts()[0].to_ascii_lowercase().contains("accept-encoding"));
    assert!(!seen.texts()[0].to_ascii_lowercase().contains("content-length"));
}

#[tokio::test]
async fn the_user_agent_is_for_requests_that_name_none() {
    let seen = answering(answer(200, "", b"{}")).await;
    let client = ReqwestClient::builder().user_agent("app/1 (+https://app.example)").build().unwrap();
    client.send(get(&seen.url("/")), &Limits::default()).await.unwrap();
    let named = get(&seen.url("/")).with_header(http::header::USER_AGENT, "own/2".parse().unwrap());
    client.send(named, &Limits::default()).await.unwrap();
    assert!(seen.texts()[0].contains("user-agent: app/1 (+https://app.example)\r\n"));
    assert!(seen.texts()[1].contains("user-agent: own/2\r\n"));
}

#[tokio::test]
async fn the_users_own_user_agent_is_that_of_protocol_calls() {
    let reply = answer(200, "Content-Type: application/json\r\n", br#"{"access_token":"access-1"}"#);
    let seen = answering(reply).await;
    let call = async |client: ReqwestClient| {
        let provider = Provider::builder("p").token_endpoint(&seen.url("/token")).build().unwrap();
        let credentials = ClientCredentials::confidential("client-1", "secret-1");
        let manager = ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::new());
        let flow = Flow::builder(manager.unwrap()).http_client(client).build().unwrap();
        flow.client_credentials(&Scopes::none()).await.unwrap();
        seen.texts().pop().unwrap()
    };
    let own = ReqwestClient::builder().user_agent("app/1 (+https://app.example)").build().unwrap();
    let text = call(own).await;
    assert!(text.contains("\r\nuser-agent: app/1 (+https://app.example)\r\n"), "{text}");
    let theirs = reqwest::Client::builder().no_proxy().user_agent("theirs/1").build().unwrap();
    let text = call(ReqwestClient::from_client(theirs)).await;
    assert!(text.contains("\r\nuser-agent: theirs/1\r\n"), "{text}");
    // Some providers refuse requests without one.
    let text = call(ReqwestClient::new().unwrap()).await;
    assert!(text.contains(concat!("\r\nuser-agent: authflow/", env!("CARGO_PKG_VERSION"), "\r\n")), "{text}");
    assert_eq!(text.to_ascii_lowercase().matches("user-agent").count(), 1, "{text}");
}

/// The environment of a process cannot be changed safely from within, so this test runs itself again in another.
#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    const CHILD: &str = "AUTHFLOW_REQWEST_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let seen = answering(answer(200, "", b"{}")).await;
        ReqwestClient::new().unwrap().send(get(&seen.url("/")), &Limits::default()).await.unwrap();
        assert_eq!(seen.requests(), 1);
        return;
    }
    let proxy = answering(answer(502, "", b"the proxy")).await;
    let proxy_url = proxy.url("");
    let child = tokio::task::spawn_blocking(move || {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "proxies_of_the_environment_are_not_used"]).env(CHILD, "1");
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            child.env(name, &proxy_url);
        }
        child.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap()
    })
    .await
    .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "the child ran the test");
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_is_named_is_used_for_https_alone() {
    let ca = Ca::new();
    let provider = common::tls::answering(ca.acceptor("127.0.0.1", |_| {}), answer(200, "", b"{}")).await;
    let proxy = serve(|seen, mut stream, _| async move {
        let connect = seen.request(&mut stream).await.unwrap();
        let host = connect.split(' ').nth(1).unwrap();
        let mut provider = tokio::net::TcpStream::connect(host).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // Ends with an error where the test is over first.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut provider).await;
    })
    .await;
    let client =
        ReqwestClient::builder().root_certificates_pem(ca.pem()).https_proxy(&proxy.url("")).build().unwrap();
    client.send(post(&https(&provider, "/token?key=1")), &Limits::default()).await.unwrap();
    assert_eq!((proxy.requests(), provider.requests()), (1, 1));
    assert!(proxy.texts()[0].starts_with("CONNECT 127.0.0.1:"), "{:?}", proxy.texts());
    assert!(!proxy.texts()[0].contains("token"), "the proxy sees the host and no more");

    let loopback = answering(answer(200, "", b"{}")).await;
    client.send(post(&loopback.url("/")), &Limits::default()).await.unwrap();
    assert_eq!((proxy.requests(), loopback.requests()), (1, 1));
}

#[test]
fn settings_that_cannot_be_read_are_configuration_errors() {
    for builder in [
        ReqwestClient::builder().https_proxy("http://user:planted@[/"),
        ReqwestClient::builder().https_proxy("planted"),
        ReqwestClient::builder().https_proxy("planted:3128"),
        ReqwestClient::builder().https_proxy("socks5://planted:1080"),
        ReqwestClient::builder().root_certificates_pem("planted"),
        ReqwestClient::builder()
            .root_certificates_pem("-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----\n"),
        ReqwestClient::builder().user_agent("line\nbreak planted"),
    ] {
        let shown = format!("{builder:?}");
        let error = builder.build().expect_err(&shown);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error} {error:?}").contains("planted"), "{error:?}");
    }
}

#[test]
fn nothing_of_the_settings_is_shown() {
    let builder = ReqwestClient::builder().https_proxy("http://user:planted@127.0.0.1:1");
    assert!(!format!("{builder:?}").contains("planted"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("planted"));
    let headers = http::HeaderMap::from_iter([(http::header::COOKIE, "planted".parse().unwrap())]);
    let theirs = reqwest::Client::builder().default_headers(headers).build().unwrap();
    assert!(!format!("{:?}", ReqwestClient::from_client(theirs)).contains("planted"));
}
