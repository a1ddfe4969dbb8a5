//! PKCE (RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::quirks::{PkceEncoding, PkceMethod, PkcePolicy};

/// The most characters of a verifier, and so of a challenge (RFC 7636 §4.1).
const MAX: usize = 128;

/// A code challenge (RFC 7636 §4.2), as it goes into the authorization request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeChallenge {
    text: [u8; MAX],
    len: usize,
}

impl CodeChallenge {
    /// The challenge of `code_verifier` under `policy`.
    #[must_use]
    pub fn new(code_verifier: &str, policy: &PkcePolicy) -> Self {
        let mut text = [0; MAX];
        let len = match policy.method {
            PkceMethod::Plain => {
                let len = code_verifier.len().min(text.len());
                text[..len].copy_from_slice(&code_verifier.as_bytes()[..len]);
                len
            }
            PkceMethod::S256 => {
                let digest = Sha256::digest(code_verifier.as_bytes());
                match policy.encoding {
                    // 32 bytes are 43 characters, and the buffer has more: this cannot fail.
                    PkceEncoding::Base64url => URL_SAFE_NO_PAD.encode_slice(digest, &mut text).unwrap_or(0),
                    PkceEncoding::Hex => {
                        const DIGITS: &[u8; 16] = b"0123456789abcdef";
                        for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
                            pair[0] = DIGITS[usize::from(byte >> 4)];
                            pair[1] = DIGITS[usize::from(byte & 15)];
                        }
                        64
                    }
                }
            }
        };
        Self { text, len }
    }

    /// The challenge.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever written into it.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
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
        assert_eq!(CodeChallenge::new(VERIFIER, &plain).as_str(), VERIFIER);
    }
}
