//! An application with two providers, and the authorization server behind both.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::quirks::{IssPolicy, ResponseMode};
use authflow_core::{
    Call, ClientCredentials, Clock, ConfiguredProvider, Connections, ConnectionsBuilder, Flow, FlowManager,
    HttpClient, HttpError, HttpRequest, HttpResponse, Limits, MemoryTokenStore, Provider, Quirks, StateStore,
    TokenSet, async_trait, rfc,
};
use authflow_testkit::{
    AuthorizationServer, Client, Consent, Endpoint, ErrorCode, Fault, ManualClock, Outage,
};
use authflow_web::{Accounts, AccountsBuilder};
use bytes::Bytes;
use http::{Method, Request, Response};
use tokio::sync::watch;

use crate::application::{Mark, TestApplication, user_of};
use crate::browser::{Answer, Browser, From};
use crate::stores::{Planted, States};

pub(crate) const ORIGIN: &str = "https://app.example";

/// What the provider is asked waits here while it is closed.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<watch::Sender<(bool, usize)>>);

impl Gate {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new((false, 0))))
    }

    pub(crate) fn set_closed(&self, closed: bool) {
        self.0.send_modify(|gate| gate.0 = closed);
    }

    /// Until somebody waits.
    pub(crate) async fn is_waited_at(&self) {
        self.0.subscribe().wait_for(|(_, waiting)| *waiting > 0).await.unwrap();
    }

    async fn pass(&self) {
        self.0.send_modify(|gate| gate.1 += 1);
        self.0.subscribe().wait_for(|(closed, _)| !closed).await.unwrap();
        self.0.send_modify(|gate| gate.1 -= 1);
    }
}

/// The authorization server as an HTTP client sees it.
#[derive(Clone, Debug)]
struct InProcess(Arc<AuthorizationServer>, Gate);

#[async_trait]
impl HttpClient for InProcess {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        self.1.pass().await;
        let mut made = Request::new(Bytes::from(request.body));
        *made.method_mut() = request.method;
        *made.uri_mut() = request.url.as_str().parse().unwrap();
        *made.headers_mut() = request.headers;
        let (parts, body) = self.0.handle(made).await.into_parts();
        let mut response = HttpResponse::new(parts.status, body);
        response.headers = parts.headers;
        Ok(response)
    }
}

/// A provider whose API names the account.
#[derive(Debug)]
struct Manager(ConfiguredProvider, Planted);

#[async_trait]
impl FlowManager for Manager {
    fn provider(&self) -> &Provider {
        self.0.provider()
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.0.credentials()
    }

    fn state_store(&self) -> &dyn StateStore {
        self.0.state_store()
    }

    fn token_response(&self, cx: &Call<'_>, response: &HttpResponse) -> authflow_core::Result<TokenSet> {
        self.1.pass("token_response");
        rfc::token_response(cx, response)
    }

    /// An API of `beta` means something else with a 401.
    fn refuses_token(&self, _: &HttpResponse) -> bool {
        self.provider().id() != "beta"
    }

