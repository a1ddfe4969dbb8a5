//! The clients that the server knows.

use std::fmt;

/// How a client authenticates at the token endpoint (RFC 6749 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// `none`: a public client that only names itself.
    None,
    /// `client_secret_basic`, with the form encoding of RFC 6749 §2.3.1.
    Basic,
    /// `client_secret_basic` as servers do it that skip the form encoding.
    BasicUnencoded,
    /// `client_secret_post`: the secret in the request's body.
    Post,
}

impl ClientAuthentication {
    /// The name in `token_endpoint_auth_method` (RFC 7591 §2).
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic | Self::BasicUnencoded => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }
}

/// Whether a client must use PKCE (RFC 7636). A challenge that was sent is always checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkce {
    /// An authorization request without a challenge is refused.
    Required,
    /// A challenge may be left out.
    Optional,
}

/// A registered client. Its `Debug` hides the secret.
#[derive(Clone)]
pub struct Client {
    id: String,
    secret: Option<String>,
    authentication: ClientAuthentication,
    redirect_uris: Vec<String>,
    pkce: Pkce,
    name: String,
    scopes: Option<Vec<String>>,
    key: String,
    app_uid: String,
}

impl Client {
    /// A public client: no secret, PKCE required.
    pub fn public(id: impl Into<String>) -> Self {
        Self::new(id.into(), None, ClientAuthentication::None, Pkce::Required)
    }

    /// A confidential client that uses `client_secret_basic`; PKCE is optional.
    pub fn basic(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Some(secret.into()), ClientAuthentication::Basic, Pkce::Optional)
    }

    /// Like [`Client::basic`], for a server that does not form-decode what it reads.
    pub fn basic_unencoded(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Some(secret.into()), ClientAuthentication::BasicUnencoded, Pkce::Optional)
    }

    /// A confidential client that uses `client_secret_post`; PKCE is optional.
    pub fn post(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Some(secret.into()), ClientAuthentication::Post, Pkce::Optional)
    }

    fn new(id: String, secret: Option<String>, authentication: ClientAuthentication, pkce: Pkce) -> Self {
        Self {
            name: format!("Example application {id}"),
            key: format!("test*key{id}(("),
            app_uid: format!("app{id}"),
            id,
            secret,
            authentication,
            redirect_uris: Vec::new(),
            pkce,
            scopes: None,
        }
    }

    /// Registers one more redirect URI. A loopback address (`http://127.0.0.1/…`, `http://[::1]/…`) stands
    /// for any port (RFC 8252 §7.3).
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// The name that the consent page shows.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether PKCE is required.
    #[must_use]
    pub fn pkce(mut self, pkce: Pkce) -> Self {
        self.pkce = pkce;
        self
    }

    /// The scopes this client may ask for; without this call, all of the server's.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// The `key` that goes with API requests of this client, for [`Personality::StackExchange`](super::Personality).
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// The app uid in the paths, for [`Personality::Contentstack`](super::Personality).
    #[must_use]
    pub fn app_uid(mut self, app_uid: impl Into<String>) -> Self {
        self.app_uid = app_uid.into();
        self
    }

    /// The client identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The client secret; none for a public client.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// How the client authenticates.
    pub fn authentication(&self) -> ClientAuthentication {
        self.authentication
    }

    /// The registered redirect URIs, in the order of registration.
    pub fn registered_redirect_uris(&self) -> &[String] {
        &self.redirect_uris
    }

    /// The name that the consent page shows.
    pub fn display_name(&self) -> &str {
        &self.name
    }

    /// The key of [`Client::key`].
    pub fn api_key(&self) -> &str {
        &self.key
    }

    /// The app uid of [`Client::app_uid`].
    pub fn registered_app_uid(&self) -> &str {
        &self.app_uid
    }

    pub(super) fn pkce_policy(&self) -> Pkce {
        self.pkce
    }

    pub(super) fn may_ask_for(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|own| own == scope))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("authentication", &self.authentication)
            .field("redirect_uris", &self.redirect_uris)
            .finish_non_exhaustive()
    }
}
