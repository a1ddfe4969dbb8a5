//! How many files the process may still open.

use std::fs::File;
use std::io;

use crate::failure::Failure;

/// What the runtime, a listener, a store, the keyring and a request have open at once. With fewer, some of them do not fail: they
/// panic.
const NEEDED: usize = 32;

/// Finds out before anything is begun, so that nothing breaks off in the middle.
pub(crate) fn check() -> Result<(), Failure> {
    match files(NEEDED) {
        NEEDED.. => Ok(()),
        few => Err(Failure::local(format!(
            "the program can open {few} more files, and needs {NEEDED}\n  what to do: raise the limit: `ulimit -n 1024`; nothing \
             was begun"
        ))),
    }
}

/// How many more files can be opened now, up to `most`.
pub(crate) fn files(most: usize) -> usize {
    if cfg!(not(unix)) {
        return most;
    }
    let mut open = Vec::with_capacity(most);
    while open.len() < most {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) if is_exhaustion(&error) => break,
            // It is not there: then nobody knows.
            Err(_) => return most,
        }
    }
    open.len()
}

/// `EMFILE` and `ENFILE`, which have no `ErrorKind`.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}
