//! The service.

use std::fmt;
use std::mem;
use std::task::{Context, Poll};

use authflow_core::{ConnectionKey, Connections};
use http::{Request, Response};
use tower_service::Service;

use crate::error::{BoxError, Error};
use crate::future::ResponseFuture;
use crate::head::connection_of;
use crate::keep::{CloneBody, KeepBody, Replayable};

/// Sends requests with the token of a connection, through the service inside. Made by a
/// [`ConnectionLayer`](crate::ConnectionLayer).
#[derive(Clone)]
pub struct ConnectionService<S, K = CloneBody> {
    inner: S,
    connections: Connections,
    key: Option<ConnectionKey>,
    keep: K,
}

impl<S, K> ConnectionService<S, K> {
    pub(crate) const fn new(inner: S, connections: Connections, key: Option<ConnectionKey>, keep: K) -> Self {
        Self { inner, connections, key, keep }
    }

    /// The service inside, which attaches no token.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, which attaches no token.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, K, B, R> Service<Request<B>> for ConnectionService<S, K>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    K: KeepBody<B>,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::Service(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready goes along; the clone has to become it.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let (head, body) = request.into_parts();
        let key = connection_of(&head, self.key.as_ref());
        let is_replayable = head.method.is_idempotent() || head.extensions.get::<Replayable>().is_some();
        let again = if is_replayable { self.keep.keep(&body) } else { None };
        ResponseFuture::new(inner, self.connections.clone(), key, head, body, again)
    }
}

impl<S: fmt::Debug, K> fmt::Debug for ConnectionService<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionService")
            .field("inner", &self.inner)
            .field("connections", &self.connections)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
