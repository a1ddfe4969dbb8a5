//! An OAuth 2.0 authorization server for tests: it runs in the test's own process, misbehaves on request and
//! keeps a ledger of what it was asked.

mod authorize;
mod body;
mod builder;
mod client;
mod client_authentication;
mod config;
mod contentstack;
mod context;
mod fault;
mod ledger;
mod metadata;
mod page;
mod params;
mod pkce;
mod redirect_uri;
mod refusal;
mod reply;
mod request;
mod route;
mod stackexchange;
mod state;
mod sync;
mod token;
mod wire;

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use authflow_core::{Provider, ProviderBuilder};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::ALLOW};

pub use self::{
    builder::{Builder, StartError},
    client::{Client, ClientAuthentication, Pkce},
    config::{Consent, IssuerParameter, Personality, Rotation},
    fault::{
        BadExpiresIn, Coding, Declared, ErrorCode, Fault, FaultSpan, RetryAfter, Sent, SetFault, UnknownFault,
    },
    ledger::{Endpoint, Entry, Issued, IssuedKind, Ledger, Outcome},
    reply::Delivery,
};
use self::{
    config::Config,
    context::{Context, Note},
    refusal::{Refusal, Style},
    reply::Reply,
    request::Received,
    route::{ELSEWHERE_PATH, Route},
    state::State,
    sync::lock,
};

/// An authorization server, with a protected resource beside it.
///
/// It stops, and closes its connections, when it is dropped.
pub struct AuthorizationServer {
    shared: Arc<Shared>,
    listener: Option<wire::Listener>,
}

struct Shared {
    config: Config,
    state: Mutex<State>,
    ledger: Ledger,
}

impl AuthorizationServer {
    /// Starts from the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn new(config: Config, subject: String) -> Result<Self, getrandom::Error> {
        let state = Mutex::new(State::new(subject)?);
        let shared = Arc::new(Shared { config, state, ledger: Ledger::default() });
        Ok(Self { shared, listener: None })
    }

    /// Whose wire format it speaks.
    pub fn personality(&self) -> Personality {
        self.shared.config.personality
    }

    /// Scheme and authority, without a slash at the end: `http://127.0.0.1:49152`.
    pub fn base_url(&self) -> &str {
        &self.shared.config.base_url
    }

    /// The issuer identifier (RFC 8414 §2): the base URL.
    pub fn issuer(&self) -> &str {
        self.base_url()
    }

    /// The authorization endpoint of the public client. Only Contentstack has one for each client.
    pub fn authorization_endpoint(&self) -> String {
        self.authorization_endpoint_of(self.public_client())
    }

    /// The authorization endpoint of a client.
    pub fn authorization_endpoint_of(&self, client: &Client) -> String {
        let config = &self.shared.config;
        match config.personality {
            Personality::Rfc => config.url("/authorize"),
            Personality::StackExchange => config.url("/oauth"),
            Personality::Contentstack => {
                config.url(&format!("/apps/{}/authorize", client.registered_app_uid()))
            }
        }
    }

    /// The token endpoint; at Stack Exchange the one that answers JSON.
    pub fn token_endpoint(&self) -> String {
        let config = &self.shared.config;
        match config.personality {
            Personality::Rfc | Personality::Contentstack => config.url("/token"),
            Personality::StackExchange => config.url("/oauth/access_token/json"),
        }
    }

    /// The revocation endpoint. Stack Exchange and Contentstack want more after it: `/{tokens}/invalidate`,
    /// and, under the app uid of the public client, `/{authorization_uid}`.
    pub fn revocation_endpoint(&self) -> String {
        let config = &self.shared.config;
        match config.personality {
            Personality::Rfc => config.url("/revoke"),
            Personality::StackExchange => config.url("/2.3/access-tokens"),
            Personality::Contentstack => config
                .url(&format!("/manifests/{}/authorizations", self.public_client().registered_app_uid())),
        }
    }

    /// Begins the description of a provider for authflow, with the server's issuer and endpoints. For
    /// [`Personality::Rfc`]: the two others have crates of their own.
    pub fn provider(&self, id: &str) -> ProviderBuilder {
        Provider::builder(id)
            .issuer(self.issuer())
            .authorization_endpoint(&self.authorization_endpoint())
            .token_endpoint(&self.token_endpoint())
            .revocation_endpoint(&self.revocation_endpoint())
    }

    /// The protected resource.
    pub fn resource_url(&self) -> String {
        let config = &self.shared.config;
        match config.personality {
            Personality::Rfc => config.url("/resource"),
            Personality::StackExchange => config.url("/2.3/me"),
            Personality::Contentstack => config.url("/v3/user"),
        }
    }

    /// All registered clients.
    pub fn clients(&self) -> &[Client] {
        &self.shared.config.clients
    }

    /// A registered client.
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.shared.config.client(id)
    }

    /// The public client that is always registered. PKCE is required of it.
    pub fn public_client(&self) -> &Client {
        let [public, _, _] = &self.shared.config.default_clients;
        public
    }

    /// The client with `client_secret_basic` that is always registered. Its secret is one that RFC 6749
    /// §2.3.1 wants encoded.
    pub fn basic_client(&self) -> &Client {
        let [_, basic, _] = &self.shared.config.default_clients;
        basic
    }

    /// The client with `client_secret_post` that is always registered.
    pub fn post_client(&self) -> &Client {
        let [_, _, post] = &self.shared.config.default_clients;
        post
    }

    /// What the server was asked so far.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Signs another user in: who approves from now on. Says no, and changes nothing, where the subject is
    /// empty or, at Stack Exchange, not an account number.
    pub fn sign_in(&self, subject: &str) -> bool {
        let valid = builder::is_subject(self.shared.config.personality, subject);
        if valid {
            subject.clone_into(&mut lock(&self.shared.state).subject);
        }
        valid
    }

    /// Ends all grants of a user, as the user could on the provider's own pages. Says how many there were.
    pub fn revoke_grants_of(&self, subject: &str) -> usize {
        lock(&self.shared.state).revoke_grants(|grant| grant.subject == subject)
    }

    /// Sets a fault for all requests to the endpoint that it is about.
    pub fn set_fault(&self, fault: Fault) {
        self.fault_all(fault.endpoint(), fault);
    }

    /// Sets a fault for the next request to an endpoint. Several wait in line. Faults of the callback belong
    /// to [`Endpoint::Authorization`], also where the consent page comes first.
    pub fn fault_next(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.shared.state).faults.next(endpoint, fault);
    }

    /// Sets a fault for all requests to an endpoint, until [`clear_faults`](Self::clear_faults).
    pub fn fault_all(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.shared.state).faults.all(endpoint, fault);
    }

    /// The faults that are set and not used up, in the order in which they were set.
    pub fn faults(&self) -> Vec<SetFault> {
        lock(&self.shared.state).faults.set().to_vec()
    }

    /// Behaves again.
    pub fn clear_faults(&self) {
        lock(&self.shared.state).faults.clear();
    }

    /// Answers one request without a socket. The path and query of its URI count, not the authority.
    ///
    /// A fault that only a connection can show is in the response's extensions as [`Delivery`]; the body is
    /// then the one that was meant.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.shared.handle(request)
    }
}

