//! What the web examples have in common, and what is not about the web: providers, and the people of the application.

#![allow(dead_code, reason = "each example uses its part")]
#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use authflow::quirks::ResponseFormat;
use authflow::{
    Call, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections, Error, FlowManager, HttpClient,
    HttpRequest, KnownProvider, Limits, MemoryStateStore, MemoryTokenStore, Provider, ProviderDefinition,
    StateStore, TokenSet, User, async_trait, rfc, url::Url,
};
use authflow_testkit::{AuthorizationServer, Client};
use serde::Deserialize;

/// The provider that the pages of the examples ask for.
pub(crate) struct Example;

impl KnownProvider for Example {
    const PROVIDER_ID: &'static str = "example";
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
fn listen() -> Result<TcpListener, Box<dyn std::error::Error>> {
    let port = std::env::var("AUTHFLOW_EXAMPLE_PORT").map_or(Ok(0), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A port to listen on, which is printed, and connections with the providers of `AUTHFLOW_EXAMPLE_PROVIDERS`, or with two
/// authorization servers in this process: `example` and `another`.
pub(crate) async fn setup() -> Result<Setup, Box<dyn std::error::Error>> {
    let listener = listen()?;
    let address = format!("http://{}", listener.local_addr()?);
    let public_url = format!("{address}/auth");
    let (registrations, servers) = match std::env::var("AUTHFLOW_EXAMPLE_PROVIDERS") {
        Ok(text) => (toml::from_str::<Registrations>(&text)?.registration, Vec::new()),
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
        connections = connections.flow(authflow::flow(WithAccount(provider, account_url.parse()?)).build()?);
    }
    if PROFILE_URL.get().is_none() {
        return Err("AUTHFLOW_EXAMPLE_PROVIDERS has no provider with the id `example`".into());
    }
    println!("Listening on {address}");
    Ok(Setup { listener, public_url, connections: connections.build()?, _servers: servers })
}

async fn start() -> Result<(Vec<Registration>, Vec<AuthorizationServer>), Box<dyn std::error::Error>> {
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

/// Who the application knows, by their accounts at the providers. A real one has a table for this.
#[derive(Default)]
pub(crate) struct People(Mutex<HashMap<(String, String), User>>);

impl People {
    /// The person who signs in with an account: whoever has linked it, or somebody new.
    pub(crate) fn find_or_make(
        &self,
        provider_id: &str,
        account: Option<&str>,
    ) -> Result<User, &'static str> {
        let account = account.ok_or("the provider did not say whose account it is")?;
        let mut people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = User::new("", format!("person-{}", people.len() + 1));
        Ok(people.entry((provider_id.to_owned(), account.to_owned())).or_insert(new).clone())
    }

    /// From now on this account signs its owner in.
    pub(crate) fn link(&self, key: &ConnectionKey) {
        if let Some(account) = key.account() {
            let mut people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let account = (key.provider_id().to_owned(), account.to_owned());
            people.entry(account).or_insert_with(|| key.user().clone());
        }
    }
}

/// The one page of the application's own. No text of a stranger is in it, so that nothing has to be escaped.
pub(crate) fn page(user: Option<&User>, connect: &str, is_connected: bool) -> String {
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
