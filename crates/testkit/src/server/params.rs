//! `application/x-www-form-urlencoded`, read strictly and written so that every reader agrees.

use std::fmt::Write as _;

/// Parameters in the order in which they were sent.
#[derive(Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query or a form. `None` where a percent escape or the UTF-8 behind it is broken: a lenient
    /// reader would let a faulty client pass.
    pub(super) fn parse(raw: &[u8]) -> Option<Self> {
        raw.split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let mut halves = pair.splitn(2, |byte| *byte == b'=');
                let name = form_decode(halves.next().unwrap_or_default())?;
                let value = form_decode(halves.next().unwrap_or_default())?;
                Some((name, value))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// The value of a parameter. One without a value counts as omitted (RFC 6749 §3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// A parameter that was sent more than once (RFC 6749 §3.1). `resource` may repeat (RFC 8707 §2).
    pub(super) fn duplicate(&self) -> Option<&str> {
        self.0.iter().enumerate().find_map(|(index, (name, _))| {
            let again = self.0.iter().skip(index.saturating_add(1)).any(|(other, _)| other == name);
            (again && name != "resource").then_some(name.as_str())
        })
    }

    /// Whether this very parameter was sent more than once.
    pub(super) fn is_duplicate(&self, name: &str) -> bool {
        self.0.iter().filter(|(n, _)| n == name).count() > 1
    }

    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }
}

/// Decodes `+` and percent escapes; `None` where they or the UTF-8 behind them are broken.
pub(super) fn form_decode(raw: &[u8]) -> Option<String> {
    decode(raw, true)
}

/// Decodes percent escapes of a path segment, in which `+` is itself.
pub(super) fn path_decode(raw: &str) -> Option<String> {
    decode(raw.as_bytes(), false)
}

fn decode(raw: &[u8], plus_is_space: bool) -> Option<String> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => *other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Escapes everything but the unreserved characters of RFC 3986. A space becomes `%20`, which a form reader
/// and a URI reader understand alike; `+` they do not.
pub(super) fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Joins encoded pairs with `&`.
pub(super) fn encode_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(n, v)| format!("{}={}", encode(n.as_ref()), encode(v.as_ref()))).collect();
    pairs.join("&")
}
