//! The application is told what came of it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::accounts::Inner;
use crate::application::BoxError;
use crate::outcome::Outcome;

impl Inner {
    /// [`Application::after`](crate::Application::after). One that panics has failed: whatever it is told of is done, and the same
    /// request would not do it again.
    pub(crate) async fn tell(
        &self,
        parts: &Parts,
        outcome: &Outcome,
        answer: &mut Response<Bytes>,
    ) -> Result<(), BoxError> {
        // Within, for a method that is no `async fn` may panic before there is a future.
        let mut told = pin!(async { self.application.after(parts, outcome, answer).await });
        poll_fn(|cx| {
            // Like that of a task that panicked, its state is dropped and never polled again.
            catch_unwind(AssertUnwindSafe(|| told.as_mut().poll(cx))).unwrap_or_else(|_| {
                Poll::Ready(Err("the application's own `Application::after` panicked".into()))
            })
        })
        .await
    }
}
