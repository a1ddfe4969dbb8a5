//! The API's errors.

use std::time::Duration;

use authflow_core::{Error, ErrorKind, ServerError, rfc};
use http::StatusCode;

/// What the API's `error_id` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ApiErrorId {
    /// 400: a parameter is missing or wrong.
    BadParameter,
    /// 401: the method needs an access token.
    AccessTokenRequired,
    /// 402: the access token is unknown, expired or revoked.
    InvalidAccessToken,
    /// 403: the access token lacks a scope, or the key is another application's.
    AccessDenied,
    /// 404: there is no such method.
    NoMethod,
    /// 405: the method needs a key.
    KeyRequired,
    /// 406: the access token was sent without TLS, and has been destroyed.
    AccessTokenCompromised,
    /// 407: a write was refused.
    WriteFailed,
    /// 409: the same request was made before.
    DuplicateRequest,
    /// 500: the API failed.
    InternalError,
    /// 502: too many requests.
    ThrottleViolation,
    /// 503: the API, or this method, is off for a while.
    TemporarilyUnavailable,
    /// A number that this crate does not know.
    Unknown(u32),
}

impl ApiErrorId {
    /// The meaning of an `error_id`.
    #[must_use]
    pub const fn from_id(id: u32) -> Self {
        match id {
            400 => Self::BadParameter,
            401 => Self::AccessTokenRequired,
            402 => Self::InvalidAccessToken,
            403 => Self::AccessDenied,
            404 => Self::NoMethod,
            405 => Self::KeyRequired,
            406 => Self::AccessTokenCompromised,
            407 => Self::WriteFailed,
            409 => Self::DuplicateRequest,
            500 => Self::InternalError,
            502 => Self::ThrottleViolation,
            503 => Self::TemporarilyUnavailable,
            id => Self::Unknown(id),
        }
    }

    /// The `error_id`.
    #[must_use]
    pub const fn id(self) -> u32 {
        match self {
            Self::BadParameter => 400,
            Self::AccessTokenRequired => 401,
            Self::InvalidAccessToken => 402,
            Self::AccessDenied => 403,
            Self::NoMethod => 404,
            Self::KeyRequired => 405,
            Self::AccessTokenCompromised => 406,
            Self::WriteFailed => 407,
            Self::DuplicateRequest => 409,
            Self::InternalError => 500,
            Self::ThrottleViolation => 502,
            Self::TemporarilyUnavailable => 503,
            Self::Unknown(id) => id,
        }
    }

    /// Whether the access token is of no more use, so that the user has to connect again.
    #[must_use]
    pub const fn ends_the_token(self) -> bool {
        matches!(self, Self::InvalidAccessToken | Self::AccessTokenCompromised)
    }
}

/// An error of the API: `error_id`, `error_name`, `error_message`.
///
/// It is the [`source`](std::error::Error::source) of the [`Error`] that this crate returns; [`ApiError::of`] finds it there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API's error {} {}", .id.id(), .words.code())]
#[non_exhaustive]
pub struct ApiError {
    id: ApiErrorId,
    words: ServerError,
    wait: Option<Duration>,
}

impl ApiError {
    /// An error in the API's words. They are cleaned and capped; `backoff` is what the wrapper asks to wait.
    #[must_use]
    pub fn new(
        error_id: u32,
        error_name: &str,
        error_message: Option<&str>,
        backoff: Option<Duration>,
    ) -> Self {
        let wait = backoff.or_else(|| error_message.and_then(named_wait));
        let wait = wait.map(|wait| wait.min(rfc::MAX_RETRY_AFTER));
        Self {
            id: ApiErrorId::from_id(error_id),
            words: ServerError::new(error_name, error_message, None),
            wait,
        }
    }

    /// The API's error behind `error`, if there is one.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    /// `error_id`.
    #[must_use]
    pub const fn id(&self) -> ApiErrorId {
        self.id
    }

    /// `error_name`, cleaned.
    #[must_use]
    pub fn name(&self) -> &str {
        self.words.code()
    }

    /// `error_message`, cleaned.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.words.description()
    }

    /// How long to wait: the wrapper's `backoff`, or the time that a throttle violation names. A day at most.
    #[must_use]
    pub const fn wait(&self) -> Option<Duration> {
        self.wait
    }

    pub(crate) fn into_error(self, status: StatusCode) -> Error {
        let (kind, message) = match self.id {
            ApiErrorId::InvalidAccessToken => {
                (ErrorKind::InvalidGrant, "the API no longer accepts this access token; connect again")
            }
            ApiErrorId::AccessTokenCompromised => (
                ErrorKind::InvalidGrant,
                "the access token was sent without TLS, and Stack Exchange has destroyed it; connect again",
            ),
            ApiErrorId::AccessTokenRequired => {
                (ErrorKind::Usage, "this method of the API needs an access token; authenticate the request")
            }
            ApiErrorId::AccessDenied => (
                ErrorKind::Refused,
                "the API denied access: the token lacks a scope, or the key is another application's",
            ),
            ApiErrorId::KeyRequired => {
                (ErrorKind::Configuration, "the API needs the key of the application; set `key`")
            }
            ApiErrorId::BadParameter | ApiErrorId::NoMethod => {
                (ErrorKind::Usage, "the API does not know this method or one of its parameters")
            }
            ApiErrorId::ThrottleViolation => (
                ErrorKind::RateLimited,
                "the API counted too many requests; wait, and mind `backoff` from now on",
            ),
            ApiErrorId::InternalError | ApiErrorId::TemporarilyUnavailable => {
                (ErrorKind::Unavailable, "the API is not available")
            }
            ApiErrorId::WriteFailed | ApiErrorId::DuplicateRequest | ApiErrorId::Unknown(_) => {
                (ErrorKind::Refused, "the API refused the request")
            }
        };
        Error::new(kind, message)
            .with_server_error(self.words.clone())
            .with_status(status)
            .with_retry_after(self.wait)
            .with_source(self)
    }
}

/// `more requests available in 1234 seconds`, as a throttle violation says it.
fn named_wait(message: &str) -> Option<Duration> {
    let mut words = message.split_ascii_whitespace().peekable();
    while let Some(word) = words.next() {
        let unit = words.peek().map(|unit| unit.trim_end_matches(['.', ',']));
        if word.bytes().all(|b| b.is_ascii_digit()) && matches!(unit, Some("second" | "seconds")) {
            return Some(word.parse().map_or(Duration::MAX, Duration::from_secs));
        }
    }
    None
}
