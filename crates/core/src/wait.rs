//! Two futures at once, and one that may panic.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// What `work` gives, if it does so before `limit` ends.
#[cfg(feature = "connections")]
pub(crate) async fn within<T>(work: impl Future<Output = T>, limit: impl Future<Output = ()>) -> Option<T> {
    let mut work = pin!(work);
    let mut limit = pin!(limit);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => limit.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// The same with a limit that is made only if `work` has to wait: a timer costs something although it never ends.
#[cfg(feature = "connections")]
pub(crate) async fn within_if_it_waits<T, L: Future<Output = ()>>(
    work: impl Future<Output = T>,
    limit: impl FnOnce() -> L,
) -> Option<T> {
    let mut work = pin!(work);
    if let Poll::Ready(value) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        return Some(value);
    }
    within(work, limit()).await
}

/// What `work` gives, while `companion` runs beside it. One that ends first is not missed.
#[cfg(feature = "connections")]
pub(crate) async fn beside<T>(work: impl Future<Output = T>, companion: impl Future<Output = ()>) -> T {
    let mut work = pin!(work);
    let mut companion = pin!(companion);
    let mut is_over = false;
    poll_fn(|cx| {
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(value);
        }
        if !is_over {
            is_over = companion.as_mut().poll(cx).is_ready();
        }
        Poll::Pending
    })
    .await
}

/// What came of `work`; `None` if it panicked. As a task does, without one.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // Like that of a task that panicked, its state is dropped and never polled again.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// How many bytes a future needs.
#[cfg(all(test, feature = "connections"))]
pub(crate) fn size_of_future<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}
