//! Which requests may be sent a second time, and how their bodies are kept for it.

/// In a request's extensions: it may be sent a second time after a 401, although its method is not idempotent (RFC 9110
/// §9.2.2). An API that checks the token first has done nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replayable;

/// How the body of a request is kept for the case that the request is sent a second time.
///
/// Every `Fn(&B) -> Option<B>` is one; see [`ConnectionLayer::keep_body`](crate::ConnectionLayer::keep_body).
pub trait KeepBody<B> {
    /// The same body once more, whole; `None` if it cannot be had twice, and then the request is sent once. It is asked for
    /// those requests only that may be sent a second time.
    fn keep(&self, body: &B) -> Option<B>;
}

/// Clones the body: for those that hold all of their bytes, such as `http_body_util::Full<Bytes>`, `Empty` or `String`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CloneBody;

impl<B: Clone> KeepBody<B> for CloneBody {
    fn keep(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

/// Keeps no body, of whatever type: each request is sent once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SendOnce;

impl<B> KeepBody<B> for SendOnce {
    fn keep(&self, _: &B) -> Option<B> {
        None
    }
}

impl<B, F: Fn(&B) -> Option<B>> KeepBody<B> for F {
    fn keep(&self, body: &B) -> Option<B> {
        self(body)
    }
}
