//! Why a handler gets no client, as an answer.

use authflow_core::{Connection, Error, ErrorKind, Health, User};
use bytes::Bytes;
use http::header::ACCEPT;
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::accounts::{Accounts, Inner};
use crate::answer;
use crate::application::BoxError;
use crate::client::Client;
use crate::for_frameworks::problem;
use crate::incoming::Incoming;
use crate::pages::Page;
use crate::problem::Problem;

/// Why there is no [`Client`]. As an error of a handler it becomes an answer: [`response`](Self::response).
///
/// An error of the connection that comes later, such as of [`Client::send`], becomes one of these with `from`.
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
    /// It is not known whether there is one: the session or the store does not answer, or none of this provider is found and a
    /// connection of the user cannot be read, which may be it. Never taken for one of the others.
    #[error("the connection cannot be looked up")]
    Failed(#[source] Error),
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        let provider_id = error.provider().unwrap_or_default().into();
        match error.kind() {
            ErrorKind::NotConnected => Self::NotConnected { provider_id },
            kind if has_ended(kind) => Self::NeedsReconnect { provider_id },
            _ => Self::Failed(error),
        }
    }
}

impl Missing {
    /// It is told to the application when it is answered, as every [`Failed`](Self::Failed) is.
    pub(crate) fn unknown_user(source: BoxError) -> Self {
        let message = "the application could not tell who is signed in";
        Self::Failed(Error::new(ErrorKind::Unavailable, message).with_source(source))
    }

    /// The answer to the request that needed the client. A person who navigates is sent to connect, and comes back; a program
    /// gets 401 and `application/problem+json` (RFC 9457) whose member `connect` is the path that connects.
    ///
    /// What failed is told to [`Application::on_error`](crate::Application::on_error). It is a page for a person, 503 where the
    /// same request may work later, else 500; for a program it is what [`problem`] makes of it.
    pub fn response(&self, accounts: &Accounts, request: &Parts) -> Response<Bytes> {
        let mut answer = self.answer(&accounts.0, accounts, request);
        answer::protect(answer.headers_mut());
        if request.method == Method::HEAD {
            *answer.body_mut() = Bytes::new();
        }
        answer
    }

    fn answer(&self, inner: &Inner, accounts: &Accounts, request: &Parts) -> Response<Bytes> {
        let navigates = is_navigation(request);
        let (provider_id, kind, title) = match self {
            Self::SignedOut { provider_id } if !inner.application.offers_sign_in() => {
                if navigates {
                    let page = Page::SignedOut { accounts: inner.site.accounts() };
                    return inner.page(StatusCode::UNAUTHORIZED, &page);
                }
                return Problem::new(StatusCode::UNAUTHORIZED, "signed-out", "Nobody is signed in")
                    .detail(provider_id, "Sign in to the application, then ask again.")
                    .answer();
            }
            Self::SignedOut { provider_id } => (provider_id, "signed-out", "Nobody is signed in"),
            Self::NotConnected { provider_id } => (provider_id, "not-connected", "Not connected"),
            Self::NeedsReconnect { provider_id } => {
                (provider_id, "needs-reconnect", "The connection has ended")
            }
            Self::Failed(error) => return inner.failed_for(request, navigates, error),
        };
        if !inner.providers.contains_key(&**provider_id) {
            return inner.failed_for(request, navigates, &unknown_provider());
        }
        if navigates {
            let place = Incoming::place(request);
            return answer::redirect(&accounts.connect_path(provider_id, place));
        }
        Problem::new(StatusCode::UNAUTHORIZED, kind, title)
            .detail(provider_id, "Send the user to the path in `connect`, then ask again.")
            .connect(accounts.connect_path(provider_id, None))
            .answer()
    }
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

fn unknown_provider() -> Error {
    Error::usage("the connections have no provider with this id; see what the handler asks for")
}

/// Whether a person waits for a page: the browser says so, or would take HTML.
fn is_navigation(request: &Parts) -> bool {
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

    pub(crate) async fn client(&self, parts: &Parts, provider_id: &str) -> Result<Client, Missing> {
        if !self.providers.contains_key(provider_id) {
            return Err(Missing::Failed(unknown_provider()));
        }
        let user = self.application.current_user(parts).await.map_err(Missing::unknown_user)?;
        let Some(user) = user else {
            return Err(Missing::SignedOut { provider_id: provider_id.into() });
        };
        let best = self.best(&user, provider_id).await.map_err(Missing::Failed)?;
        match best {
            None => Err(Missing::NotConnected { provider_id: provider_id.into() }),
            Some(Connection { health: Health::NeedsReconnect { .. }, .. }) => {
                Err(Missing::NeedsReconnect { provider_id: provider_id.into() })
            }
            Some(connection) => Ok(Client::new(self.connections.clone(), connection.key)),
        }
    }

    /// Of a user's connections with a provider the one that works and was connected last. One that cannot be read is no proof
    /// that there is none.
    pub(crate) async fn best(
        &self,
        user: &User,
        provider_id: &str,
    ) -> authflow_core::Result<Option<Connection>> {
        let listing = self.connections.list(user).await?;
        let of_provider =
            listing.connections.into_iter().filter(|connection| connection.key.provider_id() == provider_id);
        let best = of_provider.max_by_key(|connection| (works(&connection.health), connection.connected_at));
        if best.is_none() && listing.unreadable > 0 {
            let message = "a connection of this user cannot be read, and whether it is this one is not known: see that the keys \
                           are there, or connect again";
            return Err(
                Error::new(ErrorKind::StoreCorrupt, message).at(provider_id, authflow_core::Operation::List)
            );
        }
        Ok(best)
    }
}

/// One whose refresh is under way somewhere works as well as another: nobody changes accounts for that.
const fn works(health: &Health) -> bool {
    !matches!(health, Health::NeedsReconnect { .. })
}
