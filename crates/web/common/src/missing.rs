//! Why a handler gets no client, as an answer.

use authflow_core::{Error, ErrorKind, Operation, Recovery, ServerError};
use bytes::Bytes;
use http::header::ACCEPT;
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::accounts::{Accounts, Inner};
use crate::answer;
use crate::application::BoxError;
use crate::client::INSUFFICIENT_SCOPE;
use crate::for_frameworks::problem;
use crate::incoming::Incoming;
use crate::problem::Problem;
use crate::same_origin::is_fetched_ahead;

/// Why there is no [`Client`](crate::Client), or none that is of use any more. It becomes an answer:
/// [`response`](Self::response).
///
/// An error of [`Connections`](authflow_core::Connections) that comes later becomes one of these with `from`; those of a client
/// are [`Refusal`](crate::Refusal)s, which hold one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignedOut {
        /// The provider whose connection was asked for.
        provider_id: Box<str>,
    },
    /// The user has not connected this provider.
    #[error("`{provider_id}` is not connected")]
    NotConnected {
        /// The provider id.
        provider_id: Box<str>,
    },
    /// The connection has come to its end at the provider, and its user has to connect again.
    #[error("`{provider_id}` has to be connected again")]
    NeedsReconnect {
        /// The provider id.
        provider_id: Box<str>,
    },
    /// The connection has not the scopes that the API asks for (`insufficient_scope`, RFC 6750 §3.1). To connect again asks for
    /// those that the provider and [`Application::begin`](crate::Application::begin) name now.
    #[error("the connection with `{provider_id}` lacks scopes")]
    LacksScopes {
        /// The provider id.
        provider_id: Box<str>,
    },
    /// It is not known whether there is one: the session or the store does not answer, or none of this provider is found and a
    /// connection of the user cannot be read, which may be it. Or what was done with it failed for another reason than these.
    /// Never taken for one of the others.
    #[error("the connection cannot be looked up or used")]
    Failed(#[source] Error),
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        let provider_id = error.provider().unwrap_or_default().into();
        match error.kind() {
            ErrorKind::NotConnected => Self::NotConnected { provider_id },
            kind if has_ended(kind) => Self::NeedsReconnect { provider_id },
            _ if lacks_scopes(&error) => Self::LacksScopes { provider_id },
            _ => Self::Failed(error),
        }
    }
}

impl Missing {
    /// It is told to the application when it is answered, as every [`Failed`](Self::Failed) is.
    pub(crate) fn unknown_user(source: BoxError) -> Self {
        let kind = if is_mistake(&source) { ErrorKind::Configuration } else { ErrorKind::Unavailable };
        let message = "the application could not tell who is signed in";
        Self::Failed(Error::new(kind, message).with_source(source))
    }

    /// The answer to the request that needed the client. A person who navigates is sent to connect, and comes back; a program
    /// gets 401, or 403 where scopes are missing, and `application/problem+json` (RFC 9457) whose member `connect` is the path that
    /// connects. Who is not signed in is sent to sign in where [`sign_in_at`](crate::AccountsBuilder::sign_in_at) says, and a
    /// program finds it in `sign_in`. What a browser fetches ahead of a person is not sent to connect, and gets 503.
    ///
    /// A person whom a flow with this provider has just led to this very page is not sent there again, which would be without end: that
    /// it is missing all the same is an error that is told as below, and the page is that of one.
    ///
    /// What failed is told to [`Application::on_error`](crate::Application::on_error). It is a page for a person, 503 where the
    /// same request may work later, else 500; for a program it is what [`problem`] makes of it.
    pub fn response(&self, accounts: &Accounts, request: &Parts) -> Response<Bytes> {
        let mut answer = self.answer(&accounts.0, accounts, request);
        answer::protect(answer.headers_mut());
        if request.method == Method::HEAD {
            answer::leave_head(&mut answer);
        }
        answer
    }

