//! What crates for frameworks need besides, to make extractors and answers of their own.

use authflow_core::{Error, ErrorKind, Recovery, User};
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::accounts::Accounts;
use crate::answer;
use crate::flow_cookie::{FlowCookie, Stage};
use crate::missing::{Missing, has_ended, lacks_scopes};
use crate::problem::Problem;

impl Accounts {
    /// Who is signed in, as [`Application::current_user`](crate::Application::current_user) says.
    ///
    /// # Errors
    ///
    /// [`Missing::Failed`] where it is not known. It is never taken for nobody.
    pub async fn current_user(&self, request: &Parts) -> Result<Option<User>, Missing> {
        self.0.application.current_user(request).await.map_err(Missing::unknown_user)
    }

    /// The headers that an error needs which is the answer instead of one that [`handle`](Self::handle) made, whose headers
    /// `replaced` are: they keep it out of caches and its address out of `Referer`, and the flow has come to its end in this
    /// browser, as where [`Application::after`](crate::Application::after) fails. Of the application's own cookies none is there.
    #[must_use]
    pub fn headers_of_error(&self, replaced: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        answer::protect(&mut headers);
        let cookies = replaced.get_all(SET_COOKIE).iter();
        for cookie in cookies.filter_map(|header| without_success(header, self.0.writer().prefix())) {
            headers.append(SET_COOKIE, cookie);
        }
        headers
    }
}

/// A cookie of ours, where the mark of a flow that led to a connection is that of one that has ended.
fn without_success(header: &HeaderValue, prefix: &str) -> Option<HeaderValue> {
    let (name, rest) = header.to_str().ok()?.split_once('=')?;
    if !name.starts_with(prefix) {
        return None;
    }
    let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
    match FlowCookie::read(value) {
        Some(flow) if matches!(flow.stage, Stage::Done(_)) => {
            let value = FlowCookie { stage: Stage::Ended, ..flow }.write();
            HeaderValue::try_from(format!("{name}={value};{attributes}")).ok()
        }
        _ => Some(header.clone()),
    }
}

/// An error of a handler as an answer for programs: `application/problem+json` (RFC 9457).
///
/// 401 where the user has to connect, or connect again; 403 where the provider refused for the user, or the connection lacks
/// scopes; 400 for a callback that is
/// not accepted; 503 where the same may work later, with `Retry-After` where the provider said when, and where a flow has to be
/// begun again; 502 where the provider did not do what it should; 500 for a mistake of the application's. It says what the kind
/// of the error says: none of the provider's words, and nothing secret, is in it.
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
        (kind, _) if has_ended(kind) => (
            StatusCode::UNAUTHORIZED,
            "needs-reconnect",
            "The connection has ended",
            "The user has to connect again, then ask again.",
        ),
        _ if lacks_scopes(error) => (
            StatusCode::FORBIDDEN,
            "lacks-scopes",
            "The connection lacks scopes",
            "The user has to connect again and grant them, then ask again.",
        ),
        (ErrorKind::AccessDenied, _) => (
            StatusCode::FORBIDDEN,
            "denied",
            "Refused for this user",
            "The provider does not let the user do this.",
        ),
        (ErrorKind::CallbackMalformed | ErrorKind::StateNotFound, _) => (
            StatusCode::BAD_REQUEST,
            "not-accepted",
            "The callback was not accepted",
            "The user has to begin again.",
        ),
        (ErrorKind::StoreCorrupt | ErrorKind::StoreContractViolated, _) => FAILED,
        (_, Recovery::Retry { after }) => {
            wait = after;
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Not available now",
                "The same request works later.",
            )
        }
        // What is left of a flow that failed: the same callback does not work a second time.
        (_, Recovery::Reconnect) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "begin-again",
            "This attempt to connect has ended",
            "The user has to begin again.",
        ),
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
