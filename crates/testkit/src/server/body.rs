//! A response body that can drip, stall, or end the connection.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::wire::{End, How, NoError};

pub(super) enum Step {
    Send(Bytes),
    /// Nothing more, with the connection open.
    Stall,
    /// The connection ends as soon as everything before is written.
    Last(Arc<End>, How),
}

pub(super) enum Body {
    Whole(Option<Bytes>),
    Steps(VecDeque<Step>),
    Dripping { rest: Bytes, pause: Duration, sleep: Pin<Box<Sleep>> },
    Padded { start: Option<Bytes>, rest: u64 },
}

impl Body {
    pub(super) fn whole(body: Bytes) -> Self {
        Self::Whole(Some(body).filter(|body| !body.is_empty()))
    }

    pub(super) fn steps<const N: usize>(steps: [Step; N]) -> Self {
        Self::Steps(steps.into())
    }

    pub(super) fn dripping(rest: Bytes, pause: Duration) -> Self {
        Self::Dripping { rest, pause, sleep: Box::pin(sleep(pause)) }
    }

    pub(super) fn padded(start: Bytes, size: u64) -> Self {
        let rest = size.saturating_sub(u64::try_from(start.len()).unwrap_or(u64::MAX));
        Self::Padded { start: Some(start), rest }
    }
}

/// Real time, and not the server's clock: the pause is what the client is to feel.
#[allow(clippy::disallowed_methods, reason = "the pause is the fault")]
pub(super) fn sleep(pause: Duration) -> Sleep {
    tokio::time::sleep(pause)
}

static SPACES: [u8; 1 << 16] = [b' '; 1 << 16];

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = NoError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NoError>>> {
        let frame = match &mut *self {
            Self::Whole(body) => body.take(),
            Self::Steps(steps) => match steps.pop_front() {
                None => None,
                Some(Step::Send(bytes)) => Some(bytes),
                Some(Step::Stall) => {
                    steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
                Some(Step::Last(end, how)) => {
                    // The flush that follows a pending body carries it out.
                    end.set(how);
                    steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
            },
            Self::Dripping { rest, .. } if rest.is_empty() => None,
            Self::Dripping { rest, pause, sleep } => {
                std::task::ready!(sleep.as_mut().poll(cx));
                sleep.set(self::sleep(*pause));
                Some(rest.split_to(1))
            }
            Self::Padded { start, rest } => match start.take() {
                Some(start) => Some(start),
                None if *rest == 0 => None,
                None => {
                    let length = usize::try_from(*rest).unwrap_or(usize::MAX).min(SPACES.len());
                    *rest = rest.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                    Some(Bytes::from_static(&SPACES).slice(..length))
                }
            },
        };
        Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => {
                let length = body.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            _ => SizeHint::default(),
        }
    }
}
