//! How many refreshes run at once at one provider, and who is told that it does not answer.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::wait::within;

use super::failure;

/// For how long a place is waited for at a provider that is silent, and after which time the same connection may ask again.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// The least and the most requests in a row without an answer that make a provider a silent one.
const SILENT_AFTER: (usize, usize) = (2, 8);

/// The places at one provider. One that is silent holds each of them for as long as a request may take, and who waits for one
/// would wait for all before them, without a bound. Who finds a place asks it whatever came before: it may be another of its
/// hosts, or another account, that does not answer.
#[derive(Debug)]
pub(super) struct Places {
    permits: Semaphore,
    silent_after: usize,
    /// How many requests in a row had no answer.
    unanswered: AtomicUsize,
    /// That one more had none, and that it is silent.
    silence: Notify,
}

impl Places {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            permits: Semaphore::new(at_once),
            silent_after: at_once.clamp(SILENT_AFTER.0, SILENT_AFTER.1),
            unanswered: AtomicUsize::new(0),
            silence: Notify::new(),
        }
    }

    /// A place, if there is one now.
    pub(super) fn try_take(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.try_acquire().ok()
    }

    /// Waits for a place. There is none after [`close`](Self::close), and none soon where the provider is silent.
    pub(super) async fn take(&self, clock: &dyn Clock) -> Result<SemaphorePermit<'_>> {
        let mut permit = pin!(self.permits.acquire());
        loop {
            // From here on it is woken, also before it is polled.
            let silence = self.silence.notified();
            let limit = async { if self.is_silent() { clock.sleep(PATIENCE).await } else { silence.await } };
            if let Some(permit) = within(permit.as_mut(), limit).await {
                return permit.map_err(|_| failure::shutting_down());
            }
            if self.is_silent() {
                return Err(silent());
            }
        }
    }

    /// What came of a request: an answer, whatever it says, or none. What fails before it is sent says nothing.
    pub(super) fn heard<T>(&self, answer: &Result<T>) {
        match answer {
            Err(error) if error.kind() == ErrorKind::Network => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                if self.is_silent() {
                    self.silence.notify_waiters();
                }
            }
            Err(error) if error.status().is_none() => {}
            Ok(_) | Err(_) => self.unanswered.store(0, Ordering::Relaxed),
        }
    }

    /// There are no places any more.
    pub(super) fn close(&self) {
        self.permits.close();
    }

    fn is_silent(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) >= self.silent_after
    }
}

fn silent() -> Error {
    Error::new(
        ErrorKind::Network,
        "the last requests to the provider had no answer, and others still wait for one; no refresh was sent, try again later",
    )
    .with_retry_after(Some(PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x11_only_an_answer_ends_the_silence() {
        let places = Places::new(8);
        let no_answer = || Err::<(), _>(Error::new(ErrorKind::Network, "no answer"));
        let unsent = Err::<(), _>(Error::usage("no such scope"));
        let refused = Err::<(), _>(
            Error::new(ErrorKind::InvalidGrant, "refused").with_status(http::StatusCode::BAD_REQUEST),
        );
        for answer in [Ok(()), refused] {
            for _ in 0..7 {
                places.heard(&no_answer());
            }
            places.heard(&unsent);
            assert!(!places.is_silent());
            places.heard(&no_answer());
            places.heard(&unsent);
            assert!(places.is_silent());
            places.heard(&answer);
            assert!(!places.is_silent());
        }
    }

    #[test]
    fn x11_how_many_make_a_silence() {
        for (at_once, silent_after) in [(1, 2), (2, 2), (5, 5), (32, 8), (Semaphore::MAX_PERMITS, 8)] {
            assert_eq!(Places::new(at_once).silent_after, silent_after, "{at_once}");
        }
    }
}
