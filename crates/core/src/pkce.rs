//! PKCE (RFC 7636).

use std::fmt;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::quirks::{PkceEncoding, PkceMethod, PkcePolicy};
use crate::random;

/// A code challenge (RFC 7636 §4.2), as it goes into the authorization request.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeChallenge(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// What nearly every provider wants, without memory of its own.
    Base64url(random::Text),
    Other(String),
}

impl CodeChallenge {
    /// The challenge of `code_verifier` under `policy`.
    #[must_use]
    pub fn new(code_verifier: &str, policy: &PkcePolicy) -> Self {
        let digest = || -> [u8; 32] { Sha256::digest(code_verifier.as_bytes()).into() };
        Self(match (policy.method, policy.encoding) {
            (PkceMethod::Plain, _) => Form::Other(code_verifier.to_owned()),
            (PkceMethod::S256, PkceEncoding::Base64url) => Form::Base64url(random::Text::new(&digest())),
            (PkceMethod::S256, PkceEncoding::Hex) => {
                Form::Other(digest().iter().fold(String::with_capacity(64), |mut text, byte| {
                    // A string takes whatever is written.
                    let _ = write!(text, "{byte:02x}");
                    text
                }))
            }
        })
    }

    /// The challenge as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Form::Base64url(text) => text.as_str(),
            Form::Other(text) => text,
        }
    }

    /// The same without looking whether it is text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Base64url(text) => text.as_bytes(),
            Form::Other(text) => text.as_bytes(),
        }
    }
}

/// Shows nothing of one that may be the verifier itself (RFC 7636 §4.2, `plain`).
impl fmt::Debug for CodeChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match &self.0 {
            Form::Base64url(text) => text.as_str(),
            Form::Other(_) => "[redacted]",
        };
        f.debug_tuple("CodeChallenge").field(&shown).finish()
    }
}

/// The value of `code_challenge_method` (RFC 7636 §4.3). It is always sent: its default would be `plain`.
pub(crate) fn method_value(policy: &PkcePolicy) -> &str {
    policy.method_value.as_deref().unwrap_or(match policy.method {
        PkceMethod::S256 => "S256",
        PkceMethod::Plain => "plain",
    })
}

#[cfg(test)]
mod tests {
    use super::CodeChallenge;
    use crate::quirks::{PkceEncoding, PkceMethod, PkcePolicy};

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn the_vector_of_rfc_7636_appendix_b() {
        let challenge = CodeChallenge::new(VERIFIER, &PkcePolicy::default());
        assert_eq!(challenge.as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn other_writings() {
        let hex = PkcePolicy { encoding: PkceEncoding::Hex, ..PkcePolicy::default() };
        assert_eq!(
            CodeChallenge::new(VERIFIER, &hex).as_str(),
            "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3"
        );
        let plain = PkcePolicy { method: PkceMethod::Plain, ..PkcePolicy::default() };
        let challenge = CodeChallenge::new(VERIFIER, &plain);
        assert_eq!(challenge.as_str(), VERIFIER);
        assert_eq!(format!("{challenge:?}"), "CodeChallenge(\"[redacted]\")", "h1: it is the verifier");
    }
}
