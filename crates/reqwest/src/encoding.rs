//! How the body of an answer is encoded: as its header says, or as its first bytes show.

use authflow_core::{Delivery, HttpError, HttpErrorKind};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

/// Bytes that tell what a body is.
pub(crate) const TELLING: usize = 3;

/// What `Content-Encoding` says (RFC 9110 §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// Nothing, or `identity`.
    Plain,
    /// `gzip` or its old name `x-gzip`.
    Gzip,
    /// `deflate`: zlib's format (RFC 1950), or, from servers that take the name at its word, raw deflate (RFC 1951).
    Deflate,
    /// More than one encoding. One layer of 1 MiB can hold a second of 1 GiB, and no provider is known to do it.
    Layered,
    /// Another one, which nobody asked for.
    Other,
}

impl Declared {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut declared = Self::Plain;
        for value in headers.get_all(CONTENT_ENCODING) {
            for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                let this = if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                    continue;
                } else if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                    Self::Gzip
                } else if name.eq_ignore_ascii_case(b"deflate") {
                    Self::Deflate
                } else {
                    Self::Other
                };
                declared = if declared == Self::Plain { this } else { Self::Layered };
            }
        }
        declared
    }
}

/// A format that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
    /// RFC 1951, bare.
    Deflate,
}

/// How to decode a text of which `declared` is said, and which begins with `bytes`. `None` for a plain one.
pub(crate) fn format(declared: Declared, bytes: &[u8]) -> Result<Option<Format>, HttpError> {
    match declared {
        Declared::Plain if is_gzip(bytes) => Ok(Some(Format::Gzip)),
        Declared::Plain if is_usual_zlib(bytes) => Ok(Some(Format::Zlib)),
        Declared::Plain => Ok(None),
        Declared::Gzip => Ok(Some(Format::Gzip)),
        Declared::Deflate if is_zlib(bytes) => Ok(Some(Format::Zlib)),
        Declared::Deflate => Ok(Some(Format::Deflate)),
        Declared::Layered => Err(Undecodable::Layered.into()),
        Declared::Other => Err(Undecodable::Other.into()),
    }
}

/// Whether a body of this type is text, so that the beginning of compressed data cannot be the content itself: a file
/// that is downloaded may well be compressed on purpose.
pub(crate) fn is_text(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let media_type = media_type.to_ascii_lowercase();
    media_type.starts_with(b"text/")
        || media_type.is_empty()
        || [b"json".as_slice(), b"xml", b"javascript", b"jwt", b"x-www-form-urlencoded"]
            .iter()
            .any(|text| media_type.ends_with(text))
}

/// RFC 1952 §2.3.1: the magic number, and the only method there is.
fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 0x08])
}

/// RFC 1950 §2.2: method 8, and a check of the two bytes.
fn is_zlib(bytes: &[u8]) -> bool {
    match bytes {
        [cmf, flg, ..] => cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0,
        _ => false,
    }
}

/// The headers that zlib itself writes with its largest window, one for each class of levels.
fn is_usual_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..])
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecodable {
    #[error("the compressed data is corrupt, cut short, or followed by other data")]
    #[cfg_attr(not(feature = "decompression"), allow(dead_code, reason = "nothing is decoded without it"))]
    Corrupt,
    #[error(
        "the answer is compressed: enable the feature `decompression` of authflow (or of authflow-reqwest)"
    )]
    #[cfg_attr(feature = "decompression", allow(dead_code, reason = "it is on"))]
    FeatureOff,
    #[error("the answer is compressed more than once")]
    Layered,
    #[error("the answer has a Content-Encoding that was not asked for and is neither gzip nor deflate")]
    Other,
}

impl From<Undecodable> for HttpError {
    fn from(undecodable: Undecodable) -> Self {
        Self::new(HttpErrorKind::Decode, Delivery::Answered).with_source(undecodable)
    }
}