    async fn after_exchange(
        &self,
        _: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> authflow_core::Result<Option<TokenSet>> {
        self.1.pass("after_exchange");
        let mut request = HttpRequest::get("https://as.example/resource".parse().unwrap());
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        request.headers.insert("authorization", bearer.parse().unwrap());
        let response = http.send(request, &Limits::default()).await?;
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let mut tokens = tokens.clone();
        tokens.account = body["sub"].as_str().map(str::to_owned);
        Ok(Some(tokens))
    }
}

/// What a test wants to be otherwise.
pub(crate) struct Setup {
    pub(crate) public_url: &'static str,
    pub(crate) application: TestApplication,
    pub(crate) response_mode: ResponseMode,
    pub(crate) iss: IssPolicy,
    pub(crate) states: States,
    pub(crate) server: Option<Arc<AuthorizationServer>>,
    pub(crate) clock: ManualClock,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            public_url: "https://app.example/auth",
            application: TestApplication::default(),
            response_mode: ResponseMode::Query,
            iss: IssPolicy::Required,
            states: States::with_capacity(10_000, 100),
            server: None,
            clock: ManualClock::new(),
        }
    }

    pub(crate) fn form_post(mut self) -> Self {
        self.response_mode = ResponseMode::FormPost;
        self
    }

    pub(crate) fn offers_sign_in(mut self) -> Self {
        self.application.offers_sign_in = true;
        self
    }

    pub(crate) fn build(self) -> World {
        self.build_with(|builder| builder, |builder| builder)
    }

    pub(crate) fn build_with(
        self,
        connections: impl FnOnce(ConnectionsBuilder) -> ConnectionsBuilder,
        accounts: impl FnOnce(AccountsBuilder) -> AccountsBuilder,
    ) -> World {
        let Self { public_url, application, response_mode, iss, states, server, clock } = self;
        let redirect_uri = |id: &str| format!("{}/{id}/callback", public_url.trim_end_matches('/'));
        let server = server.unwrap_or_else(|| {
            let now = clock.clone();
            let client =
                Client::public("web").redirect_uri(redirect_uri("alpha")).redirect_uri(redirect_uri("beta"));
            let builder = AuthorizationServer::builder().consent(Consent::Approve).client(client);
            Arc::new(builder.clock(move || now.now()).build().unwrap())
        });
        let handle: Arc<dyn Clock> = Arc::new(clock.clone());
        let gate = Gate::new();
        let flow = |id: &str| {
            let mut quirks = Quirks::default();
            quirks.authorization_response.response_mode = response_mode;
            quirks.authorization_response.iss = iss;
            let provider = server.provider(id).quirks(quirks).build().unwrap();
            let credentials = ClientCredentials::public("web")
                .redirect_uri(format!("https://app.example/auth/{id}/planted"))
                .redirect_uri(redirect_uri(id));
            let manager = ConfiguredProvider::from_provider(provider, credentials, states.clone()).unwrap();
            let http = InProcess(Arc::clone(&server), gate.clone());
            Flow::builder(Manager(manager, states.planted()))
                .http_client(http)
                .clock(Arc::clone(&handle))
                .build()
                .unwrap()
        };
        let builder =
            Connections::builder().flow(flow("alpha")).flow(flow("beta")).clock(Arc::clone(&handle));
        let tokens = Arc::new(Outage::new(MemoryTokenStore::new().clock(Arc::clone(&handle))));
        let connections = connections(builder.token_store(tokens.clone())).build().unwrap();
        let application = Arc::new(application);
        let builder = Accounts::builder(connections, public_url, Arc::clone(&application));
        let accounts = accounts(builder.provider_name("alpha", "Alpha & Co.")).build().unwrap();
        let api_refuses = Mutex::default();
        World { server, application, accounts, clock, states, tokens, gate, api_refuses, response_mode }
    }
}

pub(crate) struct World {
    pub(crate) server: Arc<AuthorizationServer>,
    pub(crate) application: Arc<TestApplication>,
    pub(crate) accounts: Accounts,
    pub(crate) clock: ManualClock,
    pub(crate) states: States,
    pub(crate) tokens: Arc<Outage<MemoryTokenStore>>,
    pub(crate) gate: Gate,
    /// How the API answers the application's own pages, instead of with what they asked for.
    pub(crate) api_refuses: Mutex<Option<ErrorCode>>,
    response_mode: ResponseMode,
}

