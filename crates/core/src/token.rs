//! Token sets.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::scopes::Scopes;
use crate::secret::Secret;

/// A token response (RFC 6749 §5.1) with absolute times and the provider's extra fields.
///
/// Its `Debug` shows times, scopes and the names of the extra fields; no value.
#[derive(Clone)]
#[non_exhaustive]
pub struct TokenSet {
    /// The access token.
    pub access_token: Secret,
    /// The token type as the provider wrote it. How the token is sent is the provider's
    /// [`AccessTokenUsage`](crate::quirks::AccessTokenUsage), never this.
    pub token_type: Option<String>,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
    /// Until when the access token is good, as far as the provider said.
    pub expiry: Expiry,
    /// Until when the refresh token is good.
    pub refresh_expiry: Expiry,
    /// The scopes that were granted.
    pub scopes: Scopes,
    /// Whether the provider said nothing about scopes, so that [`scopes`](Self::scopes) are those asked for
    /// (RFC 6749 §5.1).
    pub scopes_assumed: bool,
    /// The id_token, unverified.
    pub id_token: Option<Secret>,
    /// The provider's name for the account, as far as it is known.
    pub account: Option<String>,
    /// The resources that were asked for (RFC 8707); a refresh asks for them again.
    pub resources: Vec<String>,
    /// The callback parameters that the provider's later endpoints depend on.
    pub callback: BTreeMap<String, String>,
    /// The members of the reply that the protocol does not know.
    pub extra: Map<String, Value>,
    /// When the reply came.
    pub received_at: SystemTime,
    /// What a newer release wrote of this token set and this one does not know; it is written again as it was.
    pub(crate) unread: Map<String, Value>,
}

/// Until when a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// Until this time.
    At(SystemTime),
    /// For ever, the provider says.
    Never,
    /// The provider did not say, or not so that it could be read. A 401 will tell.
    Unknown,
}

impl Expiry {
    /// Whether the token is known to be over at `now`, or within `margin` of it.
    #[must_use]
    pub fn is_over(&self, now: SystemTime, margin: Duration) -> bool {
        match self {
            Self::At(at) => crate::clock::saturating_add(now, margin) >= *at,
            Self::Never | Self::Unknown => false,
        }
    }
}

impl TokenSet {
    /// A token set with nothing but an access token.
    pub fn new(access_token: impl Into<Secret>, received_at: SystemTime) -> Self {
        Self {
            access_token: access_token.into(),
            token_type: None,
            refresh_token: None,
            expiry: Expiry::Unknown,
            refresh_expiry: Expiry::Unknown,
            scopes: Scopes::none(),
            scopes_assumed: false,
            id_token: None,
            account: None,
            resources: Vec::new(),
            callback: BTreeMap::new(),
            extra: Map::new(),
            received_at,
            unread: Map::new(),
        }
    }

    /// Whether the access token is known to be over at `now`.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expiry.is_over(now, Duration::ZERO)
    }

    /// An extra field that is a string.
    #[must_use]
    pub fn extra_str(&self, name: &str) -> Option<&str> {
        self.extra.get(name).and_then(Value::as_str)
    }
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("token_type", &self.token_type.as_deref().map(|text| crate::text::clean(text, 32)))
            .field("refresh_token", &self.refresh_token)
            .field("expiry", &self.expiry)
            .field("scopes", &self.scopes)
            .field("id_token", &self.id_token)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
