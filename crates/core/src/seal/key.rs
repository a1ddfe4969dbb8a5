//! One key.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::random;
use crate::secret::Secret;

const LENGTH: usize = 32;

/// How many bytes of a key's digest a sealed record carries.
pub(super) const CHECK_LENGTH: usize = 8;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, ANY_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);

/// A key of 256 bits that seals and opens. Its `Debug` shows nothing of it, and its memory is wiped when the last clone goes.
///
/// It must be random: 32 bytes that a generator made, never a password. `openssl rand -base64 32` prints one.
#[derive(Clone)]
pub struct Key(Arc<Inner>);

struct Inner {
    bytes: Zeroizing<[u8; LENGTH]>,
    check: [u8; CHECK_LENGTH],
}

impl Key {
    /// A new key from the operating system.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness).
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        random::fill_from_system(&mut *bytes)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// The key of these bytes. The caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(b"authflow key check 1").chain_update(bytes).finalize();
        let check = digest.first_chunk().copied().unwrap_or_default();
        Self(Arc::new(Inner { bytes: Zeroizing::new(*bytes), check }))
    }

    /// Reads 32 bytes as base64 (either alphabet, with or without padding) or as 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for anything else, and for 32 times the same byte,
    /// which is a placeholder. The error holds nothing of the text.
    pub fn parse(text: &str) -> Result<Self> {
        let bytes = decode(text.trim()).ok_or_else(|| {
            Error::configuration(
                "a sealing key is 32 random bytes in base64 or hexadecimal; `openssl rand -base64 32` prints one",
            )
        })?;
        if bytes.iter().all(|byte| bytes.first() == Some(byte)) {
            return Err(Error::configuration(
                "a sealing key of 32 equal bytes is a placeholder; `openssl rand -base64 32` prints a random one",
            ));
        }
        Ok(Self::from_bytes(&bytes))
    }

    /// The key as base64, for the place that keeps it.
    #[must_use]
    pub fn to_base64(&self) -> Secret {
        Secret::new(BASE64.encode(&self.0.bytes[..]))
    }

    /// Whether the two are the same key, in constant time.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.bytes.ct_eq(&*other.0.bytes).into()
    }

    pub(super) fn expose(&self) -> &[u8; LENGTH] {
        &self.0.bytes
    }

    /// Part of a digest of the key: tells keys apart, and tells nothing of a key that is random.
    pub(super) fn check(&self) -> &[u8; CHECK_LENGTH] {
        &self.0.check
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

fn decode(text: &str) -> Option<Zeroizing<[u8; LENGTH]>> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    if text.len() == 2 * LENGTH {
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        return Some(bytes);
    }
    // The decoder asks for room for whole groups of three.
    let mut room = Zeroizing::new([0; LENGTH + 1]);
    let engine = if text.contains(['-', '_']) { BASE64_URL } else { BASE64 };
    if engine.decode_slice(text, &mut *room).ok()? != LENGTH {
        return None;
    }
    bytes.copy_from_slice(room.first_chunk::<LENGTH>()?);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const BYTES: [u8; 32] = {
        let mut bytes = [0xfb; 32];
        bytes[31] = 7;
        bytes
    };

    #[test]
    fn base64_and_hex_are_read() {
        let standard = BASE64.encode(BYTES);
        let url = BASE64_URL.encode(BYTES);
        assert_ne!(standard, url);
        let hex: String = BYTES.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            &standard,
            &url,
            standard.trim_end_matches('='),
            url.trim_end_matches('='),
            &hex,
            &hex.to_uppercase(),
            &format!(" {standard}\n"),
        ] {
            assert_eq!(Key::parse(text).unwrap().expose(), &BYTES, "{text}");
        }
        assert_eq!(Key::from_bytes(&BYTES).to_base64().expose(), standard);
    }

    #[test]
    fn z25_anything_else_is_refused_and_not_repeated() {
        let standard = BASE64.encode(BYTES);
        let zeros = BASE64.encode([0; 32]);
        let long = BASE64.encode([7; 33]);
        let short = BASE64.encode([7; 31]);
        let doubled = format!("{standard}{standard}");
        for text in [
            "",
            "hunter2",
            &zeros,
            &long,
            &short,
            &doubled,
            &"0".repeat(63),
            &"zz".repeat(32),
            &"é".repeat(32),
            &format!("{}*", &standard[..43]),
            &"00".repeat(32),
        ] {
            let error = Key::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(text.is_empty() || !format!("{error} {error:?}").contains(text), "{error:?}");
        }
    }

    #[test]
    fn h1_debug_does_not_print_the_key() {
        let key = Key::generate().unwrap();
        assert_eq!(format!("{key:?}"), "Key([redacted])");
        assert!(!key.ct_eq(&Key::generate().unwrap()));
        assert!(key.ct_eq(&key.clone()));
    }
}
