//! Two providers, an application in a framework, and whoever uses it.

use std::marker::PhantomData;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use authflow::quirks::{IssPolicy, ResponseMode};
use authflow::{Clock as _, Health, User};
use authflow_testkit::{AuthorizationServer, Client, Consent, IssuerParameter, ManualClock, ScriptedUser};
use authflow_web::Accounts;

use crate::application::{SESSION, TestApplication};
use crate::browser::{Answer, Browser};
use crate::framework::{Framework, Running};
use crate::jar::{From, SameSite};
use crate::provider::connections;
use crate::stores::{Kind, Stores};

/// How long a user has between connect and the callback.
pub(crate) const TTL: Duration = Duration::from_secs(600);

/// The provider that most tests use.
pub(crate) const EXAMPLE: &str = "example";
/// Another one.
pub(crate) const OTHER: &str = "other";

/// How the application is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Public {
    /// As `https://app.example`, behind a proxy.
    Https,
    /// As `http://127.0.0.1:PORT`: a developer's machine.
    Loopback,
}

/// What a test wants to be otherwise.
pub(crate) struct Setup {
    pub(crate) stores: Stores,
    pub(crate) public: Public,
    /// The path under which the routes are.
    pub(crate) base: &'static str,
    pub(crate) application: TestApplication,
    pub(crate) response_mode: ResponseMode,
    pub(crate) iss: IssPolicy,
    pub(crate) issuer_parameter: IssuerParameter,
    /// Instead of the server's own, for the provider `example`.
    pub(crate) authorization_endpoint: Option<String>,
    /// Whether the providers are asked whose account it is, so that a user may have several.
    pub(crate) asks_for_account: bool,
    /// Where one signs in to the application, if the routes are told.
    pub(crate) sign_in_at: Option<&'static str>,
}

impl Setup {
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::over(Stores::new(kind).await)
    }

    pub(crate) fn over(stores: Stores) -> Self {
        Self {
            stores,
            public: Public::Https,
            base: "/auth",
            application: TestApplication::default(),
            response_mode: ResponseMode::Query,
            iss: IssPolicy::Required,
            issuer_parameter: IssuerParameter::Advertised,
            authorization_endpoint: None,
            asks_for_account: false,
            sign_in_at: None,
        }
    }

    pub(crate) fn form_post(mut self) -> Self {
        self.response_mode = ResponseMode::FormPost;
        self
    }

    pub(crate) fn asking_for_account(mut self) -> Self {
        self.asks_for_account = true;
        self
    }

    pub(crate) fn on_loopback(mut self) -> Self {
        self.public = Public::Loopback;
        self
    }

    pub(crate) fn offering_sign_in(mut self) -> Self {
        self.application = self.application.offering_sign_in();
        self
    }

    pub(crate) async fn start<F: Framework>(self) -> World<F> {
        World::start(self).await
    }
}

/// An application that runs, and what is around it. Everything ends with it.
pub(crate) struct World<F> {
    pub(crate) example: Arc<AuthorizationServer>,
    pub(crate) other: Arc<AuthorizationServer>,
    pub(crate) application: TestApplication,
    pub(crate) accounts: Accounts,
    pub(crate) clock: ManualClock,
    pub(crate) origin: String,
    pub(crate) base: &'static str,
    pub(crate) response_mode: ResponseMode,
    pub(crate) address: SocketAddr,
    stores: Stores,
    _running: Running,
    framework: PhantomData<F>,
}

fn user_of(name: &str) -> User {
    match name.split_once('/') {
        Some((tenant, id)) => User::new(tenant, id),
        None => User::new("acme", name),
    }
}

impl<F: Framework> World<F> {
    pub(crate) async fn new(kind: Kind) -> Self {
        Setup::new(kind).await.start().await
    }

