//! Sealing: what a token store keeps is encrypted and authenticated here, never by a backend.
//!
//! # The cipher
//!
//! XChaCha20-Poly1305 (RFC 8439 with the nonce of draft-irtf-cfrg-xchacha), of RustCrypto's `chacha20poly1305`. Each write
//! of each connection draws a nonce at random, on many machines that share one key and cannot share a counter. A nonce of
//! 192 bits allows that for ever: after 2^80 records under one key the odds that two have one are 2^-33. AES-GCM has 96
//! bits, and with random nonces its limit is 2^32 records under a key (NIST SP 800-38D §8.3): a service that refreshes a
//! million connections each hour is there in half a year, and what breaks then is the key. AES-GCM-SIV bears a nonce that
//! comes twice, but is slow where the processor has no instructions for AES, and costs one crate more. ChaCha20 is fast and
//! of constant time on every processor.
//!
//! # What is bound
//!
//! The [`SealContext`] is authenticated, not stored: a record that is moved to another user, provider, account, purpose or
//! incarnation does not open there. What this cannot see is an *older* record put back in its own place: against that stands
//! the version that the store compares.

mod bytes;
mod envelope;
mod file_keys;
mod key;
mod key_ring;
mod keys;
mod sources;

use std::fmt;

pub use self::bytes::SecretBytes;
pub(crate) use self::envelope::unknown_format;
pub use self::file_keys::FileKeys;
pub use self::key::Key;
pub use self::key_ring::KeyRing;
pub use self::keys::{Keys, KeysBuilder};
pub use self::sources::{EnvKeys, KeySource};

use self::envelope::FORMATS;
use crate::error::Result;

/// To what a sealed record belongs: its associated data.
///
/// A record opens only with the context that it was sealed with, each part byte by byte.
///
/// ```
/// use authflow_core::{KeyRing, SealContext};
///
/// let ring = KeyRing::generate()?;
/// let cx = SealContext {
///     tenant: "acme",
///     user: "user-42",
///     provider_id: "stackexchange",
///     incarnation: &[7; 16],
///     ..SealContext::new("connection")
/// };
/// let sealed = ring.seal(&cx, b"what the store must not read")?;
/// assert_eq!(ring.open(&cx, &sealed)?.bytes().expose(), b"what the store must not read");
///
/// let moved = SealContext { user: "user-43", ..cx };
/// assert!(ring.open(&moved, &sealed).is_err());
/// # Ok::<(), authflow_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SealContext<'a> {
    /// What the record is for. Two kinds of records have two purposes, so that one is never taken for the other.
    pub purpose: &'a str,
    /// The tenant; empty where there is one only.
    pub tenant: &'a str,
    /// The user; empty for what belongs to none.
    pub user: &'a str,
    /// The provider id.
    pub provider_id: &'a str,
    /// The account at the provider; empty where it is not known.
    pub account: &'a str,
    /// What each connect draws anew, so that a record of an earlier connection does not open in its place.
    pub incarnation: &'a [u8],
}

impl<'a> SealContext<'a> {
    /// A context with a purpose, and nothing else.
    #[must_use]
    pub const fn new(purpose: &'a str) -> Self {
        Self { purpose, tenant: "", user: "", provider_id: "", account: "", incarnation: &[] }
    }
}

/// Shows the purpose and the provider id; who the user is, is no log's business.
impl fmt::Debug for SealContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealContext")
            .field("purpose", &self.purpose)
            .field("provider_id", &self.provider_id)
            .finish_non_exhaustive()
    }
}

/// A record that was opened.
#[derive(Debug)]
pub struct Opened {
    bytes: SecretBytes,
    needs_reseal: bool,
}

impl Opened {
    /// What was sealed.
    #[must_use]
    pub const fn bytes(&self) -> &SecretBytes {
        &self.bytes
    }

    /// What was sealed, to keep.
    #[must_use]
    pub fn into_bytes(self) -> SecretBytes {
        self.bytes
    }

    /// Whether the record was sealed with another key than the one that writes, or in an older format: it should be sealed
    /// again, now or at its next write.
    #[must_use]
    pub const fn needs_reseal(&self) -> bool {
        self.needs_reseal
    }
}

impl KeyRing {
    /// Seals `plaintext` with the writing key. Twice the same text gives two different records.
    ///
    /// The record is longer than the text by 50 bytes and the key id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Randomness`](crate::ErrorKind::Randomness); [`ErrorKind::Usage`](crate::ErrorKind::Usage) for a text of
    /// more than 256 GiB.
    pub fn seal(&self, cx: &SealContext<'_>, plaintext: &[u8]) -> Result<Vec<u8>> {
        FORMATS.seal(self, cx, plaintext)
    }

    /// Opens what [`seal`](Self::seal) made, with the key that it names.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::KeyUnknown`](crate::ErrorKind::KeyUnknown): the key is not in the ring. The error names its id.
    /// - [`ErrorKind::KeyWrong`](crate::ErrorKind::KeyWrong): the ring has another key under that id.
    /// - [`ErrorKind::FormatUnknown`](crate::ErrorKind::FormatUnknown): another release sealed it.
    /// - [`ErrorKind::StoreCorrupt`](crate::ErrorKind::StoreCorrupt): it is damaged or cut off, or belongs elsewhere. Which of
    ///   these it is cannot be told.
    ///
    /// None of them is a reason to delete or overwrite the record: all but the last one are mended by a configuration.
    pub fn open(&self, cx: &SealContext<'_>, sealed: &[u8]) -> Result<Opened> {
        FORMATS.open(self, cx, sealed)
    }

    /// Whether a record should be sealed again, read from its header without opening it: for a sweep, which so decrypts only
    /// what it will write. The header is authenticated when the record is opened, not here.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), but for the keys.
    pub fn needs_reseal(&self, sealed: &[u8]) -> Result<bool> {
        FORMATS.needs_reseal(self, sealed)
    }
}
