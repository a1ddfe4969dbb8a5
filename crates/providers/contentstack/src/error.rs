//! Errors of Contentstack's APIs, and of the revocation.

use authflow_core::quirks::ResponseFormat;
use authflow_core::{Error, ErrorKind, HttpResponse, Secret, ServerError, rfc};
use http::StatusCode;
use serde_json::{Map, Value};

use crate::api::needs_refresh;

/// The most entries of `errors` that are kept, and the most sentences of each.
const MAX_ERRORS: usize = 32;

/// An error of the Content Management API or of Developer Hub, in any of the shapes in use: `error_message`,
/// `error_code` and `errors`; `error` and `error_description`; `message`.
///
/// Its texts are cleaned and capped; they are a stranger's all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Contentstack answered {status}{}{}", code_text(*error_code), message_text(message.as_deref()))]
#[non_exhaustive]
pub struct ApiError {
    status: StatusCode,
    error_code: Option<i64>,
    error: Option<Box<str>>,
    message: Option<Box<str>>,
    errors: Vec<(Box<str>, Vec<Box<str>>)>,
}

fn code_text(code: Option<i64>) -> String {
    code.map(|code| format!(", error_code {code}")).unwrap_or_default()
}

fn message_text(message: Option<&str>) -> String {
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

impl ApiError {
    /// The error in an answer; `None` if it is a success.
    #[must_use]
    pub fn read(response: &HttpResponse) -> Option<Self> {
        Self::read_without(response, &[])
    }

    /// As [`read`](Self::read), without what we sent: a server may repeat it.
    pub(crate) fn read_without(response: &HttpResponse, secrets: &[&Secret]) -> Option<Self> {
        let body = rfc::parse_object(response, ResponseFormat::Json).unwrap_or_default();
        let says_error = body.contains_key("error_message") || body.contains_key("error_code");
        if response.status.is_success() && !says_error {
            return None;
        }
        let clean = |text: &str| cleaned(text, secrets);
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(clean);
        let nested = body.get("error").and_then(Value::as_object);
        let error_code = number(body.get("error_code")).or_else(|| number(nested?.get("code")));
        let message = ["error_message", "error_description", "message"]
            .into_iter()
            .find_map(|name| text(body.get(name)))
            .or_else(|| text(nested?.get("message")));
        Some(Self {
            status: response.status,
            error_code,
            error: text(body.get("error")),
            message,
            errors: details(&body, &clean),
        })
    }

    /// The API's error behind `error`, if there is one; of the token endpoint too.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// `error_code`.
    #[must_use]
    pub const fn error_code(&self) -> Option<i64> {
        self.error_code
    }

    /// `error`, where it is a text.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// What a person is told: `error_message`, `error_description` or `message`.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// `errors`: what is wrong with which field.
    pub fn errors(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.errors.iter().map(|(field, texts)| (&**field, texts.iter().map(|text| &**text)))
    }

    /// Whether there was an error in the body, and not a page or nothing.
    pub(crate) fn says_something(&self) -> bool {
        self.error_code.is_some() || self.error.is_some() || self.message.is_some() || !self.errors.is_empty()
    }

    pub(crate) fn server_error(&self) -> Option<ServerError> {
        let code = match (&self.error, self.error_code) {
            (Some(error), _) => error.to_string(),
            (None, Some(code)) => code.to_string(),
            (None, None) => self.message.as_ref().map(|_| "unspecified".to_owned())?,
        };
        Some(ServerError::new(&code, self.message.as_deref(), None))
    }

    pub(crate) fn into_error(self, response: &HttpResponse) -> Error {
        let (kind, message) = if self.status == StatusCode::TOO_MANY_REQUESTS {
            (ErrorKind::RateLimited, "Contentstack asks to slow down")
        } else if self.status.is_server_error() {
            (ErrorKind::Unavailable, "Contentstack is not available; the tokens are still in force")
        } else if self.status.is_redirection() {
            (
                ErrorKind::InvalidResponse,
                "Contentstack answered with a redirect, and redirects are not followed",
            )
        } else if needs_refresh(response) {
            (
                ErrorKind::Refused,
                "Contentstack does not accept this access token, which lives an hour; refresh, then try again",
            )
        } else {
            (ErrorKind::Refused, "Contentstack refused the request")
        };
        let mut error = Error::new(kind, message).with_status(self.status);
        if let Some(server_error) = self.server_error() {
            error = error.with_server_error(server_error);
        }
        error.with_source(self)
    }
}

fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn details(body: &Map<String, Value>, clean: &impl Fn(&str) -> Box<str>) -> Vec<(Box<str>, Vec<Box<str>>)> {
    let texts = |value: &Value| -> Vec<Box<str>> {
        match value {
            Value::String(text) => vec![clean(text)],
            Value::Array(list) => list.iter().filter_map(Value::as_str).take(MAX_ERRORS).map(clean).collect(),
            _ => Vec::new(),
        }
    };
    match body.get("errors") {
        Some(Value::Object(fields)) => {
            fields.iter().take(MAX_ERRORS).map(|(field, value)| (clean(field), texts(value))).collect()
        }
        Some(value @ (Value::Array(_) | Value::String(_))) => vec![("".into(), texts(value))],
        _ => Vec::new(),
    }
}

fn cleaned(text: &str, secrets: &[&Secret]) -> Box<str> {
    ServerError::new(&rfc::without_secrets(text, secrets), None, None).code().into()
}

/// Why a revocation came to nothing. It is the [`source`](std::error::Error::source) of the [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// The token set names no user, as those of apps do. Such tokens end when the app is uninstalled.
    #[error("the token names no user, so there is no authorization to revoke")]
    NoUser,
    /// The app has no authorization at all.
    #[error("the app has no authorizations")]
    NoAuthorizations,
    /// The app has authorizations, and none of this user.
    #[error("the app has no authorization of this user")]
    NoAuthorizationOfUser,
    /// The user's authorization has a name that cannot be put into a path.
    #[error("the user's authorization has an unusable uid")]
    UnusableAuthorization,
}

impl RevocationError {
    /// The reason behind `error`, if it is one of these.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        std::error::Error::source(error)?.downcast_ref().copied()
    }

    pub(crate) fn into_error(self) -> Error {
        let (kind, message) = match self {
            Self::NoUser => (
                ErrorKind::Unsupported,
                "this token names no user: it is an app's own, and ends when the app is uninstalled; nothing was revoked",
            ),
            Self::NoAuthorizations => (
                ErrorKind::Refused,
                "the app has no authorizations in this organization; nothing was revoked",
            ),
            Self::NoAuthorizationOfUser => (
                ErrorKind::Refused,
                "the app has no authorization of this user in this organization; nothing was revoked",
            ),
            Self::UnusableAuthorization => (
                ErrorKind::InvalidResponse,
                "Contentstack named the user's authorization so that it cannot be put into a path; nothing was revoked",
            ),
        };
        Error::new(kind, message).with_source(self)
    }
}
