//! What crates for frameworks need besides, to make extractors and answers of their own.

use authflow_core::{Error, ErrorKind, Recovery, User};
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};

use crate::accounts::Accounts;
use crate::answer;
use crate::missing::Missing;
use crate::problem::Problem;

impl Accounts {
    /// Who is signed in, as [`Application::current_user`](crate::Application::current_user) says.
    ///
    /// # Errors
    ///
    /// [`Missing::Failed`] where it is not known. It is never taken for nobody.
    pub async fn current_user(&self, request: &Parts) -> Result<Option<User>, Missing> {
        self.0.user(request).await.map_err(Missing::unknown_user)
    }
}

/// An error of a handler as an answer for programs: `application/problem+json` (RFC 9457).
///
/// 401 where the user has to connect again, 503 with `Retry-After` where the same may work later, 502 where the provider did not
/// do what it should, 403 where it refused for the user, 500 for a mistake of the application's. It says what the kind of the
/// error says: none of the provider's words, and nothing secret, is in it.
#[must_use]
pub fn problem(error: &Error) -> Response<Bytes> {
    let mut wait = None;
    let (status, kind, title, detail) = match (error.kind(), error.recovery()) {
        (ErrorKind::NotConnected, _) => (
            StatusCode::UNAUTHORIZED,
            "not-connected",
            "Not connected",
            "The user has to connect, then ask again.",
        ),
        (ErrorKind::AccessDenied, _) => (
            StatusCode::FORBIDDEN,
            "denied",
            "Refused for this user",
            "The provider does not let the user do this.",
        ),
        (ErrorKind::StoreCorrupt | ErrorKind::StoreContractViolated, _) => FAILED,
        (_, Recovery::Reconnect) => (
            StatusCode::UNAUTHORIZED,
            "needs-reconnect",
            "The connection has ended",
            "The user has to connect again, then ask again.",
        ),
        (_, Recovery::Retry { after }) => {
            wait = after;
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Not available now",
                "The same request works later.",
            )
        }
        (_, Recovery::GiveUp) => (
            StatusCode::BAD_GATEWAY,
            "provider",
            "The provider did not do what was asked",
            "The application's own log says why.",
        ),
        _ => FAILED,
    };
    let problem = Problem::new(status, kind, title);
    let mut answer = problem.detail(error.provider().unwrap_or_default(), detail).answer();
    answer::retry_after(&mut answer, wait);
    answer::protect(answer.headers_mut());
    answer
}

const FAILED: (StatusCode, &str, &str, &str) = (
    StatusCode::INTERNAL_SERVER_ERROR,
    "failed",
    "The application failed",
    "The application's own log says why.",
);
