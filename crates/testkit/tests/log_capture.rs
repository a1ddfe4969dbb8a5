//! The capture of the whole process: a test program of its own, for a process has one subscriber.

#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use authflow_testkit::{LeakDetector, LogCapture};

#[test]
fn h1_what_any_thread_logs_is_captured_down_to_trace() {
    let log = LogCapture::new();
    log.install().expect("the first subscriber of this process");
    LogCapture::new().install().expect_err("there can be one only");
    std::thread::spawn(|| tracing::trace!(target: "deep::inside", token = "planted-token-1", "sending"))
        .join()
        .unwrap();
    assert!(log.text().contains("TRACE"), "{}", log.text());
    assert!(log.text().contains("deep::inside"), "{}", log.text());
    let leaks = LeakDetector::new();
    leaks.plant("the token", "planted-token-1");
    assert_eq!(log.scan(&leaks).len(), 1);
    assert_eq!(leaks.found()[0].place(), "the log");
}
