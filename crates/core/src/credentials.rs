//! What the provider knows our client by.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::text;

/// How the client proves who it is at the token endpoint (RFC 6749 §2.3). Never two ways in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// `client_secret_basic`: id and secret form-encoded, then `Authorization: Basic` (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// As `client_secret_basic`, but without the form encoding, for servers that decode nothing.
    ClientSecretBasicUnencoded,
    /// `client_secret_post`: `client_id` and `client_secret` in the body (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// A public client: `client_id` in the body, no secret (RFC 6749 §3.2.1).
    None,
    /// The secret as `Authorization: Bearer` (Stripe Connect).
    SecretBearer,
    /// The secret as the user name of `Authorization: Basic`, with an empty password (Stripe Apps).
    SecretBasicUsername,
    /// The access token that is revoked as `Authorization: Bearer`. For revocation only.
    AccessTokenBearer,
    /// Nothing is sent: neither secret nor `client_id`.
    Omitted,
}

impl ClientAuthentication {
    /// Whether it needs a client secret.
    #[must_use]
    pub const fn needs_secret(self) -> bool {
        match self {
            Self::ClientSecretBasic
            | Self::ClientSecretBasicUnencoded
            | Self::ClientSecretPost
            | Self::SecretBearer
            | Self::SecretBasicUsername => true,
            Self::None | Self::AccessTokenBearer | Self::Omitted => false,
        }
    }
}

/// One registration of ours at a provider: client id, client authentication, redirect URIs (RFC 6749 §2).
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    client_id: Arc<str>,
    client_secret: Option<Secret>,
    authentication: Option<ClientAuthentication>,
    redirect_uris: Vec<Arc<str>>,
}

impl ClientCredentials {
    /// A public client (RFC 6749 §2.1): no secret, PKCE alone protects the code.
    #[must_use]
    pub fn public(client_id: impl Into<Arc<str>>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: None,
            authentication: None,
            redirect_uris: Vec::new(),
        }
    }

    /// A confidential client (RFC 6749 §2.1).
    #[must_use]
    pub fn confidential(client_id: impl Into<Arc<str>>, client_secret: impl Into<Secret>) -> Self {
        Self { client_secret: Some(client_secret.into()), ..Self::public(client_id) }
    }

    /// Adds a registered redirect URI. The first one is used where `begin` names none.
    #[must_use]
    pub fn redirect_uri(mut self, redirect_uri: impl Into<Arc<str>>) -> Self {
        self.redirect_uris.push(redirect_uri.into());
        self
    }

    /// Says how the client authenticates, where the provider's own default does not fit the registration.
    #[must_use]
    pub const fn authenticated_by(mut self, authentication: ClientAuthentication) -> Self {
        self.authentication = Some(authentication);
        self
    }

    /// The client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The client secret.
    #[must_use]
    pub const fn client_secret(&self) -> Option<&Secret> {
        self.client_secret.as_ref()
    }

    /// Whether there is a secret.
    #[must_use]
    pub const fn is_confidential(&self) -> bool {
        self.client_secret.is_some()
    }

    /// How the client authenticates, where it was said.
    #[must_use]
    pub const fn authentication(&self) -> Option<ClientAuthentication> {
        self.authentication
    }

    /// The registered redirect URIs.
    pub fn redirect_uris(&self) -> impl Iterator<Item = &str> {
        self.redirect_uris.iter().map(|uri| &**uri)
    }

    /// `requested` if it is registered, or the first registered one.
    pub(crate) fn choose_redirect_uri(&self, requested: Option<&str>) -> Result<Arc<str>> {
        match requested {
            None => self.redirect_uris.first().cloned().ok_or_else(|| {
                Error::configuration(
                    "the client credentials have no redirect URI; add the one that is registered",
                )
            }),
            Some(requested) => {
                self.redirect_uris.iter().find(|uri| ***uri == *requested).cloned().ok_or_else(|| {
                    Error::usage(
                        "this redirect URI is not one of the client credentials'; add it where they are made",
                    )
                })
            }
        }
    }

    /// How the client authenticates, if its provider says `default`.
    pub(crate) fn authentication_or(&self, default: Option<ClientAuthentication>) -> ClientAuthentication {
        let fitting =
            |authentication: &ClientAuthentication| !authentication.needs_secret() || self.is_confidential();
        self.authentication.or(default).filter(fitting).unwrap_or(if self.is_confidential() {
            ClientAuthentication::ClientSecretBasic
        } else {
            ClientAuthentication::None
        })
    }

    /// Finds at build time what would fail at the first user.
    pub(crate) fn check(&self, opaque_redirect_uri: bool) -> Result<()> {
        if !text::is_vschar(&self.client_id) {
            return Err(Error::configuration(
                "the client id is empty or holds a character outside printable ASCII",
            ));
        }
        if self.client_secret.as_ref().is_some_and(Secret::is_empty) {
            return Err(Error::configuration(
                "the client secret is empty; a client without one is ClientCredentials::public",
            ));
        }
        if self.authentication.is_some_and(ClientAuthentication::needs_secret) && self.client_secret.is_none()
        {
            return Err(Error::configuration("this client authentication needs a client secret"));
        }
        if self.authentication == Some(ClientAuthentication::AccessTokenBearer) {
            return Err(Error::configuration(
                "an access token authenticates a revocation only, not the client",
            ));
        }
        if opaque_redirect_uri {
            return Ok(());
        }
        self.redirect_uris().try_for_each(check_redirect_uri)
    }
}

/// RFC 6749 §3.1.2: absolute, without a fragment; https, http to this machine, or a scheme of the application's own
/// (RFC 8252 §7).
fn check_redirect_uri(redirect_uri: &str) -> Result<()> {
    let parsed = url::Url::parse(redirect_uri).map_err(|source| {
        Error::configuration(
            "a redirect URI is not an absolute URI, such as `https://app.example/callback` (RFC 6749 §3.1.2)",
        )
        .with_source(source)
    })?;
    if parsed.fragment().is_some() {
        return Err(Error::configuration("a redirect URI must have no fragment (RFC 6749 §3.1.2)"));
    }
    let allowed = match parsed.scheme() {
        "http" => crate::http_client::is_secure(&parsed) || parsed.host_str() == Some("localhost"),
        "javascript" | "data" | "file" | "blob" | "about" | "vbscript" => false,
        _ => true,
    };
    if !allowed {
        // As much of it as tells which: what stands in the rest is nobody's business.
        let which = match parsed.scheme() {
            "http" => parsed.origin().ascii_serialization(),
            scheme => format!("{scheme}:"),
        };
        return Err(Error::configuration(format!(
            "a redirect URI must be https, http to this machine, or of a scheme of the application's own (RFC 8252 §7), and \
             `{which}` is none of these"
        )));
    }
    Ok(())
}
