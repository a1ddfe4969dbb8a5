//! Random values from the operating system.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use rand::rngs::OsRng;

use crate::error::{Error, ErrorKind, Result};

/// Fills `bytes` from the operating system. There is no fallback: RFC 6749 §10.10 has no room for one.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    OsRng.try_fill_bytes(bytes).map_err(|source| {
        Error::new(ErrorKind::Randomness, "the operating system gave no random bytes").with_source(source)
    })
}

/// 32 bytes as the 43 characters of base64url without padding (RFC 7636 appendix A).
pub(crate) fn base64url(bytes: &[u8; 32]) -> String {
    let mut text = vec![0; 43];
    // 32 bytes are 43 characters of ASCII: neither can fail.
    let len = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).unwrap_or_default();
    text.truncate(len);
    String::from_utf8(text).unwrap_or_default()
}

/// A new value of 256 bits, as 43 characters of base64url.
pub(crate) fn token() -> Result<String> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    Ok(base64url(&bytes))
}
