//! What the web examples have in common, and what is not about the web: providers, and the people of the application.

#![allow(dead_code, reason = "each example uses its part")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example tells what it does")]

mod people;
pub(crate) mod sessions;

use std::fmt::Display;
use std::net::TcpListener;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use authflow::quirks::ResponseFormat;
use authflow::web::{Accounts, BoxError};
use authflow::{
    Call, ClientCredentials, ConfiguredProvider, Connections, Error, FlowManager, HttpClient, HttpRequest,
    KnownProvider, Limits, MemoryStateStore, MemoryTokenStore, Provider, ProviderDefinition, StateStore,
    TokenSet, User, async_trait, rfc, url::Url,
};
use authflow_testkit::{AuthorizationServer, Client};
use serde::Deserialize;

pub(crate) use people::People;

/// The provider that the pages of the examples ask for.
pub(crate) struct Example;

impl KnownProvider for Example {
    const PROVIDER_ID: &'static str = "example";
}

/// Where the session keeps the id of who is signed in.
pub(crate) const USER: &str = "user";

/// No waiting helps where nothing has read the session: the answer is that of an application that made a mistake.
pub(crate) fn no_session() -> BoxError {
    Error::configuration("nobody has read the session: is its layer there?").into()
}

/// Tells an error and its causes, in a line. A real application has a log for this.
pub(crate) fn log(error: &(dyn std::error::Error + 'static)) {
    eprintln!("authflow: {}", with_causes(error));
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Why an example did not start, or stopped. Rust prints the `Debug` of what `main` returns, so that this is for people.
pub(crate) struct Failed(String);

impl std::fmt::Debug for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error + 'static> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(with_causes(&error))
    }
}

/// A setting of the environment, or what it is where it is not set.
fn setting<T: FromStr<Err: Display>>(name: &str, not_set: T) -> Result<T, Failed> {
    let Some(value) = std::env::var_os(name) else { return Ok(not_set) };
    let value = value.to_string_lossy();
    value.parse().map_err(|error| Failed(format!("{name} is `{value}`: {error}")))
}

static PROFILE_URL: OnceLock<String> = OnceLock::new();

/// What the pages ask the provider `example` for.
pub(crate) fn profile_url() -> &'static str {
    PROFILE_URL.get().map_or("", String::as_str)
}

/// What an application is given from outside.
pub(crate) struct Setup {
    pub(crate) listener: TcpListener,
    /// Where the routes of accounts are for browsers, and the redirect URIs below it.
    pub(crate) public_url: String,
    pub(crate) connections: Connections,
    /// Where no providers are named, they are here; they end with this.
    _servers: Vec<AuthorizationServer>,
}

/// One of `AUTHFLOW_EXAMPLE_PROVIDERS`: TOML, each provider a `[[registration]]`.
#[derive(Deserialize)]
struct Registration {
    client_id: String,
    client_secret: Option<String>,
    /// Where the provider tells, in the member `sub` of a JSON object, whose token it is given. Its origin is one of the
    /// provider's `api_origins`.
    account_url: String,
    provider: ProviderDefinition,
}

#[derive(Deserialize)]
struct Registrations {
    registration: Vec<Registration>,
}

