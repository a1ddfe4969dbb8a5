//! What is said of every framework alike: an application with a route of its own for each extractor, and what is to come back.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::future_not_send,
    reason = "tests, and each uses a part"
)]

pub mod suite;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::http::request::Parts;
use authflow_core::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use authflow_core::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Connection, Connections, Error,
    ErrorKind, Flow, HttpResponse, KnownProvider, MemoryStateStore, MemoryTokenStore, Provider, ServerError,
    SignIn, TokenStore, User, async_trait,
};
use authflow_testkit::{AuthorizationServer, Client, LoopbackClient, Outage, ScriptedUser};
use authflow_web::{Accounts, Application, BoxError, ClientAddress, Outcome};
use bytes::Bytes;

pub const ORIGIN: &str = "http://127.0.0.1:3000";

pub struct Example;

impl KnownProvider for Example {
    const PROVIDER_ID: &'static str = "example";
}

/// What a framework makes of one application: `/mine` asks for `Connected<Example>` and answers with the provider's words,
/// `/accounts` for `AllConnected<Example>`, `/maybe` says whether there is one, `/me` who is signed in, `/auth/ours` and everything else is the application's, and
/// answers `application`. Below `/app`, as a part of the application that does not know of the prefix, are `/mine`, `/accounts` and
/// `/me` once more.
pub trait Web {
    fn send(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>>;
}

/// Where a request comes from, in its extensions.
#[derive(Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Headers, address and URI of a request, as the application was shown them.
type Shown = (HeaderMap, Option<ClientAddress>, String);

/// What the application was shown.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Shown>>>);

impl Seen {
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    pub fn last(&self) -> Shown {
        self.0.lock().unwrap().last().expect("the application was asked").clone()
    }
}

/// Who signs in, on the way to a session that cannot go to another thread.
#[derive(Clone)]
pub struct SignedIn(pub String);

/// Takes whoever the header `x-user` names for signed in. Nobody's application should.
pub struct Site(Seen);

#[async_trait]
impl Application for Site {
    async fn current_user(&self, request: &Parts) -> Result<Option<User>, BoxError> {
        let address = request.extensions.get().copied();
        self.0.0.lock().unwrap().push((request.headers.clone(), address, request.uri.to_string()));
        if request.headers.contains_key("x-session-down") {
            return Err("the session store is down".into());
        }
        let in_session = request.extensions.get().map(|SignedIn(id)| User::new("", id.as_str()));
        let header = request.headers.get("x-user").map(|id| User::new("", id.to_str().unwrap()));
        Ok(in_session.or(header))
    }

    fn offers_sign_in(&self) -> bool {
        true
    }

    async fn sign_in(&self, _: SignIn) -> Result<User, BoxError> {
        Ok(User::new("", "new-user"))
    }

    async fn after(
        &self,
        _: &Parts,
        outcome: &Outcome,
        response: &mut Response<Bytes>,
    ) -> Result<(), BoxError> {
        let headers = response.headers_mut();
        headers.append(header::SET_COOKIE, HeaderValue::from_static("one=1; Path=/"));
        headers.append(header::SET_COOKIE, HeaderValue::from_static("two=2; Path=/"));
        headers.append(HeaderName::from_static("x-bytes"), HeaderValue::from_bytes(b"caf\xe9").unwrap());
        if let Outcome::SignedIn(connected) = outcome {
            response.extensions_mut().insert(SignedIn(connected.key.user().id.to_string()));
        }
        Ok(())
    }
}

/// Nobody is signed in.
struct Closed;

#[async_trait]
impl Application for Closed {
    async fn current_user(&self, _: &Parts) -> Result<Option<User>, BoxError> {
        Ok(None)
    }
}

pub struct World {
    pub server: AuthorizationServer,
    pub accounts: Accounts,
    pub seen: Seen,
}

impl World {
    pub async fn new() -> Self {
        Self::with_store(MemoryTokenStore::new()).await
    }

    /// Its token store does not answer.
    pub async fn down() -> Self {
        let store = Outage::new(MemoryTokenStore::new());
        store.set_down(true);
        Self::with_store(store).await
    }

    async fn with_store(store: impl TokenStore) -> Self {
        Self::at("/auth", store).await
    }

