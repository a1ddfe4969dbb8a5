//! The one error of authflow.

mod kind;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

pub use self::kind::ErrorKind;
use crate::text;

/// `Result` with authflow's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, where, and what can be done about it.
///
/// Branch on [`kind`](Self::kind), decide with [`recovery`](Self::recovery), read the rest. No `Display` or `Debug` of an
/// error holds a body, a query, a code or a token.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Option<Operation>,
    provider: Option<Box<str>>,
    message: Cow<'static, str>,
    server_error: Option<ServerError>,
    status: Option<http::StatusCode>,
    retry_after: Option<Duration>,
    state_used_up: bool,
    body_prefix: Option<Box<str>>,
    source: Option<Source>,
}

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// The same call may work later; not before `after` where a time is known.
    Retry {
        /// How long to wait: what the provider asked for, or what is left of a pause.
        after: Option<Duration>,
    },
    /// The user has to begin again.
    Reconnect,
    /// A person has to change the configuration or the code.
    FixConfiguration,
    /// Nothing: the answer was no.
    GiveUp,
}

/// What authflow was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Attaching the access token to an API request.
    Authenticate,
    /// Building the authorization request and remembering the flow.
    Begin,
    /// Building the provider, the client credentials or the flow.
    Build,
    /// The client credentials grant.
    ClientCredentials,
    /// Finishing a flow and saving what came of it.
    Complete,
    /// Ending a connection.
    Disconnect,
    /// Exchanging the code.
    Exchange,
    /// Checking the callback.
    Finish,
    /// Listing the connections of a user.
    List,
    /// The refresh.
    Refresh,
    /// Resolving the endpoints.
    Resolve,
    /// The revocation.
    Revoke,
    /// Sending an API request.
    Send,
    /// Going through all connections.
    Sweep,
    /// Getting an access token of a connection.
    Token,
}

impl Operation {
    /// A short name, fit for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Begin => "begin",
            Self::Build => "build",
            Self::ClientCredentials => "client_credentials",
            Self::Complete => "complete",
            Self::Disconnect => "disconnect",
            Self::Exchange => "exchange",
            Self::Finish => "finish",
            Self::List => "list",
            Self::Refresh => "refresh",
            Self::Resolve => "resolve",
            Self::Revoke => "revoke",
            Self::Send => "send",
            Self::Sweep => "sweep",
            Self::Token => "token",
        }
    }
}

/// The provider's own words: `error`, `error_description`, `error_uri` (RFC 6749 §4.1.2.1 and §5.2).
///
/// Cleaned to printable ASCII and capped at 1 KiB each. They are a stranger's text all the same: escape them before they
/// go into a page, and make no link of the URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    code: Box<str>,
    description: Option<Box<str>>,
    uri: Option<Box<str>>,
}

impl ServerError {
    /// Takes the provider's words and cleans them.
    #[must_use]
    pub fn new(code: &str, description: Option<&str>, uri: Option<&str>) -> Self {
        let clean = |text: &str| text::clean(text, text::MAX_TEXT).into_boxed_str();
        Self { code: clean(code), description: description.map(clean), uri: uri.map(clean) }
    }

    /// The `error` code. Where a provider has codes of its own, its quirks may have mapped it to the RFC's.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The `error_description`.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The `error_uri`.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }
}

