//! The settings of a server, which do not change while it runs.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::client::Client;

/// Whose wire format the server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Personality {
    /// The RFCs': 6749, 6750, 7009, 7636, 8414, 9207.
    #[default]
    Rfc,
    /// Stack Exchange's: form or JSON token replies with `expires`, error objects, an API with the token in the
    /// query and compressed replies. No refresh tokens.
    StackExchange,
    /// Contentstack's: paths with an app uid, `location` in the callback, extra fields in token replies, and
    /// revocation in three steps.
    Contentstack,
}

impl Personality {
    /// The name, as a program would offer it: `rfc`, `stackexchange`, `contentstack`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::StackExchange => "stackexchange",
            Self::Contentstack => "contentstack",
        }
    }
}

/// What happens to a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// It stays valid; the reply does not repeat it (RFC 6749 §6).
    None,
    /// It stays valid, and the reply repeats it.
    Repeat,
    /// It is replaced. Using a replaced one again revokes all tokens of the grant (RFC 9700 §4.14.2), except
    /// within the grace time after its first use and as long as its replacement was not used.
    Rotate {
        /// How long a replaced token is still accepted; none for not at all.
        grace: Option<Duration>,
    },
}

/// What the server does about the `iss` parameter of RFC 9207.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerParameter {
    /// Sends it, and says so in the metadata.
    Advertised,
    /// Sends it without saying so.
    Unadvertised,
    /// Does not send it, and does not say so.
    Omitted,
    /// Says so in the metadata, and sends another issuer's.
    Wrong,
}

/// Who decides about an authorization request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consent {
    /// The user, on the consent page.
    #[default]
    Ask,
    /// Approved without a page.
    Approve,
    /// Denied without a page.
    Deny,
}

pub(super) type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) personality: Personality,
    /// Scheme and authority, without a slash at the end; also the issuer.
    pub(super) base_url: String,
    /// All of them, the default ones first.
    pub(super) clients: Vec<Client>,
    pub(super) default_clients: [Client; 3],
    pub(super) scopes: Vec<String>,
    pub(super) code_lifetime: Duration,
    pub(super) access_token_lifetime: Duration,
    pub(super) refresh_token_lifetime: Option<Duration>,
    pub(super) rotation: Rotation,
    pub(super) issuer_parameter: IssuerParameter,
    pub(super) consent: Consent,
    pub(super) plain_pkce: bool,
    pub(super) now: Now,
    pub(super) location: String,
    pub(super) organization_uid: String,
    pub(super) stack_api_key: String,
}

impl Config {
    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id() == id)
    }

    pub(super) fn client_of_app(&self, app_uid: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.registered_app_uid() == app_uid)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// The scope of a request that names none (RFC 6749 §3.3); Stack Exchange then grants none.
    pub(super) fn default_scope(&self) -> Vec<String> {
        match self.personality {
            Personality::StackExchange => Vec::new(),
            Personality::Rfc | Personality::Contentstack => {
                self.scopes.first().cloned().into_iter().collect()
            }
        }
    }

    pub(super) fn issues_refresh_tokens(&self) -> bool {
        self.personality != Personality::StackExchange
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("personality", &self.personality)
            .field("base_url", &self.base_url)
            .field("clients", &self.clients)
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}
