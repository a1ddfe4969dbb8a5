//! One user's connection, ready to be used.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use authflow_core::{
    AccessToken, BearerChallenge, Connection, ConnectionKey, Connections, Error, ErrorKind, HttpRequest,
    HttpResponse, Limits, Operation, ServerError,
};

use crate::circle::NEW_FOR;
use crate::missing::{Missing, is_navigation};
use crate::refusal::{Asked, Refusal};
use crate::same_origin::comes_from_another_site;

/// One user's connection, for the handler of one request: sends API requests with its token. Cheap to clone.
///
/// What it fails with is a [`Refusal`], the answer to that request, so that `?` sends a person whose connection is over to
/// connect again, and tells a program.
#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
    asked: Arc<Asked>,
}

impl Client {
    pub(crate) fn new(connection: Connection, asked: Arc<Asked>) -> Self {
        Self { connection: Arc::new(connection), asked }
    }

    /// Which connection.
    #[must_use]
    pub fn key(&self) -> &ConnectionKey {
        &self.connection.key
    }

    /// The connection as it was found for this request: its scopes, until when it is good, whether it works.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// All connections, for what the client has no method for. An error of theirs becomes an answer with
    /// [`refuse`](Self::refuse).
    #[must_use]
    pub fn connections(&self) -> &Connections {
        self.asked.accounts.connections()
    }

    /// An access token that is good now, for requests that are sent by other means.
    ///
    /// # Errors
    ///
    /// Those of [`Connections::token`].
    pub async fn token(&self) -> Result<AccessToken, Refusal> {
        self.connections().token(self.key()).await.map_err(|error| self.refuse(error))
    }

    /// Sends an API request with the token, to one of the provider's API origins and nowhere else; refreshes and sends once
    /// more where the API answers 401. See [`Connections::send`].
    pub fn send(&self, request: HttpRequest) -> SendRequest {
        SendRequest { client: self.clone(), request: self.connections().send(self.key(), request) }
    }

    /// Sends `GET url` with the token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if `url` is no absolute URL; those of [`Connections::send`].
    pub async fn get(&self, url: &str) -> Result<ApiAnswer, Refusal> {
        let url = url::Url::parse(url).map_err(|source| {
            self.refuse(Error::usage("an API request goes to an absolute URL").with_source(source))
        })?;
        self.send(HttpRequest::get(url)).await
    }

    /// An error that has to do with this connection, as the answer to the request that the client is for.
    ///
    /// Where the connection is over, is gone, or lacks scopes ([`ErrorKind::Refused`] with the code `insufficient_scope`), a
    /// person who navigates is sent to connect and comes back; a program gets `application/problem+json` (RFC 9457). What
    /// else it is, is answered as [`Missing::response`] says.
    ///
    /// A person who comes from connecting just now is not sent there again: the page says that something is broken, and
    /// [`Application::on_error`](crate::Application::on_error) is told what.
    #[must_use]
    pub fn refuse(&self, error: Error) -> Refusal {
        let error = error.at(self.key().provider_id(), Operation::Send);
        let missing =
            if self.comes_from_connecting() { Missing::Failed(error) } else { Missing::from(error) };
        Refusal::of(missing, Arc::clone(&self.asked))
    }

    fn comes_from_connecting(&self) -> bool {
        let Asked { accounts, request } = &*self.asked;
        let age = self.connections().clock().now().duration_since(self.connection.connected_at);
        let is_new = age.is_ok_and(|age| age < NEW_FOR);
        is_navigation(request)
            && (is_new && comes_from_another_site(&request.headers)
                || accounts.0.has_led_here(request, self.key().provider_id()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// An API request that is about to be sent. Await it.
#[derive(Debug)]
#[must_use = "nothing is sent until it is awaited"]
pub struct SendRequest {
    client: Client,
    request: authflow_core::SendRequest,
}

impl SendRequest {
    /// Says that the request may be sent a second time after a 401, although its method is not idempotent (RFC 9110 §9.2.2):
    /// an API that checks the token first has done nothing.
    pub fn replayable(mut self) -> Self {
        self.request = self.request.replayable();
        self
    }

    /// What this one request may cost. Default: the flow's limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.request = self.request.limits(limits);
        self
    }
}

impl IntoFuture for SendRequest {
    type Output = Result<ApiAnswer, Refusal>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { client, request } = self;
        let sent = request.into_future();
        Box::pin(async move {
            match sent.await {
                Ok(response) => Ok(ApiAnswer { client, response }),
                Err(error) => Err(client.refuse(error)),
            }
        })
    }
}

/// Whatever the API answered.
#[derive(Clone, Debug)]
pub struct ApiAnswer {
    client: Client,
    response: HttpResponse,
}

impl ApiAnswer {
    /// Reads it with a function, such as a provider's own that makes errors of what the API refused. An error becomes an answer
    /// with [`Client::refuse`].
    ///
    /// What an API says as RFC 6750 §3.1 has it needs no such function: that the token lacks scopes, and that it is no longer
    /// good where there is nothing to refresh it with.
    ///
    /// # Errors
    ///
    /// Those of `read`, and the two.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&HttpResponse) -> authflow_core::Result<T>,
    ) -> Result<T, Refusal> {
        let read = self.judged().and_then(|()| read(&self.response));
        read.map_err(|error| self.client.refuse(error))
    }

    /// The answer alone.
    #[must_use]
    pub fn into_inner(self) -> HttpResponse {
        self.response
    }

    fn judged(&self) -> authflow_core::Result<()> {
        let HttpResponse { status, headers, .. } = &self.response;
        let challenge = BearerChallenge::of(headers).unwrap_or_default();
        let error = if challenge.error.as_deref() == Some(INSUFFICIENT_SCOPE) {
            let description = challenge.error_description.as_deref();
            Error::refused(ServerError::new(INSUFFICIENT_SCOPE, description, None))
        } else if !self.client.connection.is_refreshable && self.refuses_token() {
            Error::new(ErrorKind::NeedsReconnect, "the API no longer accepts the access token; connect again")
        } else {
            return Ok(());
        };
        Err(error.with_status(*status))
    }

    fn refuses_token(&self) -> bool {
        let HttpResponse { status, headers, .. } = &self.response;
        let flow = self.client.connections().flow(self.client.key().provider_id());
        BearerChallenge::refuses_token(*status, headers)
            && flow.is_none_or(|flow| flow.manager().refuses_token(&self.response))
    }
}

/// RFC 6750 §3.1.
pub(crate) const INSUFFICIENT_SCOPE: &str = "insufficient_scope";

impl Deref for ApiAnswer {
    type Target = HttpResponse;

    fn deref(&self) -> &HttpResponse {
        &self.response
    }
}
