//! What is asked of the operating system.
//!
//! `unix` goes from directory to file by descriptors, so that nothing is followed or replaced between a check and its use.
//! `portable` is for all others; it is tested on Unix too.

#[cfg(any(not(unix), test))]
#[cfg_attr(unix, allow(dead_code, reason = "tested here, used elsewhere"))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use self::portable::{Dir, machine_time};
#[cfg(unix)]
pub(crate) use self::unix::{Dir, is_out_of_files, machine_time};

/// How a file that holds a lock is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockFile {
    /// As it is; where there is none, there is nothing to lock.
    AsItIs,
    /// Made where there is none.
    Made,
}

/// The clock where the system has none that all processes share and nobody sets.
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(all(test, target_os = "linux"), allow(dead_code, reason = "for other systems"))]
fn wall_time() -> crate::machine_time::MachineTime {
    use authflow_core::Clock as _;
    let now = authflow_core::SystemClock::new().now();
    let since = now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    crate::machine_time::MachineTime::new(*b"the wall clock..", since)
}
