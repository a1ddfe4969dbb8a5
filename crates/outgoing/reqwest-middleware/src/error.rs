//! The connection's part in errors of reqwest-middleware.

use authflow_core::{Error, HttpError, HttpErrorKind, Operation};

/// What the connection's part in a failed request is, if it has one: [`Error::kind`] and [`Error::recovery`] say what to do.
///
/// Most are those of [`Connections::token`](authflow_core::Connections::token), and nothing was sent then. Further there are
/// those of [`Connections::authenticate`](authflow_core::Connections::authenticate),
/// [`ErrorKind::Usage`](authflow_core::ErrorKind::Usage) for a request that names no connection or another one than the
/// middleware's, and [`ErrorKind::Configuration`](authflow_core::ErrorKind::Configuration) for a client that follows redirects
/// where none may be followed. Where the API has refused a token, and another one was to be had and did not come, the request
/// had been sent once.
///
/// ```
/// use authflow_reqwest_middleware::connection_error;
/// use authflow_core::Recovery;
/// # fn what(result: Result<reqwest::Response, reqwest_middleware::Error>) -> bool {
/// match result {
///     Err(error) => connection_error(&error).is_some_and(|error| error.recovery() == Recovery::Reconnect),
///     Ok(_) => false,
/// }
/// # }
/// ```
#[must_use]
pub fn connection_error(error: &reqwest_middleware::Error) -> Option<&Error> {
    match error {
        reqwest_middleware::Error::Middleware(error) => error.downcast_ref(),
        reqwest_middleware::Error::Reqwest(_) => None,
    }
}

pub(crate) fn of_connection(error: Error) -> reqwest_middleware::Error {
    reqwest_middleware::Error::middleware(error)
}

pub(crate) fn no_key() -> Error {
    Error::usage("the request names no connection; give it a ConnectionKey with `with_extension`")
}

pub(crate) fn another_key() -> Error {
    Error::usage(
        "the request names another connection than the one that the middleware was made with; use `per_request` where each \
         request names its connection; nothing was sent",
    )
}

pub(crate) fn redirects_may_take_it_along() -> Error {
    Error::configuration(
        "this provider's tokens are not in the Authorization header alone, and reqwest would take them along to another \
         origin where it follows a redirect: make the client with `ConnectionMiddleware::client`, or build it with \
         `redirect(Policy::none())` and say so with `client_follows_no_redirects`; nothing was sent",
    )
}

pub(crate) fn redirected(provider_id: &str) -> Error {
    let error = HttpError::new(HttpErrorKind::Redirected, authflow_core::Delivery::Answered);
    Error::from(error).at(provider_id, Operation::Send)
}
