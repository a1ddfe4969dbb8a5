//! Throwaway servers for the tests and the benches of this workspace: each on a free loopback port and in a directory of its
//! own, gone with the value that stands for it.
//!
//! Whatever goes wrong fails the test, and a program that is missing is named with the package that has it.

#![cfg(unix)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot start fails")]

mod pgbouncer;
mod process;
mod program;
mod server;
mod session;

pub use self::pgbouncer::PgBouncer;
pub use self::process::free_port;
pub use self::server::{Kind, Server};
pub use self::session::Session;
