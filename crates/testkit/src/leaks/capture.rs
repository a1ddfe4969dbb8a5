//! Everything that is logged, at TRACE.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use super::{Leak, LeakDetector};

/// Holds everything that was logged, by any crate, at every level down to TRACE: a [`MakeWriter`] over memory.
///
/// ```
/// use authflow_testkit::{LeakDetector, LogCapture};
///
/// let leaks = LeakDetector::new();
/// leaks.plant("access token", "planted-access-1");
/// let log = LogCapture::new();
/// tracing::subscriber::with_default(log.subscriber(), || tracing::trace!(status = 200, "answered"));
/// assert!(log.text().contains("answered"));
/// log.scan(&leaks);
/// leaks.assert_clean();
/// ```
#[derive(Clone, Debug, Default)]
pub struct LogCapture(Arc<Mutex<Vec<u8>>>);

impl LogCapture {
    /// An empty capture.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A subscriber that writes all spans and events here, such as for [`tracing::subscriber::set_default`].
    pub fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish()
    }

    /// Captures the whole process from now on, records of the crate `log` too. The way for tests with many threads, in a
    /// test program of their own.
    ///
    /// # Errors
    ///
    /// If the process has a subscriber already.
    pub fn install(&self) -> Result<(), TryInitError> {
        self.subscriber().try_init()
    }

    /// What was logged so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer()).into_owned()
    }

    /// Looks through what was logged so far.
    pub fn scan(&self, leaks: &LeakDetector) -> Vec<Leak> {
        leaks.scan_named("the log", self.text())
    }

    fn buffer(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for LogCapture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogCapture {
    type Writer = Self;

    fn make_writer(&'w self) -> Self::Writer {
        self.clone()
    }
}
