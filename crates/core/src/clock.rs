//! Time as an argument.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;

/// Where time comes from. Everything in authflow that waits or compares times asks a clock, so that a test can move it.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. It may step backwards.
    fn now(&self) -> SystemTime;

    /// Time since an arbitrary origin of this process. It never steps backwards.
    fn monotonic(&self) -> Duration;

    /// Returns when `duration` of monotonic time has passed.
    async fn sleep(&self, duration: Duration);
}

/// The operating system's clock, and tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The clock of this process.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
#[allow(clippy::disallowed_methods, reason = "this is the one place that asks the operating system")]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        ORIGIN.get_or_init(Instant::now).elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// `time + duration`, or the latest time that can be held.
pub(crate) fn saturating_add(time: SystemTime, duration: Duration) -> SystemTime {
    time.checked_add(duration).unwrap_or_else(far_future)
}

/// The year 9999: later than anything that a provider can mean, and still a number that every format can hold.
pub(crate) fn far_future() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799)
}