/// Listens on `AUTHFLOW_EXAMPLE_PORT` of this machine, or on any free port.
fn listen() -> Result<TcpListener, Failed> {
    let port = setting("AUTHFLOW_EXAMPLE_PORT", 0)?;
    let listener = TcpListener::bind(("127.0.0.1", port))
        .map_err(|error| Failed(format!("port {port} of 127.0.0.1 cannot be listened on: {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// `AUTHFLOW_EXAMPLE_STATE_TTL`, in seconds: how long one may take at the provider. Ten minutes where it is not set.
fn state_ttl() -> Result<Duration, Failed> {
    setting("AUTHFLOW_EXAMPLE_STATE_TTL", 600).map(Duration::from_secs)
}

/// A port to listen on, which is printed, and connections with the providers of `AUTHFLOW_EXAMPLE_PROVIDERS`, or with two
/// authorization servers in this process: `example` and `another`.
pub(crate) async fn setup() -> Result<Setup, Failed> {
    let listener = listen()?;
    let address = format!("http://{}", listener.local_addr()?);
    let public_url = format!("{address}/auth");
    let (registrations, servers) = match std::env::var("AUTHFLOW_EXAMPLE_PROVIDERS") {
        Ok(text) => {
            let read = toml::from_str::<Registrations>(&text);
            let read = read.map_err(|error| Failed(format!("AUTHFLOW_EXAMPLE_PROVIDERS: {error}")))?;
            (read.registration, Vec::new())
        }
        Err(_) => start().await?,
    };
    let mut connections = Connections::builder().token_store(MemoryTokenStore::new());
    for Registration { client_id, client_secret, account_url, provider } in registrations {
        if provider.id == Example::PROVIDER_ID {
            let _ = PROFILE_URL.set(account_url.clone());
        }
        let credentials = match client_secret {
            Some(secret) => ClientCredentials::confidential(client_id, secret),
            None => ClientCredentials::public(client_id),
        };
        let credentials = credentials.redirect_uri(format!("{public_url}/{}/callback", provider.id));
        let provider = ConfiguredProvider::new(provider, credentials, MemoryStateStore::new())?;
        let provider = WithAccount(provider, account_url.parse()?);
        connections = connections.flow(authflow::flow(provider).state_ttl(state_ttl()?).build()?);
    }
    if PROFILE_URL.get().is_none() {
        return Err(Failed("AUTHFLOW_EXAMPLE_PROVIDERS has no provider with the id `example`".to_owned()));
    }
    println!("Listening on {address}");
    Ok(Setup { listener, public_url, connections: connections.build()?, _servers: servers })
}

async fn start() -> Result<(Vec<Registration>, Vec<AuthorizationServer>), Failed> {
    let mut registrations = Vec::new();
    let mut servers = Vec::new();
    for id in ["example", "another"] {
        let client =
            Client::public("web-example").redirect_uri(format!("http://127.0.0.1/auth/{id}/callback"));
        let server = AuthorizationServer::builder().client(client).start().await?;
        let provider = toml::from_str(&format!(
            "id = '{id}'
             default_scopes = ['profile', 'offline_access']
             [endpoints]
             issuer = '{server}'
             authorization_endpoint = '{server}/authorize'
             token_endpoint = '{server}/token'
             revocation_endpoint = '{server}/revoke'
             api_origins = ['{server}']",
            server = server.base_url()
        ))?;
        let (client_id, account_url) = ("web-example".to_owned(), server.resource_url());
        registrations.push(Registration { client_id, client_secret: None, account_url, provider });
        servers.push(server);
    }
    Ok((registrations, servers))
}

/// A provider that is asked whose account it is: its token response does not tell.
#[derive(Debug)]
struct WithAccount(ConfiguredProvider, Url);

#[async_trait]
impl FlowManager for WithAccount {
    fn provider(&self) -> &Provider {
        self.0.provider()
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.0.credentials()
    }

    fn state_store(&self) -> &dyn StateStore {
        self.0.state_store()
    }

    async fn after_exchange(
        &self,
        cx: &Call<'_>,
        http: &dyn HttpClient,
        tokens: &TokenSet,
    ) -> authflow::Result<Option<TokenSet>> {
        let mut request = HttpRequest::get(self.1.clone());
        self.authenticate(cx, tokens, &mut request)?;
        let response = http.send(request, &Limits::default()).await?;
        if !response.status.is_success() {
            let error = Error::invalid_response("the provider does not tell whose token it is");
            return Err(error.with_status(response.status));
        }
        let answer = rfc::parse_object(&response, ResponseFormat::Json)?;
        // Without a name it would be one account with all others that have none.
        let sub = answer.get("sub").and_then(|sub| sub.as_str()).filter(|sub| !sub.is_empty());
        let sub = sub.ok_or_else(|| Error::invalid_response("the provider names no account"))?;
        let mut tokens = tokens.clone();
        tokens.account = Some(sub.to_owned());
        Ok(Some(tokens))
    }
}

/// The one page of the application's own. No text of a stranger is in it, so that nothing has to be escaped.
pub(crate) fn page(accounts: &Accounts, user: Option<&User>, is_connected: bool) -> String {
    let connect = accounts.connect_path(Example::PROVIDER_ID, Some("/"));
    let body = match user {
        None => format!(r#"<p>Nobody is signed in.</p><p><a href="{connect}">Sign in with Example</a></p>"#),
        Some(user) => format!(
            r#"<p>You are <strong id="user">{}</strong>, and Example is {}connected.</p>
            <p><a href="/profile">My profile at Example</a> · <a href="/auth">Connected accounts</a></p>
            <form method="post" action="/sign-out"><button>Sign out</button></form>"#,
            user.id,
            if is_connected { "" } else { "not " }
        ),
    };
    format!(
        r#"<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Example application</title>
        <meta name="viewport" content="width=device-width"></head><body><main><h1>Example application</h1>{body}</main></body></html>"#
    )
}