    async fn start(setup: Setup) -> Self {
        let clock = ManualClock::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let origin = match setup.public {
            Public::Https => "https://app.example".to_owned(),
            Public::Loopback => format!("http://{address}"),
        };
        let example = server(&origin, setup.base, EXAMPLE, &setup, &clock).await;
        let other = server(&origin, setup.base, OTHER, &setup, &clock).await;
        let connections = connections(&origin, &setup, &clock, [&example, &other]);
        let accounts =
            Accounts::builder(connections, &format!("{origin}{}", setup.base), setup.application.clone())
                .provider_name(EXAMPLE, "Example")
                .provider_name(OTHER, "Other");
        let accounts = match setup.sign_in_at {
            Some(path) => accounts.sign_in_at(path).build().unwrap(),
            None => accounts.build().unwrap(),
        };
        let running = F::serve(listener, accounts.clone(), example.resource_url());
        Self {
            example,
            other,
            application: setup.application,
            accounts,
            clock,
            origin,
            base: setup.base,
            response_mode: setup.response_mode,
            address,
            stores: setup.stores,
            _running: running,
            framework: PhantomData,
        }
    }

    /// Another instance of the same application, in any framework, behind the same name and over the same stores: its address.
    pub(crate) fn another_instance<G: Framework>(&self) -> (SocketAddr, Running) {
        let mut setup = Setup::over(self.stores.clone());
        setup.base = self.base;
        setup.response_mode = self.response_mode;
        self.instance_over::<G>(&setup)
    }

    /// The same over stores of its own.
    pub(crate) fn instance_over<G: Framework>(&self, setup: &Setup) -> (SocketAddr, Running) {
        let connections = connections(&self.origin, setup, &self.clock, [&self.example, &self.other]);
        let public_url = format!("{}{}", self.origin, self.base);
        let accounts = Accounts::builder(connections, &public_url, self.application.clone()).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (address, G::serve(listener, accounts, self.example.resource_url()))
    }

