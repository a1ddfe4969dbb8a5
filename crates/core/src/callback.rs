//! The authorization response.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use memchr::memchr;

use crate::error::{Error, ErrorKind, Result, ServerError};
use crate::quirks::ResponseMode;
use crate::secret::Secret;
use crate::text;

/// The most bytes of an authorization response. Codes of several kilobytes exist; 64 KiB leaves room.
const MAX_RESPONSE: usize = 64 * 1024;

/// The authorization response (RFC 6749 §4.1.2) as it arrived: decoded, and nothing of it trusted yet. Its `Debug` shows
/// the names of the parameters only.
#[derive(Clone)]
pub struct AuthorizationResponse<'a> {
    mode: ResponseMode,
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> AuthorizationResponse<'a> {
    /// The query of the callback's URL, with or without `?`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CallbackMalformed`] if it is longer than 64 KiB, or if a name or a value of the protocol does not decode
    /// to UTF-8 text without control characters. Values under other names are held to that by [`Flow`](crate::Flow), which
    /// knows under which of them this provider describes an error.
    pub fn from_query(query: &'a str) -> Result<Self> {
        Self::decode(ResponseMode::Query, query.strip_prefix('?').unwrap_or(query).as_bytes())
    }

    /// The query of the callback's whole URL. A fragment is ignored.
    ///
    /// # Errors
    ///
    /// As [`from_query`](Self::from_query); also if there is no query.
    pub fn from_url(url: &'a str) -> Result<Self> {
        let url = url.split('#').next().unwrap_or_default();
        match url.split_once('?') {
            Some((_, query)) => Self::from_query(query),
            None => Err(malformed("the callback's URL has no query")),
        }
    }

    /// The body of a callback that was posted as a form (`response_mode=form_post`).
    ///
    /// # Errors
    ///
    /// As [`from_query`](Self::from_query).
    pub fn from_form(body: &'a [u8]) -> Result<Self> {
        Self::decode(ResponseMode::FormPost, body)
    }

    fn decode(mode: ResponseMode, bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > MAX_RESPONSE {
            return Err(malformed("the callback is longer than 64 KiB"));
        }
        check_percent_encoding(bytes)?;
        let parameters: Vec<_> = url::form_urlencoded::parse(bytes).collect();
        let is_refused = |name: &str, value: &str| {
            !is_text(name) || (STANDARD.contains(&name) && !is_prose(name) && !is_text(value))
        };
        if parameters.iter().any(|(name, value)| is_refused(name, value)) {
            return Err(no_text());
        }
        Ok(Self { mode, parameters })
    }

    /// Refuses a value that is no text, unless it is prose: under a standard name, or under the one that this provider has for
    /// `error_description`.
    pub(crate) fn check_text(&self, own_description: Option<&str>) -> Result<()> {
        let is_fine =
            |name: &str, value: &str| is_text(value) || is_prose(name) || own_description == Some(name);
        if self.iter().all(|(name, value)| is_fine(name, value)) { Ok(()) } else { Err(no_text()) }
    }

    /// The same without a borrow, for work that outlives the request it arrived with.
    #[must_use]
    pub fn into_owned(self) -> AuthorizationResponse<'static> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        let parameters = self.parameters.into_iter().map(|(name, value)| (owned(name), owned(value)));
        AuthorizationResponse { mode: self.mode, parameters: parameters.collect() }
    }

    /// A copy without a borrow. The names are mostly those of the protocol, which need not be copied.
    #[cfg(feature = "connections")]
    pub(crate) fn to_static(&self) -> AuthorizationResponse<'static> {
        let name = |name: &str| match name {
            "code" => Cow::Borrowed("code"),
            "state" => Cow::Borrowed("state"),
            "iss" => Cow::Borrowed("iss"),
            name => Cow::Owned(name.to_owned()),
        };
        let parameters = self.iter().map(|(known, value)| (name(known), Cow::Owned(value.to_owned())));
        AuthorizationResponse { mode: self.mode, parameters: parameters.collect() }
    }

    /// How it arrived.
    #[must_use]
    pub const fn mode(&self) -> ResponseMode {
        self.mode
    }

    /// All parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether any name occurs twice, known or not.
    pub(crate) fn has_double(&self) -> bool {
        text::has_double(self.parameters.iter().map(|(name, _)| &**name))
    }

    /// The value of a parameter that may occur once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CallbackMalformed`] if it occurs twice (RFC 6749 §3.1).
    pub fn get(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.iter().filter(|(known, _)| *known == name).map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(malformed("the callback has a parameter twice (RFC 6749 §3.1)"));
        }
        Ok(value)
    }
}

/// The parameters of the protocol's own (RFC 6749 §4.1.2, RFC 9207 §2, OpenID Connect, JARM).
pub(crate) const STANDARD: [&str; 9] = [
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "error_uri",
    "id_token",
    "access_token",
    "response",
];

/// Whether it is without control characters, and was UTF-8.
fn is_text(text: &str) -> bool {
    text::is_printable_ascii(text)
        || !text.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER)
}

/// What is prose: it is cleaned where it is shown, and no reason to refuse the rest.
fn is_prose(name: &str) -> bool {
    name == "error_description" || name == "error_message" || name == "error_reason"
}

fn check_percent_encoding(bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    while let Some(at) = memchr(b'%', rest) {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
                rest = rest.get(at + 3..).unwrap_or_default()
            }
            _ => return Err(malformed("the callback has a broken percent-encoding")),
        }
    }
    Ok(())
}

fn no_text() -> Error {
    malformed("the callback holds bytes that are no text")
}

pub(crate) fn malformed(message: &'static str) -> Error {
    Error::new(ErrorKind::CallbackMalformed, message)
}

impl fmt::Debug for AuthorizationResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| text::clean(name, 64)).collect();
        f.debug_struct("AuthorizationResponse").field("mode", &self.mode).field("names", &names).finish()
    }
}

/// What an authorization response says, read by the provider's rules. The engine has checked the state before, and checks
/// issuer and mode itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Callback {
    /// The code, or the provider's no.
    pub outcome: Result<Secret, ServerError>,
    /// The parameters that are needed later.
    pub retained: BTreeMap<String, String>,
}

impl Callback {
    /// A callback.
    #[must_use]
    pub const fn new(outcome: Result<Secret, ServerError>, retained: BTreeMap<String, String>) -> Self {
        Self { outcome, retained }
    }
}