impl Shared {
    /// Acts and writes the ledger under one lock, so that the ledger has the order in which things happened.
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = Received::new(request);
        let route = Route::of(self.config.personality, &request);
        let endpoint = route.endpoint;
        let now = (self.config.now)();
        let mut state = lock(&self.state);
        let fault = state.faults.take(endpoint);
        let mut cx = Context {
            config: &self.config,
            state: &mut state,
            now,
            request: &request,
            fault,
            note: Note::default(),
        };
        let mut reply = answer(&mut cx, route);
        let shown = match (&cx.fault, &cx.note.fault) {
            (Some(fault), None) => fault::after(fault, &mut reply),
            _ => {
                fault::finish(&mut reply);
                false
            }
        };
        let note = cx.note;
        let fault = note.fault.or(cx.fault.filter(|_| shown));
        self.ledger.append(Entry {
            sequence: 0,
            at: now,
            endpoint,
            query: request.query_pairs(),
            form: request.form_pairs(),
            method: request.method,
            path: request.path,
            headers: request.headers,
            status: reply.status.as_u16(),
            outcome: note.outcome.unwrap_or(Outcome::Served),
            client: note.client,
            subject: note.subject,
            grant: note.grant,
            issued: note.issued,
            fault,
        });
        drop(state);
        reply.into_response()
    }
}

fn answer(cx: &mut Context<'_>, route: Route) -> Reply {
    if !route.methods.contains(&cx.request.method) {
        let refusal = Refusal::new("method_not_allowed", "this method is not allowed here")
            .with_status(StatusCode::METHOD_NOT_ALLOWED);
        cx.note.outcome = Some(refusal.outcome());
        let allowed: Vec<&str> = route.methods.iter().map(http::Method::as_str).collect();
        let mut reply = Style::OAuth.render(&refusal);
        reply.set(ALLOW, &allowed.join(", "));
        return reply;
    }
    if let Some(fault) = cx.fault.clone() {
        if let Some(reply) = fault::before(&fault, cx.now, &cx.config.url(ELSEWHERE_PATH)) {
            cx.note.fault = Some(fault);
            cx.note.outcome = Some(Outcome::Faulted);
            return reply;
        }
        if let Some((error, reply)) = fault.shaped_refusal() {
            cx.note.fault = Some(fault);
            cx.note.outcome =
                Some(Outcome::Refused { error: error.to_owned(), reason: "the fault says so".to_owned() });
            return reply;
        }
        if let Some(refusal) = fault.refusal() {
            cx.note.fault = Some(fault);
            cx.note.outcome = Some(refusal.outcome());
            return route.style.render(&refusal);
        }
    }
    match (route.serve)(cx) {
        Ok(reply) => reply,
        Err(refusal) => {
            cx.note.outcome = Some(refusal.outcome());
            cx.note.issued.clear();
            route.style.render(&refusal)
        }
    }
}

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer")
            .field("config", &self.shared.config)
            .field("requests", &self.shared.ledger.len())
            .field("listening", &self.listener.is_some())
            .finish_non_exhaustive()
    }
}
