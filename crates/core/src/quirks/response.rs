//! The shape of a token response.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The shape of a token response (RFC 6749 §5). All pointers are JSON pointers (RFC 6901).
///
/// Without any knob: any 2xx is success unless the body says otherwise; numbers may be strings or floats; no `token_type` is
/// needed; `scope` may be a string, an array or null; unknown members are kept.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResponseShape {
    /// How the body is written.
    pub format: ResponseFormat,
    /// Where the token object is: the first pointer that hits an object with an access token in it, or else the first that
    /// hits an object; none hits: the whole body.
    pub root: Vec<String>,
    /// Where the standard fields are, relative to the root.
    pub fields: Fields,
    /// How the lifetime of the access token is given.
    pub expiry: ExpiryShape,
    /// What stands between two granted scopes. Default: a space. Spaces always separate.
    pub scope_delimiter: Option<String>,
    /// How an error looks.
    pub error: ErrorShape,
    /// Whether an answer with an `id_token` needs no access token (Azure AD B2C); the access token is empty then.
    pub access_token_optional: bool,
}

/// How the body of a token response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseFormat {
    /// By content type if it says so, else JSON if it looks like it, else a form if it looks like one.
    #[default]
    Auto,
    /// JSON, whatever the content type says.
    Json,
    /// A form, whatever the content type says.
    Form,
}

/// Where the standard fields are, relative to the root: JSON pointers. Default: `/access_token` and so on; the default is
/// also looked at where a pointer hits nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Fields {
    /// `access_token`.
    pub access_token: Option<String>,
    /// `token_type`.
    pub token_type: Option<String>,
    /// `refresh_token`.
    pub refresh_token: Option<String>,
    /// `expires_in`.
    pub expires_in: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `id_token`.
    pub id_token: Option<String>,
    /// The lifetime of the refresh token, in seconds. Default: `/refresh_token_expires_in`.
    pub refresh_token_expires_in: Option<String>,
    /// The provider's name for the account. No default.
    pub account: Option<String>,
}

/// How the lifetime of the access token is given.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpiryShape {
    /// Where the value is, relative to the root, if it is not [`Fields::expires_in`].
    pub pointer: Option<String>,
    /// What the value means.
    pub kind: ExpiryKind,
    /// What zero or less means.
    pub zero: ZeroExpiry,
    /// The lifetime where none is given. Default: unknown.
    pub default: Option<DefaultExpiry>,
    /// Where the time of issue is (Unix seconds), relative to the root. A lifetime counts from there, but never from a time
    /// in the future.
    pub issued_at: Option<String>,
}

/// The lifetime where none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum DefaultExpiry {
    /// So many seconds.
    Seconds(u64),
    /// No end: written as `"never"`.
    Never(Never),
}

/// The word `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    /// The word.
    Never,
}

/// What the value of the lifetime means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExpiryKind {
    /// Seconds from now.
    #[default]
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Seconds since 1970.
    EpochS,
    /// Milliseconds since 1970.
    EpochMs,
    /// A date and time of RFC 3339.
    Rfc3339,
}

/// What a lifetime of zero or less means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ZeroExpiry {
    /// The token has expired.
    #[default]
    Expired,
    /// The token never expires (VK, Mailchimp, Deezer).
    Never,
}

/// How an error looks. All pointers start at the top of the body.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ErrorShape {
    /// The body is an error if one of these holds. Besides, a body with a string `error` always is one, and an answer
    /// outside 2xx.
    pub when: Vec<Condition>,
    /// Where the code is; the first pointer that hits a string or a number wins. Default: `/error`.
    pub code: Vec<String>,
    /// Where the description is. Default: `/error_description`.
    pub description: Vec<String>,
    /// The provider's codes in the RFC's words.
    pub code_map: BTreeMap<String, String>,
}

/// A condition on a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Condition {
    /// What is looked at.
    pub pointer: String,
    /// How it is looked at.
    #[serde(default)]
    pub op: Operator,
    /// What it is compared with.
    #[serde(default)]
    pub value: Value,
}

impl ResponseShape {
    /// The pointers to what is a text or a number of the token set.
    pub(crate) fn value_pointers(&self) -> impl Iterator<Item = &String> {
        let (fields, expiry) = (&self.fields, &self.expiry);
        let pointers = [
            &fields.access_token,
            &fields.token_type,
            &fields.refresh_token,
            &fields.expires_in,
            &fields.scope,
            &fields.id_token,
            &fields.refresh_token_expires_in,
            &fields.account,
            &expiry.pointer,
            &expiry.issued_at,
        ];
        pointers.into_iter().flatten()
    }
}

impl Condition {
    /// A condition.
    #[must_use]
    pub fn new(pointer: &str, op: Operator, value: Value) -> Self {
        Self { pointer: pointer.to_owned(), op, value }
    }
}

/// How a [`Condition`] looks at a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operator {
    /// It is there, and not null.
    #[default]
    Exists,
    /// It is there and equals the value; a number and its text are equal.
    Equals,
    /// It is there and does not equal the value.
    NotEquals,
    /// It is an object.
    IsObject,
    /// It is a string.
    IsString,
}
