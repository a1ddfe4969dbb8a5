//! A client as plain as can be, so that the server is not judged by a library's habits.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use authflow_testkit::{AuthorizationServer, Builder, Client, Consent};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{HeaderMap, Request};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

pub(crate) const REDIRECT: &str = "http://127.0.0.1:7001/callback";

/// A server that approves at once and needs no socket.
pub(crate) fn server() -> AuthorizationServer {
    approving().build().unwrap()
}

pub(crate) fn approving() -> Builder {
    AuthorizationServer::builder().consent(Consent::Approve)
}

/// A clock that a test moves.
#[derive(Clone, Default)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> impl Fn() -> SystemTime + Send + Sync + 'static {
        let hands = self.0.clone();
        move || SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000 + hands.load(Ordering::SeqCst))
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }

    /// The parameters of the redirect, and where it goes.
    pub(crate) fn redirect(&self) -> (Url, Vec<(String, String)>) {
        assert_eq!(self.status, 303, "{}", self.text());
        let mut url = Url::parse(self.header("location")).unwrap();
        let pairs = url.query_pairs().into_owned().collect();
        url.set_query(None);
        (url, pairs)
    }

    pub(crate) fn callback(&self) -> HashMap<String, String> {
        self.redirect().1.into_iter().collect()
    }
}

pub(crate) async fn send(server: &AuthorizationServer, request: Request<Bytes>) -> Answer {
    let (parts, body) = server.handle(request).await.into_parts();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub(crate) async fn get(server: &AuthorizationServer, target: &str) -> Answer {
    send(server, Request::get(path(target)).body(Bytes::new()).unwrap()).await
}

pub(crate) async fn get_with(server: &AuthorizationServer, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path(target));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(server, request.body(Bytes::new()).unwrap()).await
}

pub(crate) async fn post_raw(
    server: &AuthorizationServer,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::post(path(target));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(server, request.body(Bytes::from(body.to_owned())).unwrap()).await
}

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub(crate) async fn post(server: &AuthorizationServer, target: &str, form: &[(&str, &str)]) -> Answer {
    post_raw(server, target, &[FORM], &encode(form)).await
}

/// Posts with `client_secret_basic`.
pub(crate) async fn post_basic(
    server: &AuthorizationServer,
    client: &Client,
    target: &str,
    form: &[(&str, &str)],
) -> Answer {
    let header = basic_header(client.id(), client.secret().unwrap());
    post_raw(server, target, &[FORM, ("authorization", &header)], &encode(form)).await
}

pub(crate) fn basic_header(id: &str, secret: &str) -> String {
    let part = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", part(id), part(secret))))
}

pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn path(target: &str) -> String {
    match Url::parse(target) {
        Ok(url) => url[url::Position::BeforePath..].to_owned(),
        Err(_) => target.to_owned(),
    }
}

/// A verifier that no test used before.
pub(crate) fn verifier() -> String {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let drawn = DRAWN.fetch_add(1, Ordering::SeqCst);
    URL_SAFE_NO_PAD.encode(Sha256::digest(drawn.to_be_bytes()))
}

pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// An authorization request of the public client that is right in every way; `changes` replace or, where
/// empty, remove parameters.
pub(crate) fn authorization_query(client: &str, challenge: &str, changes: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("scope", "read write"),
        ("state", "state-1"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    encode(&pairs)
}

/// Gets a code for the public client and returns it with its verifier.
pub(crate) async fn code(server: &AuthorizationServer) -> (String, String) {
    code_for(server, server.public_client().id()).await
}

pub(crate) async fn code_for(server: &AuthorizationServer, client: &str) -> (String, String) {
    let verifier = verifier();
    let query = authorization_query(client, &challenge(&verifier), &[]);
    let answer = get(server, &format!("/authorize?{query}")).await;
    (
        answer.callback().remove("code").unwrap_or_else(|| panic!("no code: {}", answer.header("location"))),
        verifier,
    )
}

/// The public client's exchange, with `changes` as in [`authorization_query`].
pub(crate) async fn exchange(
    server: &AuthorizationServer,
    code: &str,
    verifier: &str,
    changes: &[(&str, &str)],
) -> Answer {
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("client_id", server.public_client().id()),
        ("redirect_uri", REDIRECT),
        ("code", code),
        ("code_verifier", verifier),
    ];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    post(server, "/token", &pairs).await
}

/// A fresh token set of the public client.
pub(crate) async fn tokens(server: &AuthorizationServer) -> (String, String) {
    let (code, verifier) = code(server).await;
    let reply = exchange(server, &code, &verifier, &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let json = reply.json();
    (text(&json, "access_token"), text(&json, "refresh_token"))
}

pub(crate) fn text(json: &Value, name: &str) -> String {
    json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned()
}

pub(crate) async fn refresh(server: &AuthorizationServer, token: &str) -> Answer {
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", server.public_client().id()),
        ("refresh_token", token),
    ];
    post(server, "/token", &form).await
}

pub(crate) async fn resource(server: &AuthorizationServer, token: &str) -> Answer {
    get_with(server, &server.resource_url(), &[("authorization", &format!("Bearer {token}"))]).await
}
