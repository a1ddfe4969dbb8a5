//! Knows of a request that is being polled whether it still waits for its connection.
//!
//! reqwest does not tell when it hands a request to a connection, and that moment decides whether a deadline that
//! passes leaves the request *not sent* or *unknown*. What can be seen is the connector: as long as a request waits,
//! each poll of it polls the future of its new connection too. Once it has a connection, its own or one from the
//! pool, that future is done, or goes on in a task of its own. So a poll that did not reach the connector means that
//! the request is out of our hands.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

thread_local! {
    static WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Polls a request, and tells whether it waits for its connection after that.
pub(crate) fn observe<T>(poll: impl FnOnce() -> T) -> (T, bool) {
    WAITING.set(false);
    let polled = poll();
    (polled, WAITING.replace(false))
}

/// Makes connections visible to [`observe`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObserveConnecting;

impl<S> Layer<S> for ObserveConnecting {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed(inner)
    }
}

/// A connector, or the future of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Observed<T>(T);

impl<S, R> Service<R> for Observed<S>
where
    S: Service<R>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        noted(self.0.poll_ready(cx))
    }

    fn call(&mut self, request: R) -> Self::Future {
        Observed(self.0.call(request))
    }
}

impl<F: Future + Unpin> Future for Observed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        noted(Pin::new(&mut self.0).poll(cx))
    }
}

fn noted<T>(poll: Poll<T>) -> Poll<T> {
    WAITING.set(poll.is_pending());
    poll
}
