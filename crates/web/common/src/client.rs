//! One user's connection, ready to be used.

use authflow_core::{
    AccessToken, ConnectionKey, Connections, Error, HttpRequest, HttpResponse, Result, SendRequest,
};

/// One user's connection: sends API requests with its token. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    connections: Connections,
    key: ConnectionKey,
}

impl Client {
    pub(crate) const fn new(connections: Connections, key: ConnectionKey) -> Self {
        Self { connections, key }
    }

    /// Which connection.
    #[must_use]
    pub const fn key(&self) -> &ConnectionKey {
        &self.key
    }

    /// All connections.
    #[must_use]
    pub const fn connections(&self) -> &Connections {
        &self.connections
    }

    /// An access token that is good now, for requests that are sent by other means.
    ///
    /// # Errors
    ///
    /// Those of [`Connections::token`].
    pub async fn token(&self) -> Result<AccessToken> {
        self.connections.token(&self.key).await
    }

    /// Sends an API request with the token, to one of the provider's API origins and nowhere else; refreshes and sends once
    /// more where the API answers 401. See [`Connections::send`].
    pub fn send(&self, request: HttpRequest) -> SendRequest {
        self.connections.send(&self.key, request)
    }

    /// Sends `GET url` with the token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](authflow_core::ErrorKind::Usage) if `url` is no absolute URL; those of [`Connections::send`].
    pub async fn get(&self, url: &str) -> Result<HttpResponse> {
        let url = url::Url::parse(url)
            .map_err(|source| Error::usage("an API request goes to an absolute URL").with_source(source))?;
        self.send(HttpRequest::get(url)).await
    }
}
