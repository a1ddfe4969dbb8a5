//! The answer that is awaited.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use authflow_core::{AccessToken, BearerChallenge, ConnectionKey, Connections, Result};
use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

use crate::error::{BoxError, Error};
use crate::head::{Attached, attach, attach_token};

/// The future of a [`ConnectionService`](crate::ConnectionService). It is `Send` if service, body and answer are.
#[must_use = "nothing is sent until it is awaited"]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    inner: S,
    connections: Connections,
    /// Of the attempt that comes.
    body: Option<B>,
    /// For one more attempt, if there may be one.
    again: Option<(Parts, B)>,
    /// What the first attempt goes with.
    token: Option<AccessToken>,
    state: State<S::Future, S::Response>,
}

type Work<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

enum State<F, R> {
    /// The service inside is ready since before the call.
    Attaching(Work<Attached>),
    Sending(Pin<Box<F>>),
    /// The API has refused the token; the answer is kept for the case that there is no other.
    Replacing(Work<Option<Attached>>, Option<R>),
    /// Until the service inside is ready once more.
    Waiting(Option<Box<Parts>>),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn new(
        inner: S,
        connections: Connections,
        key: Result<ConnectionKey>,
        head: Parts,
        body: B,
        again: Option<B>,
    ) -> Self {
        let again = again.map(|body| (head.clone(), body));
        let of = connections.clone();
        let work = Box::pin(async move { attach(&of, &key?, head).await });
        let state = State::Attaching(work);
        Self { inner, connections, body: Some(body), again, token: None, state }
    }

    /// Sends the attempt whose body is at hand.
    fn send(&mut self, head: Parts) {
        if let Some(body) = self.body.take() {
            self.state = State::Sending(Box::pin(self.inner.call(Request::from_parts(head, body))));
        }
    }

    /// Another token, if there is one to be had; and the head with it, if there is one more attempt.
    fn replace(&mut self, refused: AccessToken) -> Work<Option<Attached>> {
        let again = self.again.take().map(|(head, body)| {
            self.body = Some(body);
            head
        });
        let connections = self.connections.clone();
        Box::pin(async move {
            let Some(fresh) = connections.token_refused(&refused).await? else { return Ok(None) };
            let Some(head) = again else { return Ok(None) };
            attach_token(&connections, fresh, head).await.map(Some)
        })
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<R>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let of_service = |error: S::Error| Error::Service(error.into());
        loop {
            match &mut this.state {
                State::Attaching(work) => {
                    let attached = ready!(work.as_mut().poll(cx)).map_err(Error::Connection)?;
                    this.token = Some(attached.token);
                    this.send(attached.head);
                }
                State::Sending(sending) => {
                    let response = ready!(sending.as_mut().poll(cx)).map_err(of_service)?;
                    // The second attempt has none: its answer is the answer.
                    let is_refused = BearerChallenge::refuses_token(response.status(), response.headers());
                    match this.token.take().filter(|_| is_refused) {
                        Some(refused) => this.state = State::Replacing(this.replace(refused), Some(response)),
                        None => return Poll::Ready(Ok(response)),
                    }
                }
                State::Replacing(work, response) => {
                    let replaced = ready!(work.as_mut().poll(cx)).map_err(Error::Connection)?;
                    match (replaced, response.take()) {
                        (None, Some(response)) => return Poll::Ready(Ok(response)),
                        (attached, _) => {
                            this.state = State::Waiting(attached.map(|attached| Box::new(attached.head)))
                        }
                    }
                }
                State::Waiting(head) => {
                    ready!(this.inner.poll_ready(cx)).map_err(of_service)?;
                    let Some(head) = head.take() else { return Poll::Pending };
                    this.send(*head);
                }
            }
        }
    }
}

/// What is pinned is on the heap.
impl<S, B> Unpin for ResponseFuture<S, B> where S: Service<Request<B>> {}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
