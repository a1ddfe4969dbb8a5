//! The example applications, as the programs that they are, and the providers that they are given.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use authflow_testkit::{AuthorizationServer, Client};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::page::Page;

/// The link on the application's own page that leads to the provider `example`.
pub(crate) const SIGN_IN: &str = "Sign in with Example";

/// Which example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Axum,
    Actix,
}

impl Which {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
        }
    }

    fn program(self) -> PathBuf {
        built(&format!("examples/{}", self.name()), &format!("--example {}", self.name()))
    }
}

/// A program that cargo builds with all tests, beside them.
pub(crate) fn built(name: &str, arguments: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join(name);
    let how = format!("run `cargo build {arguments}`; a whole `cargo test` does it");
    let built = changed(&program).unwrap_or_else(|| panic!("{} is not built: {how}", program.display()));
    // Cargo writes beside it what it was built of, the crates of this workspace included.
    let sources = std::fs::read_to_string(program.with_extension("d")).unwrap();
    for source in sources_of(&sources) {
        assert!(
            changed(&source).is_some_and(|changed| changed <= built),
            "{} has changed since {} was built: {how}",
            source.display(),
            program.display()
        );
    }
    program
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|about| about.modified()).ok()
}

/// The right side of the one rule of a `Makefile`, in which a space of a path stands behind a backslash.
fn sources_of(rule: &str) -> Vec<PathBuf> {
    let (_, sources) = rule.trim_end().split_once(": ").expect("what it was built of");
    sources.replace("\\ ", "\0").split(' ').map(|source| source.replace('\0', " ").into()).collect()
}

/// A registration of the application at a provider: one `[[registration]]` of what the examples read.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) id: &'static str,
    pub(crate) client_id: String,
    pub(crate) scopes: &'static str,
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) revocation_endpoint: String,
    /// What tells whose account it is.
    pub(crate) account_url: String,
    pub(crate) form_post: bool,
}

impl Registration {
    pub(crate) fn at(id: &'static str, server: &AuthorizationServer) -> Self {
        Self {
            id,
            client_id: "web-example".to_owned(),
            scopes: "'profile', 'offline_access'",
            issuer: server.issuer().to_owned(),
            authorization_endpoint: server.authorization_endpoint(),
            token_endpoint: server.token_endpoint(),
            revocation_endpoint: server.revocation_endpoint(),
            account_url: server.resource_url(),
            form_post: false,
        }
    }

    fn to_toml(&self) -> String {
        let mode = if self.form_post { "form_post" } else { "query" };
        format!(
            "[[registration]]
             client_id = '{}'
             account_url = '{}'
             [registration.provider]
             id = '{}'
             default_scopes = [{}]
             [registration.provider.endpoints]
             issuer = '{}'
             authorization_endpoint = '{}'
             token_endpoint = '{}'
             revocation_endpoint = '{}'
             api_origins = ['{}']
             [registration.provider.quirks.authorization_response]
             response_mode = '{mode}'\n",
            self.client_id,
            self.account_url,
            self.id,
            self.scopes,
            self.issuer,
            self.authorization_endpoint,
            self.token_endpoint,
            self.revocation_endpoint,
            url::Url::parse(&self.account_url).unwrap().origin().ascii_serialization(),
        )
        .replace("\n             ", "\n")
    }
}

/// The testkit's server, which knows the examples as a client.
pub(crate) async fn server(id: &str) -> AuthorizationServer {
    let redirect_uri = format!("http://127.0.0.1/auth/{id}/callback");
    let client = Client::public("web-example").name("The example application").redirect_uri(redirect_uri);
    AuthorizationServer::builder().client(client).subject("ada").start().await.unwrap()
}

/// A running example. It ends with this value.
#[derive(Debug)]
pub(crate) struct Example {
    _process: Child,
    /// Scheme, host and port.
    pub(crate) address: String,
}

impl Example {
    pub(crate) async fn start(which: Which, registrations: &[Registration]) -> Self {
        let providers: String = registrations.iter().map(Registration::to_toml).collect();
        let mut process = Command::new(which.program())
            .env("AUTHFLOW_EXAMPLE_PROVIDERS", providers)
            .env_remove("AUTHFLOW_EXAMPLE_PORT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let address = told(process.stdout.take().unwrap(), "Listening on ").await;
        let address = address.unwrap_or_else(|| panic!("the example {} did not start", which.name()));
        Self { _process: process, address }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Somebody goes from the application's own page to the provider's.
    pub(crate) async fn begin(&self, page: &Page) {
        page.goto(&self.url("/")).await;
        page.follow(SIGN_IN).await;
    }

    /// Somebody signs in, and is back on the application's own page.
    pub(crate) async fn sign_in(&self, page: &Page) {
        self.begin(page).await;
        page.approve().await;
        self.is_signed_in(page).await;
    }

    /// Waits for the application's own page, which says that the provider is connected.
    pub(crate) async fn is_signed_in(&self, page: &Page) {
        page.arrives_at(&self.url("/")).await;
        let text = page.text().await;
        assert!(text.contains("Example is connected"), "{text}");
    }
}

/// What a program says behind these words, once it does. What it says afterwards is read as well, so that it never waits.
pub(crate) async fn told(by: impl AsyncRead + Unpin + Send + 'static, words: &str) -> Option<String> {
    let mut lines = BufReader::new(by).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, told)) = line.split_once(words) {
            let told = told.trim().to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some(told);
        }
    }
    None
}

/// An example with the providers `example` and `another`, both of the testkit.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) app: Example,
    pub(crate) example: AuthorizationServer,
    pub(crate) another: AuthorizationServer,
}

impl Stage {
    pub(crate) async fn new(which: Which) -> Self {
        let (example, another) = (server("example").await, server("another").await);
        let registrations = [Registration::at("example", &example), Registration::at("another", &another)];
        let app = Example::start(which, &registrations).await;
        Self { app, example, another }
    }

    pub(crate) fn token_requests(&self) -> usize {
        self.example.ledger().token_requests().len() + self.another.ledger().token_requests().len()
    }

    /// The callback of the provider's last answer, as the browser was sent to it.
    pub(crate) fn last_callback(&self) -> String {
        let entries = self.example.ledger().entries();
        let code = entries.iter().rev().find_map(|entry| entry.code()).expect("a code went out");
        let state = entries.iter().rev().find_map(|entry| entry.query_value("state")).unwrap();
        let mut url = url::Url::parse(&self.app.url("/auth/example/callback")).unwrap();
        url.query_pairs_mut()
            .append_pair("code", code)
            .append_pair("state", state)
            .append_pair("iss", self.example.issuer());
        url.into()
    }
}
