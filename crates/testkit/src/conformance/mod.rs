//! Suites that hold an implementation to the contract of its trait.
//!
//! [`state_store_conformance!`](crate::state_store_conformance) is for a [`StateStore`](authflow_core::StateStore),
//! [`token_store_conformance!`](crate::token_store_conformance) for a [`TokenStore`](authflow_core::TokenStore),
//! [`provider_conformance!`](crate::provider_conformance) for a [`FlowManager`](authflow_core::FlowManager). Each makes a
//! module with one test for each behaviour, so that the output of `cargo test` names what does not hold. The same checks
//! are plain functions in [`state_store`], [`token_store`] and [`provider`], for those who have a harness of their own.

mod macros;
pub mod provider;
pub mod state_store;
pub mod token_store;
mod token_store_macro;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io::Write as _;

/// Why an implementation does not conform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Cow<'static, str>);

impl Failure {
    /// A failure, in words that name what was expected and what came instead. No secret belongs into them.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// What came of a check that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The behaviour holds.
    Held,
    /// The check does not apply to this implementation, and why.
    Skipped(&'static str),
}

/// What a check returns.
pub type Outcome = Result<Verdict, Failure>;

/// Runs one check on a runtime with several threads, as a test does.
///
/// Why a check was skipped goes to stderr, past the test harness, which would show it for failed tests only.
///
/// # Panics
///
/// If the check fails, or if no runtime can be started.
#[track_caller]
pub fn run(name: &str, check: impl Future<Output = Outcome>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(check),
        Err(error) => Err(Failure::new(format!("no runtime could be started: {error}"))),
    };
    match outcome {
        Ok(Verdict::Held) => {}
        Ok(Verdict::Skipped(reason)) => {
            let _ = std::io::stderr().write_all(format!("{name} is skipped: {reason}\n").as_bytes());
        }
        Err(failure) => panic!("{name} does not hold: {failure}"),
    }
}

/// A check of the suites: an error unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Failure::new(format!($($message)+)));
        }
    };
}

/// `Ok`'s value, or a failure that says what was done and which error came.
macro_rules! succeed {
    ($result:expr, $($what:tt)+) => {
        match $result {
            Ok(value) => value,
            Err(error) => {
                return Err($crate::conformance::Failure::new(format!(
                    "{} failed: {}",
                    format_args!($($what)+),
                    $crate::conformance::chain(&error)
                )));
            }
        }
    };
}

pub(crate) use {ensure, succeed};

/// An error with all its sources.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}
