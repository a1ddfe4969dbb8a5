//! Errors of authflow as answers.

use std::fmt;
use std::sync::Arc;

use authflow_core::Error;
use axum::body::Body;
use axum::response::{IntoResponse, Response};

/// An [`Error`] as an answer for programs, whoever asked. For handlers without [`Connected`](crate::Connected); those that have it
/// return [`Refusal`](crate::Refusal), which sends a person to connect.
///
/// The answer is `application/problem+json` (RFC 9457): 401 where the user has to connect, or connect again; 403 where the
/// provider refused for the user, or scopes are missing; 400 for a callback that is not accepted; 503 where the same may work later, or a flow has to be
/// begun again; 502 where the provider did not do what it should; 500 for a mistake in the application. It says what the kind of
/// the error says; nothing of the provider's words, and nothing secret, is in it.
///
/// For a layer that logs, the error itself is in the
/// extensions of the answer, as `Arc<Error>`.
#[derive(Debug)]
pub struct Failure(pub Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = authflow_web::problem(&self.0).map(Body::from);
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}
