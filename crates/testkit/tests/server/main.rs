//! The authorization server, held to the RFCs, to the providers' wire formats and to its own faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod authorization;
mod contentstack;
mod faults;
mod ledger;
mod page;
mod revocation;
mod stackexchange;
mod support;
mod token;
mod transport;
mod user;
