//! The sealed record: what is around the ciphertext.
//!
//! Format 1: the format's number (one byte); the length of the key id (one byte) and the key id; 8 bytes that tell the key
//! from others of that id; the nonce (24 bytes); the ciphertext and its tag (16 bytes).
//!
//! What authenticates: the associated data holds everything before the nonce, and the [`SealContext`]. So not a bit of a
//! record can be changed, and no record opens where it was not sealed.
//!
//! # A new format
//!
//! Machines of two releases work on one store while a release is rolled out, and each must open what the other sealed. So a
//! format is read one release before it is written:
//!
//! | release | writes | reads |
//! |---|---|---|
//! | N - 1 | 1 | 1 |
//! | N | 1 | 1, 2 |
//! | N + 1 | 2 | 1, 2 |
//! | N + 2 | 2 | 2 |
//!
//! A record in an older format than the one that is written needs to be sealed again, as one of an older key does; a sweep
//! with release N + 1 has to be done before N + 2.

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, Tag, XChaCha20Poly1305, XNonce};

use super::bytes::SecretBytes;
use super::key::{CHECK_LENGTH, Key};
use super::key_ring::{KeyRing, is_id};
use super::{Opened, SealContext};
use crate::error::{Error, ErrorKind, Result};
use crate::random;

const NONCE_LENGTH: usize = 24;
const TAG_LENGTH: usize = 16;

/// What a release of this crate writes and reads.
pub(super) struct Formats<'f> {
    pub(super) writes: &'f Format,
    pub(super) reads: &'f [Format],
}

/// How a header is laid out after the format's number.
pub(super) struct Format {
    pub(super) number: u8,
    pub(super) write: fn(&Header<'_>, &mut Vec<u8>),
    pub(super) read: for<'a> fn(&mut &'a [u8]) -> Option<Header<'a>>,
}

pub(super) struct Header<'a> {
    pub(super) key_id: &'a str,
    pub(super) key_check: [u8; CHECK_LENGTH],
}

const FORMAT_1: Format = Format {
    number: 1,
    write: |header, out| {
        // An id is 1 to 32 bytes long: the ring sees to that.
        out.push(u8::try_from(header.key_id.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(header.key_id.as_bytes());
        out.extend_from_slice(&header.key_check);
    },
    read: |rest| {
        let [length] = *take(rest)?;
        let key_id = read_id(rest, length.into())?;
        Some(Header { key_id, key_check: *take(rest)? })
    },
};

pub(super) const FORMATS: Formats<'static> = Formats { writes: &FORMAT_1, reads: &[FORMAT_1] };

pub(super) fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(first)
}

pub(super) fn read_id<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a str> {
    let (id, after) = rest.split_at_checked(length)?;
    *rest = after;
    is_id(id).then(|| std::str::from_utf8(id).ok()).flatten()
}

/// A record whose header was read. Nothing of it is authenticated yet.
struct Envelope<'a> {
    format: u8,
    header: Header<'a>,
    /// The format's number and the header as they are written.
    written_header: &'a [u8],
    nonce: &'a [u8; NONCE_LENGTH],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LENGTH],
}

