//! The layer.

use std::fmt;

use authflow_core::{ConnectionKey, Connections};
use tower_layer::Layer;

use crate::keep::CloneBody;
use crate::service::ConnectionService;

/// Makes services that send their requests with the token of a connection. What they do is in the documentation of the crate.
#[derive(Clone)]
pub struct ConnectionLayer<K = CloneBody> {
    connections: Connections,
    key: Option<ConnectionKey>,
    keep: K,
}

impl ConnectionLayer {
    /// Requests go with the token of the connection `key`. One with another [`ConnectionKey`] in its extensions is refused:
    /// where each request names its connection, use [`per_request`](Self::per_request).
    #[must_use]
    pub const fn new(connections: Connections, key: ConnectionKey) -> Self {
        Self { connections, key: Some(key), keep: CloneBody }
    }

    /// Each request names its connection: with a [`ConnectionKey`] in its extensions. One that does not is refused.
    #[must_use]
    pub const fn per_request(connections: Connections) -> Self {
        Self { connections, key: None, keep: CloneBody }
    }
}

impl<K> ConnectionLayer<K> {
    /// How bodies are kept for the case that a request is sent a second time. Without this call they are cloned, so that
    /// their type has to be `Clone`.
    ///
    /// ```
    /// # use authflow_core::Connections;
    /// use authflow_tower::{ConnectionLayer, SendOnce};
    ///
    /// enum Body {
    ///     Bytes(Vec<u8>),
    ///     File(std::fs::File),
    /// }
    ///
    /// # fn layer(connections: Connections) -> [ConnectionLayer<impl Sized>; 1] {
    /// let layer = ConnectionLayer::per_request(connections);
    /// // What is no file can be had twice.
    /// let some = layer.clone().keep_body(|body: &Body| match body {
    ///     Body::Bytes(bytes) => Some(Body::Bytes(bytes.clone())),
    ///     Body::File(_) => None,
    /// });
    /// // No request is sent twice.
    /// let none = layer.keep_body(SendOnce);
    /// # [some]
    /// # }
    /// ```
    #[must_use]
    pub fn keep_body<N>(self, keep: N) -> ConnectionLayer<N> {
        ConnectionLayer { connections: self.connections, key: self.key, keep }
    }
}

impl<S, K: Clone> Layer<S> for ConnectionLayer<K> {
    type Service = ConnectionService<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectionService::new(inner, self.connections.clone(), self.key.clone(), self.keep.clone())
    }
}

impl<K> fmt::Debug for ConnectionLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLayer")
            .field("connections", &self.connections)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
