//! Errors of authflow as answers.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use authflow_core::Error;

use crate::translate;

/// An [`Error`] as an answer for programs, whoever asked. For handlers without [`Connected`](crate::Connected); those that have it
/// return [`Refusal`](crate::Refusal), which sends a person to connect.
///
/// The answer is `application/problem+json` (RFC 9457): 401 where the user has to connect, or connect again; 403 where the
/// provider refused for the user, or scopes are missing; 400 for a callback that is not accepted; 503 where the same may work later, or a flow has to be
/// begun again; 502 where the provider did not do what it should; 500 for a mistake in the application. It says what the kind of
/// the error says; nothing of the provider's words, and nothing secret, is in it.
///
/// For a middleware that logs, the error itself is [`HttpResponse::error`].
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

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        let status = authflow_web::problem(&self.0).status().as_u16();
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        translate::error(authflow_web::problem(&self.0))
    }
}
