//! The middleware.

use async_trait::async_trait;
use authflow_core::{ConnectionKey, Connections};
use http::Extensions;
use reqwest::redirect::Policy;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

use crate::attempt::Attempt;
use crate::error::{another_key, no_key, of_connection};

/// In a request's extensions: it may be sent a second time after a 401, although its method is not idempotent (RFC 9110
/// §9.2.2). An API that checks the token first has done nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replayable;

/// Sends requests with the token of a connection. What it does is in the documentation of the crate.
#[derive(Clone, Debug)]
pub struct ConnectionMiddleware {
    connections: Connections,
    key: Option<ConnectionKey>,
    redirects: Redirects,
}

/// What is known of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// It may follow redirects, as reqwest does where nobody tells it not to.
    Unknown,
    /// It follows none.
    None,
}

impl ConnectionMiddleware {
    /// Requests go with the token of the connection `key`. One with another [`ConnectionKey`] in its extensions is refused:
    /// where each request names its connection, use [`per_request`](Self::per_request).
    #[must_use]
    pub const fn new(connections: Connections, key: ConnectionKey) -> Self {
        Self { connections, key: Some(key), redirects: Redirects::Unknown }
    }

    /// Each request names its connection: with `with_extension` and a [`ConnectionKey`]. One that does not is refused.
    #[must_use]
    pub const fn per_request(connections: Connections) -> Self {
        Self { connections, key: None, redirects: Redirects::Unknown }
    }

    /// Says that the client was built with `redirect(Policy::none())`. That cannot be seen from here, and it has to be so
    /// where a provider takes its token in the query, or in another header than `Authorization`: with a redirect reqwest
    /// would take those along to wherever it leads.
    ///
    /// A client that follows a redirect all the same is seen where the last answer comes from another URL, which is an error
    /// then ([`HttpErrorKind::Redirected`](authflow_core::HttpErrorKind::Redirected)). Redirects that lead away and back are
    /// not seen.
    #[must_use]
    pub const fn client_follows_no_redirects(mut self) -> Self {
        self.redirects = Redirects::None;
        self
    }

    /// A client with this middleware and no other, which follows no redirect: the redirect is the answer.
    ///
    /// # Errors
    ///
    /// Those of [`reqwest::ClientBuilder::build`].
    pub fn client(self, builder: reqwest::ClientBuilder) -> reqwest::Result<ClientWithMiddleware> {
        let client = builder.redirect(Policy::none()).build()?;
        Ok(ClientBuilder::new(client).with(self.client_follows_no_redirects()).build())
    }

    /// The connection whose token a request goes with: the middleware's own, if it has one, and else the one that the request
    /// names.
    ///
    /// A request that names another than the middleware's is refused. Were it obeyed, what loses the extensions on the way, as
    /// a `RequestBuilder` that is built first and executed then does, would have it sent with the token of somebody else.
    fn connection_of(&self, extensions: &Extensions) -> authflow_core::Result<ConnectionKey> {
        match (self.key.as_ref(), extensions.get::<ConnectionKey>()) {
            (Some(own), Some(named)) if own != named => Err(another_key()),
            (Some(key), _) | (None, Some(key)) => Ok(key.clone()),
            (None, None) => Err(no_key()),
        }
    }
}

#[async_trait]
impl Middleware for ConnectionMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let key = self.connection_of(extensions).map_err(of_connection)?;
        let is_replayable = request.method().is_idempotent() || extensions.get::<Replayable>().is_some();
        let again = is_replayable.then(|| request.try_clone()).flatten();

        let token = self.connections.token(&key).await.map_err(of_connection)?;
        let first = Attempt::new(&self.connections, self.redirects, &token, request).await?;
        let answer = first.send(extensions, next.clone()).await?;
        if !answer.is_refused {
            return Ok(answer.response);
        }
        let fresh = self.connections.token_refused(&token).await.map_err(of_connection)?;
        let (Some(fresh), Some(request)) = (fresh, again) else { return Ok(answer.response) };
        drop(answer);
        let second = Attempt::new(&self.connections, self.redirects, &fresh, request).await?;
        Ok(second.send(extensions, next).await?.response)
    }
}
