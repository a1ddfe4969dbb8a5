//! The example applications, as the programs that they are, and the providers that they are given.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use authflow_testkit::{AuthorizationServer, Client};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::node::OidcProvider;

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
    /// At the testkit's server.
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

    /// At npm's.
    pub(crate) fn at_oidc_provider(id: &'static str, provider: &OidcProvider) -> Self {
        let text = |pointer: &str| provider.text(pointer).to_owned();
        Self {
            id,
            client_id: text("/clients/public/client_id"),
            scopes: "'openid', 'offline_access'",
            issuer: text("/issuer"),
            authorization_endpoint: text("/authorization_endpoint"),
            token_endpoint: text("/token_endpoint"),
            revocation_endpoint: text("/revocation_endpoint"),
            account_url: text("/userinfo_endpoint"),
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
    /// With this many seconds for each flow, or as many as it takes by default.
    pub(crate) async fn start(which: Which, registrations: &[Registration], state_ttl: Option<u64>) -> Self {
        let providers: String = registrations.iter().map(Registration::to_toml).collect();
        let mut command = Command::new(which.program());
        command.env_remove("AUTHFLOW_EXAMPLE_PORT").env_remove("AUTHFLOW_EXAMPLE_STATE_TTL");
        if let Some(seconds) = state_ttl {
            command.env("AUTHFLOW_EXAMPLE_STATE_TTL", seconds.to_string());
        }
        let mut process = command
            .env("AUTHFLOW_EXAMPLE_PROVIDERS", providers)
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

#[test]
fn an_example_says_which_setting_is_wrong() {
    for which in [Which::Axum, Which::Actix] {
        let mut example = std::process::Command::new(which.program());
        let ended = example.env("AUTHFLOW_EXAMPLE_PORT", "abc").output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.starts_with("Error: AUTHFLOW_EXAMPLE_PORT is `abc`: "), "{said}");
    }
}
