//! The ways in which the server misbehaves on request.

mod apply;
mod compress;
mod describe;
mod plan;

use std::{fmt, str::FromStr, time::Duration};

pub(super) use apply::{after, before, finish, redirect_pairs};
pub(super) use plan::Plan;

use super::ledger::Endpoint;

/// One way to misbehave.
///
/// Set it with [`AuthorizationServer::fault_next`](super::AuthorizationServer::fault_next),
/// [`fault_all`](super::AuthorizationServer::fault_all) or
/// [`set_fault`](super::AuthorizationServer::set_fault). Every fault has a [name](Fault::name), so that a
/// program can offer them: `"reset-before-response".parse::<Fault>()`. A fault that an endpoint's reply cannot
/// show leaves the reply as it is; [`Entry::fault`](super::Entry::fault) tells whether it was shown.
///
/// Faults of three sorts differ in what the server has done when they show:
/// *instead* (nothing was done), *after* (done and recorded, then the reply was spoiled) and *refused* (the
/// server says no). [`Fault::about`] says which.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// After: the headers come late by this time.
    SlowHeaders(Duration),
    /// After: no byte of the response ever comes.
    StallHeaders,
    /// After: the body comes one byte at a time, with this pause before each.
    SlowBody(Duration),
    /// After: half of the body comes and then nothing, until the client closes.
    StallBody,
    /// Instead: the connection is reset without a response.
    ResetBeforeResponse,
    /// After: the connection is reset where [`Sent`] says.
    ResetAfterCommit(Sent),
    /// After: `Content-Length` promises more than comes.
    TruncatedBody,
    /// After: a chunked body without its last chunk.
    TruncatedChunked,
    /// After: spaces up to this many bytes follow the body.
    OversizedBody(u64),
    /// Instead: 429.
    TooManyRequests(RetryAfter),
    /// Instead: 500 with an HTML page.
    ServerError(RetryAfter),
    /// Instead: 502 with an HTML page.
    BadGateway,
    /// Instead: 503.
    Unavailable(RetryAfter),
    /// Instead: a redirect with this status, to this URL or to a path of this server's own that the ledger
    /// counts under [`Endpoint::Other`].
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Where to; `None` for this server's path `/elsewhere`.
        location: Option<String>,
    },
    /// After: the body is compressed.
    Compressed {
        /// How.
        coding: Coding,
        /// Whether `Content-Encoding` says so.
        declared: Declared,
    },
    /// Instead: a small gzip body that decompresses to this many bytes.
    DecompressionBomb(u64),
    /// Instead: an HTML page with status 200, as a captive portal or a sign-in page would be.
    HtmlPage,
    /// After: the right body under `text/plain`.
    WrongContentType,
    /// After: the right body without `Content-Type`.
    MissingContentType,
    /// Instead: an error object with status 200.
    ErrorOn200,
    /// After: an empty body.
    EmptyBody,
    /// After: JSON that ends in the middle.
    InvalidJson,
    /// After: a body that is not UTF-8.
    InvalidUtf8,
    /// After: arrays nested a hundred thousand deep.
    DeepJson,
    /// After: an array where an object belongs.
    JsonArray,
    /// After: something follows the JSON object.
    TrailingGarbage,
    /// After: no `access_token`.
    MissingAccessToken,
    /// After: `access_token` is empty.
    EmptyAccessToken,
    /// After: `access_token` is `null`, in a form the word.
    NullAccessToken,
    /// After: `access_token` comes twice, with two values.
    DuplicateMember,
    /// After: `access_token` contains CR and LF.
    TokenWithCrLf,
    /// After: `expires_in` (or `expires`) has a strange value.
    BadExpiresIn(BadExpiresIn),
    /// After: no `expires_in`.
    MissingExpiresIn,
    /// After: no `token_type`.
    MissingTokenType,
    /// After: `token_type` is `mac`.
    WrongTokenType,
    /// After: `scope` is empty.
    EmptyScope,
    /// After: no `scope`.
    MissingScope,
    /// After: `scope` lacks what was asked for and names something else.
    OtherScope,
    /// After: no `refresh_token`, although one was issued.
    MissingRefreshToken,
    /// Refused: with an error code of RFC 6749 §5.2, or any other.
    Refuse(ErrorCode),
    /// Refused: `invalid_request` with control characters, HTML and a right-to-left mark in the description.
    HostileDescription,
    /// Refused: `invalid_request` with a description of 1 MiB.
    HugeDescription,
    /// Refused: the refresh token counts as used before, and its family is revoked.
    RotationReuse,
    /// Refused: Contentstack's `error_message` and `error_code`.
    ContentstackError,
    /// Refused: only a `message`.
    MessageError,
    /// Refused: Stack Exchange's `throttle_violation`.
    Throttled,
    /// After: Stack Exchange's `backoff` of this many seconds in the wrapper.
    Backoff(u32),
    /// After: the callback's `state` is another one.
    WrongState,
    /// After: the callback has no `state`.
    MissingState,
    /// After: the callback has `state` twice.
    DuplicateState,
    /// After: the callback has `code` twice.
    DuplicateCode,
    /// After: the callback has no `code`.
    MissingCode,
    /// After: the callback's `iss` is another issuer.
    WrongIss,
    /// After: the callback has no `iss`.
    MissingIss,
    /// After: the callback has `iss` twice.
    DuplicateIss,
    /// After: the callback has `code` and `error`.
    CodeAndError,
    /// After: the callback has an `access_token` nobody asked for.
    TokenInCallback,
    /// Refused: the server denies for the user, with `access_denied`.
    DenyByServer,
    /// Refused: the callback has `error=server_error`.
    ServerErrorAtAuthorize,
    /// Refused: the callback has a hostile `error_description` and `error_uri`.
    HostileCallbackError,
    /// After: the metadata names another issuer.
    WrongMetadataIssuer,
}