impl World {
    pub(crate) fn new() -> Self {
        Setup::new().build()
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Sends a request with the browser's cookies and headers, and keeps what the answer sets.
    pub(crate) async fn send(&self, browser: &Browser, from: From, request: Request<Bytes>) -> Answer {
        self.send_as(browser, from, "navigate", request).await
    }

    /// The same for what is no navigation.
    pub(crate) async fn send_as(
        &self,
        browser: &Browser,
        from: From,
        mode: &str,
        request: Request<Bytes>,
    ) -> Answer {
        let request = self.dressed(browser, from, mode, request);
        let answer = Answer::new(self.accounts.handle(request).await);
        assert_eq!(answer.header("cache-control"), "no-store", "a18: {answer:?}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "b20: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        browser.keep(&answer, self.now());
        answer
    }

    /// A request as it leaves the browser.
    fn dressed(
        &self,
        browser: &Browser,
        from: From,
        mode: &str,
        mut request: Request<Bytes>,
    ) -> Request<Bytes> {
        let cookies = browser.header(request.method() == Method::POST, from, self.now());
        let headers = request.headers_mut();
        if !cookies.is_empty() && !headers.contains_key("cookie") {
            headers.insert("cookie", cookies.parse().unwrap());
        }
        let site = match from {
            From::Own | From::Refresh | From::Safari => Some("same-origin"),
            From::Foreign => Some("cross-site"),
            From::Typed => Some("none"),
            From::Silent(origin) => {
                if let Some(origin) = origin {
                    headers.insert("origin", origin.parse().unwrap());
                }
                None
            }
        };
        if let Some(site) = site {
            headers.insert("sec-fetch-site", site.parse().unwrap());
            headers.insert("sec-fetch-mode", mode.parse().unwrap());
            // What somebody pressed stays so from redirect to redirect.
            if mode == "navigate" && !matches!(from, From::Refresh | From::Safari) {
                headers.insert("sec-fetch-user", "?1".parse().unwrap());
            }
            if from == From::Safari {
                headers.insert("referer", "https://app.example/home".parse().unwrap());
            }
        }
        request.extensions_mut().insert(Mark);
        request
    }

    /// Opens a page of the application's own, which needs a client of `alpha`, or of `beta` where that is in its path, and shows
    /// what the API says.
    pub(crate) async fn open(&self, browser: &Browser, from: From, path: &str) -> Answer {
        let (parts, _) = self.dressed(browser, from, "navigate", get(path)).into_parts();
        let provider = if path.contains("beta") { "beta" } else { "alpha" };
        let refusal = match self.accounts.client(&parts, provider).await {
            Err(missing) => return Answer::new(missing.response(&self.accounts, &parts)),
            Ok(client) => {
                let refuses = self.api_refuses.lock().unwrap().clone();
                if let Some(code) = refuses {
                    self.server.fault_all(Endpoint::Resource, Fault::Refuse(code));
                }
                let answer = client.get("https://as.example/resource").await;
                self.server.clear_faults();
                match answer.and_then(|answer| answer.read(|_| Ok(answer.body.clone()))) {
                    Ok(body) => return Answer::new(Response::new(body.into())),
                    Err(refusal) => refusal,
                }
            }
        };
        Answer::new(refusal.response().clone())
    }

    /// Opens a page, and goes wherever that leads: redirects, the provider, which approves at once, and pages that go on by
    /// themselves.
    pub(crate) async fn travel(&self, browser: &Browser, mut from: From, path: &str) -> Journey {
        let mut journey = Journey { places: Vec::new(), pages: 0, answer: None };
        let mut next = path.to_owned();
        while journey.places.len() < 20 {
            journey.places.push(next.clone());
            let mut answer = if next.starts_with("/auth") {
                self.get(browser, from, &next).await
            } else {
                self.open(browser, from, &next).await
            };
            if answer.status == 303 && answer.location().starts_with("https://as.example/") {
                let callback = self.approve(answer.location()).await;
                from = From::Foreign;
                journey.places.push("the callback".to_owned());
                answer = self.deliver(browser, &callback).await;
            }
            if answer.status == 303 {
                next = answer.location().to_owned();
            } else if let Some(to) = answer.refresh() {
                from = From::Refresh;
                journey.pages += 1;
                next = to;
            } else {
                journey.answer = Some(answer);
                return journey;
            }
        }
        journey
    }

    /// The same from a callback on, up to the first page that is not of the routes: its place.
    pub(crate) async fn arrive(&self, browser: &Browser, callback: &str) -> Arrival {
        let mut answer = self.deliver(browser, callback).await;
        let (mut from, mut pages) = (From::Foreign, 0);
        for _ in 0..5 {
            let next = match answer.refresh() {
                Some(next) => {
                    (from, pages) = (From::Refresh, pages + 1);
                    next
                }
                None => answer.location().to_owned(),
            };
            if !next.contains("/callback?resume=") {
                return Arrival { place: next, pages };
            }
            answer = self.get(browser, from, &next).await;
        }
        panic!("it goes in circles: {answer:?}");
    }

    pub(crate) async fn get(&self, browser: &Browser, from: From, path: &str) -> Answer {
        self.send(browser, from, get(path)).await
    }

    pub(crate) async fn post(&self, browser: &Browser, from: From, path: &str, form: &str) -> Answer {
        self.send(browser, from, post(path, form)).await
    }

    /// Presses *Connect* on a page of the application. Returns the authorization URL.
    pub(crate) async fn begin(&self, browser: &Browser, provider: &str, return_to: &str) -> String {
        let path = self.accounts.connect_path(provider, Some(return_to).filter(|path| !path.is_empty()));
        let answer = self.get(browser, From::Own, &path).await;
        answer.location().to_owned()
    }

    /// Opens the authorization URL: the server approves at once. Returns path and query of the callback.
    pub(crate) async fn approve(&self, url: &str) -> String {
        // The server knows only the query; what it would post is in there.
        let url = url.replace("&response_mode=form_post", "");
        let answer = self.server.handle(get(&url)).await;
        let location = answer.headers().get("location").unwrap_or_else(|| panic!("{answer:?}"));
        location.to_str().unwrap().strip_prefix(ORIGIN).unwrap().to_owned()
    }

    /// Up to the callback, which is not opened yet.
    pub(crate) async fn until_callback(&self, browser: &Browser, provider: &str, return_to: &str) -> String {
        let url = self.begin(browser, provider, return_to).await;
        self.approve(&url).await
    }

    /// The same where the provider says no.
    pub(crate) async fn until_denied(&self, browser: &Browser, provider: &str) -> String {
        let url = self.begin(browser, provider, "").await;
        self.server.fault_next(Endpoint::Authorization, Fault::DenyByServer);
        self.approve(&url).await
    }

    /// Opens a callback as the browser does when the provider sends it there.
    pub(crate) async fn deliver(&self, browser: &Browser, callback: &str) -> Answer {
        if self.response_mode == ResponseMode::FormPost {
            let (path, form) = callback.split_once('?').unwrap();
            return self.post(browser, From::Foreign, path, form).await;
        }
        self.get(browser, From::Foreign, callback).await
    }

    pub(crate) async fn connect(&self, browser: &Browser, provider: &str) -> Answer {
        let callback = self.until_callback(browser, provider, "").await;
        self.deliver(browser, &callback).await
    }

    pub(crate) fn token_requests(&self) -> usize {
        self.server.ledger().token_requests().len()
    }

    /// Provider and account of a user's connections.
    pub(crate) async fn connections(&self, user: &str) -> Vec<String> {
        let listing = self.accounts.connections().list(&user_of(user)).await.unwrap();
        let keys = listing.connections.iter().map(|connection| &connection.key);
        let mut named: Vec<_> =
            keys.map(|key| format!("{} {}", key.provider_id(), key.account().unwrap_or("?"))).collect();
        named.sort();
        named
    }

    /// A page that says no more than that it is not accepted, and nothing was sent to the provider.
    #[track_caller]
    pub(crate) fn assert_refused(&self, answer: &Answer, status: u16, token_requests: usize) {
        answer.is_page(status);
        assert_eq!(self.token_requests(), token_requests);
    }
}

/// Where a browser went.
#[derive(Debug)]
pub(crate) struct Journey {
    /// Each address, one after the other.
    places: Vec<String>,
    /// How many pages went on by themselves.
    pub(crate) pages: usize,
    answer: Option<Answer>,
}

impl Journey {
    /// The page where it ended.
    #[track_caller]
    pub(crate) fn end(&self) -> &Answer {
        self.answer.as_ref().unwrap_or_else(|| panic!("it goes in circles: {:#?}", self.places))
    }

    /// How often it was there.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.places.iter().filter(|place| place.contains(part)).count()
    }
}

/// Where a callback led, and over how many pages that go on by themselves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) place: String,
    pub(crate) pages: usize,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

pub(crate) fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

pub(crate) fn post(path: &str, form: &str) -> Request<Bytes> {
    let form = Bytes::copy_from_slice(form.as_bytes());
    Request::post(path).header("content-type", "application/x-www-form-urlencoded").body(form).unwrap()
}

/// A parameter of a URL, decoded.
pub(crate) fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').unwrap().1;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}