    fn answer(&self, inner: &Inner, accounts: &Accounts, request: &Parts) -> Response<Bytes> {
        let navigates = is_navigation(request);
        let mut status = StatusCode::UNAUTHORIZED;
        let (provider_id, kind, title) = match self {
            Self::SignedOut { provider_id } if !inner.application.offers_sign_in() => {
                if navigates {
                    let place = Incoming::place(request).unwrap_or(inner.site.accounts());
                    let sign_in = inner.sign_in(place);
                    return sign_in.map_or_else(|| inner.signed_out(place), |path| answer::redirect(&path));
                }
                return Problem::new(StatusCode::UNAUTHORIZED, "signed-out", "Nobody is signed in")
                    .detail(provider_id, "Sign in to the application, then ask again.")
                    .sign_in(inner.sign_in(&inner.after))
                    .answer();
            }
            Self::SignedOut { provider_id } => (provider_id, "signed-out", "Nobody is signed in"),
            Self::NotConnected { provider_id } => (provider_id, "not-connected", "Not connected"),
            Self::NeedsReconnect { provider_id } => {
                (provider_id, "needs-reconnect", "The connection has ended")
            }
            Self::LacksScopes { provider_id } => {
                status = StatusCode::FORBIDDEN;
                (provider_id, "lacks-scopes", "The connection lacks scopes")
            }
            Self::Failed(error) => return inner.failed_for(request, navigates, error),
        };
        if !inner.providers.contains_key(&**provider_id) {
            return inner.failed_for(request, navigates, &unknown_provider());
        }
        if navigates && is_fetched_ahead(&request.headers) {
            // For a page that nobody has asked for nothing is begun, and the browser throws this away.
            return inner.unavailable(request, None);
        }
        if navigates {
            if inner.has_led_here(request, provider_id) {
                return inner.failed_for(request, navigates, &self.in_vain(provider_id));
            }
            let place = Incoming::place(request);
            return answer::redirect(&accounts.connect_path(provider_id, place));
        }
        Problem::new(status, kind, title)
            .detail(provider_id, "Send the user to the path in `connect`, then ask again.")
            .connect(accounts.connect_path(provider_id, None))
            .answer()
    }
}

impl Missing {
    /// What is missing although the browser comes from connecting.
    fn in_vain(&self, provider_id: &str) -> Error {
        let message = match self {
            Self::SignedOut { .. } => {
                "the browser comes from a sign-in, and nobody is signed in: see that the application sets its session's cookie \
                 in `after`, and that `current_user` finds it in this request"
            }
            Self::NotConnected { .. } => {
                "the browser comes from connecting, and the user is not connected: see that `current_user` says the same at the \
                 callback and in this request"
            }
            _ => {
                "the browser comes from connecting, and the connection is of no use: connecting again does not help"
            }
        };
        Error::usage(message).at(provider_id, Operation::List)
    }
}

/// Whether an application's own error is an [`Error`] that says that a person has to change something: no other request works
/// either, now or later. What it is made of otherwise tells nothing of that.
pub(crate) fn is_mistake(error: &BoxError) -> bool {
    error.downcast_ref().map(Error::recovery) == Some(Recovery::FixConfiguration)
}

/// Whether an error says that only the user can help, by connecting again.
pub(crate) const fn has_ended(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NeedsReconnect
            | ErrorKind::RotationLost
            | ErrorKind::AccountChanged
            | ErrorKind::InvalidGrant
    )
}

/// Whether an error says that the API wants scopes that the connection has not (RFC 6750 §3.1).
pub(crate) fn lacks_scopes(error: &Error) -> bool {
    error.kind() == ErrorKind::Refused
        && error.server_error().map(ServerError::code) == Some(INSUFFICIENT_SCOPE)
}

pub(crate) fn unknown_provider() -> Error {
    Error::usage("the connections have no provider with this id; see what the handler asks for")
}

/// Whether a person waits for a page: the browser says so, or would take HTML.
pub(crate) fn is_navigation(request: &Parts) -> bool {
    if request.method != Method::GET && request.method != Method::HEAD {
        return false;
    }
    match request.headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => request
            .headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|accept| accept.to_str().ok())
            .any(|accept| accept.to_ascii_lowercase().contains("text/html")),
    }
}

impl Inner {
    fn failed_for(&self, request: &Parts, navigates: bool, error: &Error) -> Response<Bytes> {
        if navigates {
            return self.failure(request, error);
        }
        self.application.on_error(request, error);
        problem(error)
    }
}
