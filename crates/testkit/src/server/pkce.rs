//! PKCE as the server checks it (RFC 7636).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Plain,
    S256,
}

/// What the authorization request committed to.
#[derive(Clone)]
pub(super) struct Challenge {
    method: Method,
    value: String,
}

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method`; the text of an error says what is wrong.
    pub(super) fn read(
        challenge: Option<&str>,
        method: Option<&str>,
        plain_allowed: bool,
    ) -> Result<Option<Self>, &'static str> {
        let Some(value) = challenge else {
            return match method {
                None => Ok(None),
                Some(_) => Err("code_challenge_method was sent without code_challenge"),
            };
        };
        // RFC 7636 §4.3: without a method the challenge is plain.
        let method = match method.unwrap_or("plain") {
            "S256" => Method::S256,
            "plain" if plain_allowed => Method::Plain,
            _ => return Err("code_challenge_method must be S256"),
        };
        let well_formed = match method {
            Method::S256 => value.len() == 43 && URL_SAFE_NO_PAD.decode(value).is_ok(),
            Method::Plain => is_verifier(value),
        };
        if !well_formed {
            return Err("code_challenge is malformed");
        }
        Ok(Some(Self { method, value: value.to_owned() }))
    }

    pub(super) fn accepts(&self, verifier: &str) -> bool {
        match self.method {
            Method::Plain => self.value == verifier,
            Method::S256 => self.value == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)),
        }
    }
}

/// 43 to 128 unreserved characters (RFC 7636 §4.1).
pub(super) fn is_verifier(value: &str) -> bool {
    (43..=128).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}
