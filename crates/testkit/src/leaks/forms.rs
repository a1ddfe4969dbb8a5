//! The forms in which a secret may be written.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// How a secret was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LeakForm {
    /// In base64 or base64url (RFC 4648 §4, §5), alone or inside a longer text.
    Base64,
    /// As a list of numbers: what `Debug` makes of bytes.
    ByteList,
    /// With the escapes of Rust's `Debug` or of JSON.
    Escaped,
    /// In hexadecimal.
    Hex,
    /// Percent-encoded (RFC 3986 §2.1), all of it or a part.
    PercentEncoded,
    /// As it is.
    Plain,
}

impl fmt::Display for LeakForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base64 => "in base64",
            Self::ByteList => "as a list of bytes",
            Self::Escaped => "with escapes",
            Self::Hex => "in hexadecimal",
            Self::PercentEncoded => "percent-encoded",
            Self::Plain => "as it is",
        })
    }
}

/// A text that is looked through, in the three ways in which it is.
pub(super) struct Text {
    plain: String,
    lower: String,
    /// The decoded text, if it is another one.
    decoded: Option<String>,
}

impl Text {
    pub(super) fn new(text: &[u8]) -> Self {
        let decoded = percent_decode(text);
        Self {
            plain: characters(text),
            lower: characters(&text.to_ascii_lowercase()),
            decoded: (decoded != text).then(|| characters(&decoded)),
        }
    }
}

/// The forms of one secret.
pub(super) struct Forms {
    secret: String,
    /// What is looked for in the text as it is.
    exact: Vec<(LeakForm, String)>,
    hex: String,
}

impl Forms {
    pub(super) fn new(secret: &[u8]) -> Self {
        let plain = characters(secret);
        let mut exact: Vec<(LeakForm, String)> = Vec::new();
        let mut add = |form, text: String| {
            if text != plain && !exact.iter().any(|(_, known)| *known == text) {
                exact.push((form, text));
            }
        };
        // RFC 6749 §2.3.1: client credentials are form-encoded before they are base64.
        let encoded: String = url::form_urlencoded::byte_serialize(secret).collect();
        for bytes in [secret, encoded.as_bytes()] {
            for before in 0..3 {
                add(LeakForm::Base64, base64_core(bytes, before, false));
                add(LeakForm::Base64, base64_core(bytes, before, true));
            }
        }
        if let Ok(text) = std::str::from_utf8(secret) {
            add(LeakForm::Escaped, characters(text.escape_debug().to_string().as_bytes()));
            add(LeakForm::Escaped, text.escape_default().to_string());
            let json = serde_json::Value::from(text).to_string();
            add(LeakForm::Escaped, characters(json.trim_matches('"').as_bytes()));
        }
        let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
        add(LeakForm::ByteList, numbers.join(", "));
        add(LeakForm::ByteList, numbers.join(","));
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { secret: plain, exact, hex }
    }

    pub(super) fn is_of(&self, secret: &[u8]) -> bool {
        self.secret == characters(secret)
    }

    /// Each form that occurs, with the line where it first does.
    pub(super) fn find(&self, text: &Text) -> Vec<(LeakForm, usize)> {
        let mut found: Vec<(LeakForm, usize)> = Vec::new();
        let mut look = |form: LeakForm, haystack: &str, needle: &str| {
            if let Some(line) = line_of(haystack, needle) {
                if !found.iter().any(|(known, _)| *known == form) {
                    found.push((form, line));
                }
            }
        };
        look(LeakForm::Plain, &text.plain, &self.secret);
        for (form, bytes) in &self.exact {
            look(*form, &text.plain, bytes);
        }
        look(LeakForm::Hex, &text.lower, &self.hex);
        if let (Some(decoded), false) = (&text.decoded, text.plain.contains(&self.secret)) {
            look(LeakForm::PercentEncoded, decoded, &self.secret);
        }
        found
    }
}

/// The characters of base64 that are the same whatever stands before and after the secret, if `before` bytes (modulo 3)
/// stand before it.
fn base64_core(secret: &[u8], before: usize, url_safe: bool) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let text = match url_safe {
        true => URL_SAFE_NO_PAD.encode(&bytes),
        false => STANDARD_NO_PAD.encode(&bytes),
    };
    let first = (before * 8).div_ceil(6);
    let whole = bytes.len() * 8 / 6;
    text.chars().take(whole).skip(first).collect()
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

fn line_of(haystack: &str, needle: &str) -> Option<usize> {
    let (before, _) = haystack.split_once(needle)?;
    Some(before.matches('\n').count() + 1)
}

/// Bytes as a string with one character for each: what is looked through need not be UTF-8, and `str` searches fast.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
