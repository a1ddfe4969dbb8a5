//! The suites bite: each check fails for an implementation that is broken in the way that it is about.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod broken_managers;
mod broken_stores;
mod broken_token_stores;
mod managers;
mod stores;
mod token_stores;
