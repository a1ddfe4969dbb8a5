//! How many things begin in a second: each gets a turn, and turns are as far apart as the bound says.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::Clock;

/// A bound per second. Turns are given in the order in which they are asked for.
#[derive(Debug)]
pub(super) struct Pace {
    /// From one turn to the next; zero without a bound.
    apart: Duration,
    /// When the next turn is free, by the monotonic clock.
    next: Mutex<Duration>,
    /// Only the first of those who wait watches the clock: a process that stood still for a while goes on as slowly as before.
    front: Semaphore,
    waiting: AtomicU32,
}

const SECOND: Duration = Duration::from_secs(1);
const NANOSECONDS: u64 = 1_000_000_000;

impl Pace {
    /// At most `per_second` turns in any second; no bound without it.
    pub(super) fn new(per_second: Option<u32>) -> Self {
        // Rounded up: the bound is not passed by a fraction of a nanosecond.
        let apart = per_second.map_or(Duration::ZERO, |turns| {
            Duration::from_nanos(NANOSECONDS.div_ceil(u64::from(turns.max(1))))
        });
        Self { apart, next: Mutex::default(), front: Semaphore::new(1), waiting: AtomicU32::new(0) }
    }

    /// Waits for a turn; whether there is one: after [`close`](Self::close) only who need not wait for it gets one.
    pub(super) async fn turn(&self, clock: &dyn Clock) -> bool {
        if self.apart.is_zero() {
            return true;
        }
        let _waiting = Waiting::new(&self.waiting);
        // After the end nobody stands in front of others.
        let _front = self.front.acquire().await;
        while let Some(left) = self.take(clock.monotonic()) {
            if self.front.is_closed() {
                return false;
            }
            clock.sleep(left).await;
            if self.front.is_closed() {
                return false;
            }
        }
        true
    }

    /// Who waits for a turn, or would have to, gets none any more.
    pub(super) fn close(&self) {
        self.front.close();
    }

    /// Takes the turn, or tells how long it is until there is one.
    fn take(&self, now: Duration) -> Option<Duration> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let left = next.saturating_sub(now);
        if left.is_zero() {
            *next = now.saturating_add(self.apart);
            return None;
        }
        Some(left)
    }

    /// Whether there is a bound.
    pub(super) const fn is_bound(&self) -> bool {
        !self.apart.is_zero()
    }

    /// Whether a turn would come within a second: who is in no hurry asks for one then only, so that who is in a hurry never
    /// stands behind more than that.
    pub(super) fn has_room(&self, now: Duration) -> bool {
        if self.apart.is_zero() {
            return true;
        }
        let queue = self.apart.saturating_mul(self.waiting.load(Ordering::Relaxed));
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.saturating_add(queue) < now.saturating_add(SECOND)
    }
}

/// Somebody who waits, as long as it does.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
