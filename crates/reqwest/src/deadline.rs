//! The deadlines of one request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use authflow_core::{Clock, Limits};

type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Both deadlines with one timer, since most requests reach neither: it ends with the first, and begins again if that
/// one has lost its meaning.
pub(crate) struct Deadline<'a> {
    clock: &'a dyn Clock,
    connect: Duration,
    /// Times on the monotonic clock.
    total: Duration,
    next: Duration,
    sleep: Sleep<'a>,
}

/// A deadline that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Connect,
    Total,
}

impl<'a> Deadline<'a> {
    pub(crate) fn new(clock: &'a dyn Clock, limits: &Limits) -> Self {
        let first = limits.connect.min(limits.total);
        let now = clock.monotonic();
        Self {
            clock,
            connect: limits.connect,
            total: now.saturating_add(limits.total),
            next: now.saturating_add(first),
            sleep: clock.sleep(first),
        }
    }

    /// Begins the deadline for a connection again.
    pub(crate) fn restart_connect(&mut self) {
        let now = self.clock.monotonic();
        self.sleep_until(now.saturating_add(self.connect).min(self.total), now);
    }

    /// Whether some of the total is left after a pause.
    pub(crate) fn has_time_for(&self, pause: Duration) -> bool {
        self.clock.monotonic().saturating_add(pause) < self.total
    }

    /// Ready when a deadline passes: the one for the connection once, the total one for ever.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Passed> {
        ready!(self.sleep.as_mut().poll(cx));
        if self.next == self.total {
            // A timer that has ended is not polled again.
            self.sleep = Box::pin(std::future::ready(()));
            return Poll::Ready(Passed::Total);
        }
        self.sleep_until(self.total, self.clock.monotonic());
        Poll::Ready(Passed::Connect)
    }

    fn sleep_until(&mut self, next: Duration, now: Duration) {
        self.next = next;
        self.sleep = self.clock.sleep(next.saturating_sub(now));
    }
}