impl Error {
    /// An error of `kind`. The message says what happened and what to do; it must hold nothing secret.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: None,
            provider: None,
            message: message.into(),
            server_error: None,
            status: None,
            retry_after: None,
            state_used_up: false,
            body_prefix: None,
            source: None,
        }))
    }

    /// [`ErrorKind::Configuration`].
    pub fn configuration(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// [`ErrorKind::Usage`].
    pub fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// [`ErrorKind::InvalidResponse`].
    pub fn invalid_response(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidResponse, message)
    }

    /// What a token, revocation or API endpoint's own error means: `invalid_grant` is [`ErrorKind::InvalidGrant`], every
    /// other code [`ErrorKind::Refused`].
    #[must_use]
    pub fn refused(server_error: ServerError) -> Self {
        let (kind, message) = match server_error.code() {
            "invalid_grant" => {
                (ErrorKind::InvalidGrant, "the provider no longer accepts this grant; connect again")
            }
            "invalid_client" | "unauthorized_client" => (
                ErrorKind::Refused,
                "the provider does not accept this client; check client id, secret and authentication",
            ),
            _ => (ErrorKind::Refused, "the provider refused the request"),
        };
        Self::new(kind, message).with_server_error(server_error)
    }

    /// Adds the provider's own words.
    #[must_use]
    pub fn with_server_error(mut self, server_error: ServerError) -> Self {
        self.0.server_error = Some(server_error);
        self
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: http::StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds how long to wait before the next try.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    /// Adds the cause. Its `Display` must hold nothing secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds the beginning of the body. It must be cleaned, capped and free of secrets.
    #[must_use]
    pub(crate) fn with_body_prefix(mut self, prefix: Option<String>) -> Self {
        self.0.body_prefix = prefix.map(String::into_boxed_str);
        self
    }

    /// Says that the state is used up: the same call cannot work later, only a new flow can.
    pub(crate) fn state_used_up(mut self) -> Self {
        self.0.state_used_up = true;
        self
    }

    #[cfg(feature = "connections")]
    /// The same error for one more who waited for it, without its cause, which cannot be copied.
    pub(crate) fn duplicate(&self) -> Self {
        let inner = &self.0;
        Self(Box::new(Inner {
            kind: inner.kind,
            operation: inner.operation,
            provider: inner.provider.clone(),
            message: inner.message.clone(),
            server_error: inner.server_error.clone(),
            status: inner.status,
            retry_after: inner.retry_after,
            state_used_up: inner.state_used_up,
            body_prefix: inner.body_prefix.clone(),
            source: None,
        }))
    }

    /// Names the provider and the operation, where they are not named yet.
    #[must_use]
    pub fn at(mut self, provider: &str, operation: Operation) -> Self {
        self.0.provider.get_or_insert_with(|| provider.into());
        self.0.operation.get_or_insert(operation);
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What can be done.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        match self.recovery_of_kind() {
            Recovery::Retry { .. } if self.0.state_used_up => Recovery::Reconnect,
            recovery => recovery,
        }
    }

    fn recovery_of_kind(&self) -> Recovery {
        match self.0.kind {
            ErrorKind::Interrupted
            | ErrorKind::KeysUnavailable
            | ErrorKind::Network
            | ErrorKind::Randomness
            | ErrorKind::RateLimited
            | ErrorKind::RefreshPending
            | ErrorKind::StoreConflict
            | ErrorKind::StoreUnavailable
            | ErrorKind::Unavailable => Recovery::Retry { after: self.0.retry_after },
            ErrorKind::AccountChanged
            | ErrorKind::CallbackMalformed
            | ErrorKind::InvalidGrant
            | ErrorKind::NeedsReconnect
            | ErrorKind::NotConnected
            | ErrorKind::NotDurable
            | ErrorKind::RotationLost
            | ErrorKind::StateNotFound
            | ErrorKind::StoreCorrupt
            | ErrorKind::StoreOutcomeUnknown => Recovery::Reconnect,
            ErrorKind::Configuration
            | ErrorKind::ForeignOrigin
            | ErrorKind::FormatUnknown
            | ErrorKind::KeyUnknown
            | ErrorKind::KeyWrong
            | ErrorKind::Unsupported
            | ErrorKind::Usage => Recovery::FixConfiguration,
            ErrorKind::Refused => match self.0.server_error.as_ref().map(ServerError::code) {
                Some(
                    "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope",
                ) => Recovery::FixConfiguration,
                _ => Recovery::GiveUp,
            },
            ErrorKind::AuthorizationFailed => match self.0.server_error.as_ref().map(ServerError::code) {
                Some("server_error" | "temporarily_unavailable") => {
                    Recovery::Retry { after: self.0.retry_after }
                }
                Some(
                    "invalid_request" | "invalid_scope" | "unauthorized_client" | "unsupported_response_type",
                ) => Recovery::FixConfiguration,
                _ => Recovery::Reconnect,
            },
            ErrorKind::AccessDenied
            | ErrorKind::InvalidResponse
            | ErrorKind::IssuerMismatch
            | ErrorKind::StoreContractViolated => Recovery::GiveUp,
        }
    }

    /// The provider's id, where one was involved.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// What authflow was doing.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// The provider's own words.
    #[must_use]
    pub fn server_error(&self) -> Option<&ServerError> {
        self.0.server_error.as_ref()
    }

    /// The HTTP status of the provider's answer.
    #[must_use]
    pub fn status(&self) -> Option<http::StatusCode> {
        self.0.status
    }

    /// How long to wait before the next try: what the provider asked for (RFC 9110 §10.2.3), or what is left of a pause.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The beginning of a body that could not be read: printable ASCII, at most 256 bytes, with everything that looks
    /// like a token replaced. For a person who looks for the cause; not part of `Display` or `Debug`.
    #[must_use]
    pub fn body_prefix(&self) -> Option<&str> {
        self.0.body_prefix.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(provider) = &self.0.provider {
            write!(f, "{provider}: ")?;
        }
        if let Some(operation) = self.0.operation {
            write!(f, "{}: ", operation.as_str())?;
        }
        f.write_str(&self.0.message)?;
        if let Some(server_error) = &self.0.server_error {
            write!(f, " ({}", server_error.code())?;
            if let Some(description) = server_error.description() {
                write!(f, ": {description}")?;
            }
            f.write_str(")")?;
        }
        if let Some(status) = self.0.status {
            write!(f, " [HTTP {}]", status.as_u16())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("provider", &self.0.provider)
            .field("message", &self.0.message)
            .field("server_error", &self.0.server_error)
            .field("status", &self.0.status)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