/// For which requests a fault is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSpan {
    /// The next one that can show it; it is used up then.
    Next,
    /// Every one, until [`clear_faults`](super::AuthorizationServer::clear_faults).
    Every,
}

/// A fault that is set: [`AuthorizationServer::faults`](super::AuthorizationServer::faults).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetFault {
    /// Where it shows.
    pub endpoint: Endpoint,
    /// What goes wrong.
    pub fault: Fault,
    /// For which requests.
    pub span: FaultSpan,
}

/// How much of a response gets out before [`Fault::ResetAfterCommit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing.
    Nothing,
    /// The headers.
    Headers,
    /// The headers and half of the body.
    HalfBody,
}

/// The shape of a `Retry-After` header (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// An HTTP date, this far ahead by the server's clock.
    Date(Duration),
    /// Neither a number nor a date.
    Garbage,
    /// Ten years, in seconds.
    TenYears,
    /// No header.
    Absent,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `deflate`: the zlib format of RFC 1950.
    Deflate,
    /// `deflate` as some send it: RFC 1951 without the zlib format around it.
    RawDeflate,
}

/// Whether `Content-Encoding` tells of a coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// It does.
    Yes,
    /// The header is missing.
    No,
}

/// A strange lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadExpiresIn {
    /// `"3599"`: a number as text.
    NumberAsText,
    /// `3599.5`.
    Fraction,
    /// `0`.
    Zero,
    /// `-1`.
    Negative,
    /// `18446744073709551615`.
    Overflow,
    /// `1e300`.
    Huge,
    /// `"soon"`.
    Word,
    /// `true`.
    Boolean,
    /// `null`.
    Null,
    /// `[]`.
    Array,
}

/// The error code of [`Fault::Refuse`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// `invalid_request`.
    InvalidRequest,
    /// `invalid_client`, with status 401.
    InvalidClient,
    /// `invalid_grant`.
    InvalidGrant,
    /// `unauthorized_client`.
    UnauthorizedClient,
    /// `unsupported_grant_type`.
    UnsupportedGrantType,
    /// `invalid_scope`.
    InvalidScope,
    /// `invalid_token`, with status 401: what a protected resource says.
    InvalidToken,
    /// Any other.
    Other(String),
}

impl ErrorCode {
    /// The code on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidToken => "invalid_token",
            Self::Other(code) => code,
        }
    }
}

impl Fault {
    /// The name, in lower case with hyphens. Durations, sizes and URLs are not part of it.
    pub fn name(&self) -> &'static str {
        self.describe().name
    }

    /// One line that says what happens.
    pub fn about(&self) -> &'static str {
        self.describe().about
    }

    /// The endpoint for which [`set_fault`](super::AuthorizationServer::set_fault) sets it.
    pub fn endpoint(&self) -> Endpoint {
        self.describe().endpoint
    }

    /// One example of each fault, with usual durations and sizes, in the order of a help text.
    pub fn all() -> Vec<Self> {
        describe::all()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::all().into_iter().find(|fault| fault.name() == name).ok_or(UnknownFault(()))
    }
}

/// There is no fault of that name; [`Fault::all`] lists those that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFault(());

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no fault of that name; `Fault::all()` lists the names")
    }
}

impl std::error::Error for UnknownFault {}
