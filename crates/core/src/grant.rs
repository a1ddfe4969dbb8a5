//! What is exchanged at the token endpoint.

use std::sync::Arc;

use crate::secret::Secret;

/// A grant (RFC 6749 §1.3): what is exchanged at the token endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Grant {
    /// The authorization code (RFC 6749 §4.1.3).
    AuthorizationCode {
        /// The code.
        code: Secret,
        /// The PKCE verifier, if the authorization request had a challenge (RFC 7636 §4.5).
        code_verifier: Option<Secret>,
        /// The redirect URI of the authorization request.
        redirect_uri: Option<Arc<str>>,
    },
    /// The refresh token (RFC 6749 §6), or what the provider takes instead.
    RefreshToken {
        /// The token.
        refresh_token: Secret,
    },
    /// The client's own authority (RFC 6749 §4.4).
    ClientCredentials,
}

impl Grant {
    /// The RFC's value of `grant_type`.
    #[must_use]
    pub const fn grant_type(&self) -> &'static str {
        match self {
            Self::AuthorizationCode { .. } => "authorization_code",
            Self::RefreshToken { .. } => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }
}
