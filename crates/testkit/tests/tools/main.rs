//! The manual clock, the two HTTP clients, and the detector of secrets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod clock;
mod flow;
mod leaks;
mod loopback;
mod scripted;