impl Formats<'_> {
    pub(super) fn seal(&self, ring: &KeyRing, cx: &SealContext<'_>, plaintext: &[u8]) -> Result<Vec<u8>> {
        let entry = ring.writing().ok_or_else(|| Error::configuration("the key ring is empty"))?;
        // Read from the system each time: a generator whose memory is copied, as with a snapshot of a virtual machine, would
        // give two records one nonce.
        let mut nonce = [0; NONCE_LENGTH];
        random::fill_from_system(&mut nonce)?;

        let mut out = Vec::with_capacity(128 + plaintext.len());
        out.push(self.writes.number);
        (self.writes.write)(&Header { key_id: &entry.id, key_check: *entry.key.check() }, &mut out);
        let associated_data = associated_data(&out, cx);
        out.extend_from_slice(&nonce);

        // Encrypted in a buffer of its own, so that no error leaves plaintext in what is returned.
        let mut buffer = SecretBytes::new(plaintext.to_vec());
        let tag = cipher(&entry.key)
            .encrypt_inout_detached(&XNonce::from(nonce), &associated_data, buffer.expose_mut().into())
            .map_err(|_| Error::usage("the record is too long to be sealed"))?;
        out.extend_from_slice(buffer.expose());
        out.extend_from_slice(&tag);
        Ok(out)
    }

    pub(super) fn open(&self, ring: &KeyRing, cx: &SealContext<'_>, sealed: &[u8]) -> Result<Opened> {
        let envelope = self.parse(sealed)?;
        let id = envelope.header.key_id;
        let entry = ring.find(id).ok_or_else(|| {
            Error::new(
                ErrorKind::KeyUnknown,
                format!(
                    "the record was sealed with the key {id}, which is not in the key ring (it has {}); add that key \
                     behind the others, and the record opens again",
                    ring.shown_ids()
                ),
            )
        })?;

        let mut bytes = SecretBytes::new(envelope.ciphertext.to_vec());
        let associated_data = associated_data(envelope.written_header, cx);
        let opened = cipher(&entry.key).decrypt_inout_detached(
            &XNonce::from(*envelope.nonce),
            &associated_data,
            bytes.expose_mut().into(),
            &Tag::from(*envelope.tag),
        );
        match opened {
            Ok(()) => Ok(Opened { bytes, needs_reseal: self.is_old(ring, &envelope) }),
            // Not compared before: of a record that opens, the check cannot differ.
            Err(_) if envelope.header.key_check != *entry.key.check() => Err(Error::new(
                ErrorKind::KeyWrong,
                format!(
                    "the record was sealed with another key than the one that the key ring has under the id {id}; give \
                     the id its old key back, and the new key an id of its own"
                ),
            )),
            Err(_) => Err(corrupt(
                "the sealed record does not open: it is damaged, or was sealed for another connection or purpose; it is \
                 left as it is",
            )),
        }
    }

    pub(super) fn needs_reseal(&self, ring: &KeyRing, sealed: &[u8]) -> Result<bool> {
        Ok(self.is_old(ring, &self.parse(sealed)?))
    }

    fn is_old(&self, ring: &KeyRing, envelope: &Envelope<'_>) -> bool {
        envelope.header.key_id != ring.writing_id() || envelope.format < self.writes.number
    }

    fn parse<'a>(&self, sealed: &'a [u8]) -> Result<Envelope<'a>> {
        let (number, mut rest) =
            sealed.split_first().ok_or_else(|| corrupt("the sealed record is empty; it is left as it is"))?;
        let format = self.reads.iter().find(|format| format.number == *number).ok_or_else(|| {
            unknown_format("record", *number, self.reads.iter().map(|format| format.number))
        })?;
        self.parse_as(format, sealed, &mut rest)
            .ok_or_else(|| corrupt("the sealed record is cut off or damaged; it is left as it is"))
    }

    fn parse_as<'a>(&self, format: &Format, sealed: &'a [u8], rest: &mut &'a [u8]) -> Option<Envelope<'a>> {
        let header = (format.read)(rest)?;
        let written_header = sealed.get(..sealed.len().checked_sub(rest.len())?)?;
        let nonce = take(rest)?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        Some(Envelope { format: format.number, header, written_header, nonce, ciphertext, tag })
    }
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

/// The header and the context, each part with its kind and length: no two of them have one form.
fn associated_data(written_header: &[u8], cx: &SealContext<'_>) -> Vec<u8> {
    let parts: [(u8, &[u8]); 7] = [
        (b'h', written_header),
        (b'p', cx.purpose.as_bytes()),
        (b't', cx.tenant.as_bytes()),
        (b'u', cx.user.as_bytes()),
        (b'r', cx.provider_id.as_bytes()),
        (b'a', cx.account.as_bytes()),
        (b'i', cx.incarnation),
    ];
    let mut data = Vec::with_capacity(parts.iter().map(|(_, part)| 9 + part.len()).sum());
    for (kind, part) in parts {
        data.push(kind);
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

fn corrupt(message: &'static str) -> Error {
    Error::new(ErrorKind::StoreCorrupt, message)
}

/// `what` has a format that this release does not read.
pub(crate) fn unknown_format(what: &str, number: u8, known: impl Iterator<Item = u8>) -> Error {
    let known = known.map(|number| number.to_string()).collect::<Vec<_>>().join(" and ");
    Error::new(
        ErrorKind::FormatUnknown,
        format!(
            "the {what} has format {number}, and this release of authflow reads {known}; if a newer release wrote it, \
             run that one here too, else it is damaged; it is left as it is"
        ),
    )
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
