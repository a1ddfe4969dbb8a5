//! A request without an answer.

/// An error of any service.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A request without an answer of the API. A status, a 401 too, is an answer.
///
/// Nothing of the token is in [`Connection`](Self::Connection). What is in [`Service`](Self::Service) is the service's: an
/// error that shows the URI shows the token too, where the provider takes it in the query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no token, or it must not go where the request would have gone: nothing was sent with it.
    ///
    /// [`kind`](authflow_core::Error::kind) says why. Most are those of
    /// [`Connections::token`](authflow_core::Connections::token); further there are
    /// [`ErrorKind::ForeignOrigin`](authflow_core::ErrorKind::ForeignOrigin),
    /// [`ErrorKind::Usage`](authflow_core::ErrorKind::Usage) for a request that names no connection, or another one than the
    /// layer's, or whose URI is not absolute, and [`ErrorKind::Unsupported`](authflow_core::ErrorKind::Unsupported) where the
    /// provider takes the token in the body only. Where the API has refused a token, and another one was to be had and did not
    /// come, the request had been sent once.
    #[error(transparent)]
    Connection(authflow_core::Error),
    /// The service inside failed.
    #[error(transparent)]
    Service(BoxError),
}

impl Error {
    /// The connection's part, if it is that which failed.
    #[must_use]
    pub const fn connection(&self) -> Option<&authflow_core::Error> {
        match self {
            Self::Connection(error) => Some(error),
            Self::Service(_) => None,
        }
    }
}