    pub async fn at(base: &str, store: impl TokenStore) -> Self {
        let client = Client::public("web").redirect_uri(format!("http://127.0.0.1{base}/example/callback"));
        let server = AuthorizationServer::builder().client(client).start().await.unwrap();
        let provider = Provider::builder("example")
            .base_uri(server.base_url())
            .authorization_endpoint("/authorize")
            .token_endpoint("/token")
            .issuer(server.issuer())
            .api_origin(server.base_url())
            .default_scopes(["profile", "offline_access"])
            .build()
            .unwrap();
        let redirect_uri = format!("{ORIGIN}{base}/example/callback");
        let credentials = ClientCredentials::public("web").redirect_uri(redirect_uri);
        let states = MemoryStateStore::new();
        let manager = ConfiguredProvider::from_provider(provider, credentials, states).unwrap();
        let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
        let connections = Connections::builder().flow(flow).token_store(store).build().unwrap();
        let seen = Seen::default();
        let public_url = format!("{ORIGIN}{base}");
        let accounts =
            Accounts::builder(connections, &public_url, Site(seen.clone())).max_body(1000).build().unwrap();
        Self { server, accounts, seen }
    }

    /// An application where one signs in with a password, and nobody has.
    pub async fn with_its_own_sign_in() -> Self {
        let world = Self::new().await;
        let connections = world.accounts.connections().clone();
        let builder = Accounts::builder(connections, &format!("{ORIGIN}/auth"), Closed);
        Self { accounts: builder.sign_in_at("/login?next=").build().unwrap(), ..world }
    }

    /// Connects a user, without a browser.
    pub async fn connect(&self, user: &str) {
        let user = Binding::user("", user);
        let connections = self.accounts.connections();
        let authorization = connections.begin("example", &user).unwrap().await.unwrap();
        let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
        let response = AuthorizationResponse::from_url(&callback).unwrap();
        connections.complete("example", &response, &user).await.unwrap();
    }
}

/// The body of what the API answered, if it is a 200.
pub fn body(answer: &HttpResponse) -> authflow_core::Result<Vec<u8>> {
    match answer.status {
        StatusCode::OK => Ok(answer.body.clone()),
        status => Err(Error::new(ErrorKind::InvalidGrant, "the API refused").with_status(status)),
    }
}

/// What a handler can say of connections.
pub fn accounts<'c>(connections: impl Iterator<Item = &'c Connection>) -> String {
    connections.map(|one| format!("{:?} {:?}\n", one.scopes, one.health)).collect()
}

/// A failure is an error like its own.
pub fn is_an_error_like(wrapped: &dyn std::error::Error) {
    assert_eq!(wrapped.to_string(), failure("refused").to_string());
    assert!(wrapped.source().is_some_and(|source| source.to_string() == "the cause"));
}

/// An error with words of the provider's.
pub fn failure(kind: &str) -> Error {
    let kind = match kind {
        "needs_reconnect" => ErrorKind::NeedsReconnect,
        "not_connected" => ErrorKind::NotConnected,
        "rate_limited" => ErrorKind::RateLimited,
        "store_unavailable" => ErrorKind::StoreUnavailable,
        "invalid_response" => ErrorKind::InvalidResponse,
        "refused" => ErrorKind::Refused,
        "access_denied" => ErrorKind::AccessDenied,
        "state_not_found" => ErrorKind::StateNotFound,
        _ => ErrorKind::Usage,
    };
    let words = ServerError::new("stranger", Some("a stranger's words"), Some("https://stranger.example"));
    let wait = (kind == ErrorKind::RateLimited).then_some(Duration::from_secs(7));
    Error::new(kind, "what happened").with_server_error(words).with_retry_after(wait).with_source("the cause")
}

pub fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

pub fn head(path: &str) -> Request<Bytes> {
    Request::head(path).body(Bytes::new()).unwrap()
}

pub fn with(mut request: Request<Bytes>, name: &'static str, value: &str) -> Request<Bytes> {
    request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    request
}

pub fn location(response: &Response<Bytes>) -> &str {
    response.headers()[header::LOCATION].to_str().unwrap()
}

/// What a browser sends back of the cookies that it was given.
pub fn cookies(response: &Response<Bytes>) -> String {
    let set = response.headers().get_all(header::SET_COOKIE).iter();
    let pairs = set.filter_map(|cookie| cookie.to_str().unwrap().split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}
