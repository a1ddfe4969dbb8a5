//! The preset HTTP client: shared by the process, replaceable, and honest about why there is none.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use authflow::reqwest::ReqwestClient;
use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Delivery, Error, ErrorKind, Flow,
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, MemoryStateStore, Operation,
    Provider, async_trait,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A provider whose token endpoint is at `origin`.
fn provider(id: &str, origin: &str) -> ConfiguredProvider {
    let provider = Provider::builder(id)
        .authorization_endpoint(&format!("{origin}/authorize"))
        .token_endpoint(&format!("{origin}/token"))
        .build()
        .unwrap();
    let credentials = ClientCredentials::public("client-1").redirect_uri("https://app.example/callback");
    ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::new()).unwrap()
}

/// A token endpoint that issues the same token to all, and counts its connections.
async fn token_endpoint() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let body = r#"{"access_token":"a","token_type":"Bearer"}"#;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                    // The verifier is in the body, and its length is known.
                    if String::from_utf8_lossy(&request).contains("code_verifier=") {
                        request.clear();
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (origin, connections)
}

async fn run(flow: &Flow) -> authflow::Result<String> {
    let user = Binding::user("", "user-42");
    let authorization = flow.begin(&user).await?;
    let state = authorization
        .url()
        .split(['?', '&'])
        .find_map(|pair| pair.strip_prefix("state="))
        .unwrap()
        .to_owned();
    let query = format!("code=c&state={state}");
    let completed = flow.finish(&AuthorizationResponse::from_query(&query)?, &user).await?;
    Ok(completed.tokens.access_token.expose().to_owned())
}

#[tokio::test]
async fn flows_share_one_client_and_its_connections() {
    let (origin, connections) = token_endpoint().await;
    for id in ["one", "two", "three"] {
        let flow = authflow::flow(provider(id, &origin)).build().unwrap();
        assert_eq!(run(&flow).await.unwrap(), "a");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[derive(Debug)]
struct Offline;

#[async_trait]
impl HttpClient for Offline {
    async fn send(&self, _: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        Err(HttpError::new(HttpErrorKind::Transport, Delivery::NotSent))
    }
}

#[tokio::test]
async fn the_preset_client_can_be_replaced() {
    let (origin, connections) = token_endpoint().await;
    let flow = authflow::flow(provider("example", &origin)).http_client(Offline).build().unwrap();
    assert_eq!(run(&flow).await.unwrap_err().kind(), ErrorKind::Network);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[test]
fn build_says_why_there_is_no_client() {
    let origin = "https://provider.example";
    let none = || Err::<ReqwestClient, _>(Error::configuration("no root certificates"));
    let error = Flow::builder(provider("example", origin)).try_http_client(none()).build().unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Configuration, Some(Operation::Build)));
    assert!(error.to_string().contains("no root certificates"), "{error}");

    let replaced = Flow::builder(provider("example", origin)).try_http_client(none()).http_client(Offline);
    assert!(replaced.build().is_ok(), "a client that is given replaces the reason why there was none");
}
