//! Knows of a request whether it was handed over to a connection.
//!
//! That decides whether a failure leaves the request *not sent* or *unknown*, and reqwest does not tell it. What can be
//! seen is the body, since it travels with the request. Until there is a connection, both are part of the future that
//! sends the request. Then they go to the task of the connection, which reads the body, or drops it where it is empty.
//! So a body that is dropped unread by our own future was never in anyone's hands.

use std::cell::Cell;
use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use authflow_core::Delivery;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Not read, not dropped.
const UNTOUCHED: u8 = 0;
/// Read, or dropped elsewhere: a connection had the request.
const HANDED_OVER: u8 = 1;
/// Dropped by our own future: nobody had the request.
const KEPT: u8 = 2;

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Runs what belongs to the future that sends a request: making, polling and dropping it.
pub(crate) fn ours<T>(run: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            OURS.set(self.0);
        }
    }
    let _restore = Restore(OURS.replace(true));
    run()
}

/// A body to be sent, and what becomes of it. It cannot be copied, so that nobody below sends it twice: a client that
/// follows redirects stops at one that would send it elsewhere.
pub(crate) fn body(bytes: Bytes) -> (reqwest::Body, Handover) {
    let state = Arc::new(AtomicU8::new(UNTOUCHED));
    let body = reqwest::Body::wrap(Body { bytes, state: Arc::clone(&state) });
    (body, Handover { state })
}

/// What became of a body.
pub(crate) struct Handover {
    state: Arc<AtomicU8>,
}

impl Handover {
    /// Whether no connection has begun with the request; it may yet be in line for one.
    pub(crate) fn is_pending(&self) -> bool {
        self.state.load(Ordering::Acquire) == UNTOUCHED
    }

    /// What is known of a request once the future that sends it is gone.
    pub(crate) fn delivery(&self) -> Delivery {
        if self.state.load(Ordering::Acquire) == KEPT { Delivery::NotSent } else { Delivery::Unknown }
    }
}

struct Body {
    bytes: Bytes,
    state: Arc<AtomicU8>,
}

impl Body {
    /// The first event counts.
    fn note(&self, event: u8) {
        let _ = self.state.compare_exchange(UNTOUCHED, event, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.note(HANDED_OVER);
        let bytes = mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.note(if OURS.get() { KEPT } else { HANDED_OVER });
    }
}