    /// A browser in which nobody is signed in.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.origin, self.address)
    }

    /// A browser in which `name` is signed in: a user of the tenant `acme`, or `tenant/user`.
    pub(crate) fn browser_of(&self, name: &str) -> Browser {
        let browser = self.browser();
        self.sign_in(&browser, name);
        browser
    }

    /// Signs a user in: the session's cookie, with `SameSite=Lax`.
    pub(crate) fn sign_in(&self, browser: &Browser, name: &str) {
        let session = self.application.session(Some(&user_of(name)));
        browser.plant(SESSION, &session, SameSite::Lax);
    }

    /// The same with `SameSite=Strict`.
    pub(crate) fn sign_in_strictly(&self, browser: &Browser, name: &str) {
        let session = self.application.session(Some(&user_of(name)));
        browser.plant(SESSION, &session, SameSite::Strict);
    }

    pub(crate) fn path(&self, provider: &str, what: &str) -> String {
        format!("{}/{provider}/{what}", self.base)
    }

    pub(crate) fn server(&self, provider: &str) -> &AuthorizationServer {
        if provider == EXAMPLE { &self.example } else { &self.other }
    }

    /// Presses *Connect*: the authorization URL.
    #[track_caller]
    pub(crate) fn begin<'a>(
        &'a self,
        browser: &'a Browser,
        return_to: Option<&'a str>,
    ) -> impl Future<Output = String> + 'a {
        self.begin_at(EXAMPLE, browser, return_to)
    }

    pub(crate) async fn begin_at(
        &self,
        provider: &str,
        browser: &Browser,
        return_to: Option<&str>,
    ) -> String {
        let path = self.accounts.connect_path(provider, return_to);
        let answer = browser.get(&path).send().await;
        let url = answer.location().to_owned();
        assert!(url.starts_with(self.server(provider).base_url()), "{url}");
        url
    }

    /// The user approves at the provider: path and query of the callback.
    pub(crate) async fn approve(&self, authorization_url: &str) -> String {
        let url = without_mode(authorization_url);
        self.local(&ScriptedUser::new().approve(&url).await.unwrap())
    }

    /// The user says no there.
    pub(crate) async fn deny(&self, authorization_url: &str) -> String {
        let url = without_mode(authorization_url);
        self.local(&ScriptedUser::new().deny(&url).await.unwrap())
    }

    fn local(&self, callback: &str) -> String {
        callback.strip_prefix(&self.origin).unwrap_or_else(|| panic!("not here: {callback}")).to_owned()
    }

    /// The browser is sent to the callback by the provider, in the mode that was asked for.
    pub(crate) async fn deliver(&self, browser: &Browser, callback: &str) -> Answer {
        if self.response_mode == ResponseMode::Query {
            return browser.get(callback).from(From::CrossSite).send().await;
        }
        let (path, query) = callback.split_once('?').unwrap();
        let form: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        browser.post(path, &form).from(From::CrossSite).send().await
    }

    /// Follows as a browser does: a 303 after a request of another site is of another site still, a page's own refresh or link is
    /// of the same origin. Ends at the first answer that leads away from the callback, or that is a page without a way on.
    pub(crate) async fn follow(&self, browser: &Browser, mut answer: Answer) -> Answer {
        let callback = format!("{}?resume=", self.path(EXAMPLE, "callback"));
        let mut from = From::CrossSite;
        for _ in 0..6 {
            let next = if answer.status == 303 {
                answer.location().to_owned()
            } else if let Some(target) = answer.refresh() {
                from = From::Refresh;
                target
            } else {
                return answer;
            };
            if !next.starts_with(&callback) {
                return answer;
            }
            answer = browser.get(&next).from(from).send().await;
        }
        panic!("it goes round and round: {answer:?}");
    }

    /// Opens a callback and goes on to the page that the flow was begun for, `/done`.
    pub(crate) async fn arrive(&self, browser: &Browser, callback: &str) {
        let answer = self.deliver(browser, callback).await;
        assert_eq!(self.follow(browser, answer).await.location(), "/done");
    }

    /// A flow until the callback is due.
    pub(crate) async fn until_callback(&self, browser: &Browser, return_to: Option<&str>) -> String {
        let url = self.begin(browser, return_to).await;
        self.approve(&url).await
    }

    /// A whole flow, which has to succeed.
    pub(crate) async fn connect(&self, browser: &Browser) {
        let callback = self.until_callback(browser, Some("/done")).await;
        self.arrive(browser, &callback).await;
    }

    /// How many token requests either provider got.
    pub(crate) fn token_requests(&self) -> usize {
        self.example.ledger().token_requests().len() + self.other.ledger().token_requests().len()
    }

    /// The healthy connections of a user: their provider ids.
    pub(crate) async fn connections_of(&self, name: &str) -> Vec<String> {
        let listing = self.accounts.connections().list(&user_of(name)).await.unwrap();
        let healthy = listing.connections.iter().filter(|one| matches!(one.health, Health::Good));
        healthy.map(|one| one.key.provider_id().to_owned()).collect()
    }

    /// A page of a callback that was not accepted: it says so, shows nothing of the response, and nothing was sent.
    pub(crate) fn assert_refused(&self, answer: &Answer, token_requests: usize) {
        answer.assert_page(400);
        assert_eq!(self.token_requests(), token_requests, "no code goes out");
    }
}

/// The testkit's server answers in the query; the tests turn that into the form that was asked for.
fn without_mode(url: &str) -> String {
    url.replace("&response_mode=form_post", "")
}

async fn server(
    origin: &str,
    base: &str,
    provider: &str,
    setup: &Setup,
    clock: &ManualClock,
) -> Arc<AuthorizationServer> {
    let clock = clock.clone();
    let client = Client::post(format!("client-{provider}"), "secret-of-the-client")
        .redirect_uri(format!("{origin}{base}/{provider}/callback"));
    let server = AuthorizationServer::builder()
        .client(client)
        .clock(move || clock.now())
        .consent(Consent::Ask)
        .issuer_parameter(setup.issuer_parameter)
        .start();
    Arc::new(server.await.unwrap())
}
