//! Throwaway servers for the tests and the benches of this workspace: each on a free loopback port and in a directory of its
//! own, gone with the value that stands for it. A program that is killed leaves neither.
//!
//! Whatever goes wrong fails the test, and a program that is missing is named with the package that has it.

#![cfg(unix)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot start fails")]

mod chrome_driver;
mod directory;
mod pgbouncer;
mod process;
mod program;
mod server;
mod session;
mod small_disk;

use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use self::chrome_driver::ChromeDriver;
pub use self::directory::Directory;
pub use self::pgbouncer::PgBouncer;
pub use self::process::{Process, free_port};
pub use self::server::{Kind, Server};
pub use self::session::Session;
pub use self::small_disk::SmallDisk;

/// What stands in `place`, which is started where nobody holds it any more.
fn shared<T>(place: &Mutex<Weak<T>>, start: impl FnOnce() -> T) -> Arc<T> {
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    place.upgrade().unwrap_or_else(|| {
        let started = Arc::new(start());
        *place = Arc::downgrade(&started);
        started
    })
}
