//! A directory that ends with its value, and with the process that holds the value.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Removes a directory once the pipe is closed. It tries again while a server that is about to end still writes, and not for
/// ever where something cannot be removed.
const REMOVE: &str =
    r#"read -r _; n=0; while rm -rf "$0"; [ -e "$0" ] && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done"#;

/// A directory of its own, gone with the value that stands for it, and also where that one is never dropped: with the process.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    guard: Child,
}

impl Directory {
    /// Among the temporary files.
    #[must_use]
    pub fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// In another place than usual.
    #[must_use]
    pub fn within(place: &Path) -> Self {
        let made = tempfile::Builder::new().prefix("authflow-").tempdir_in(place).unwrap();
        // A group of its own: what ends the tests from a terminal does not end this.
        let mut guard = Command::new("sh");
        guard.args(["-c", REMOVE]).arg(made.path()).current_dir("/").process_group(0);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guard = guard.spawn().unwrap();
        Self { path: made.keep(), guard }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _status = self.guard.wait();
    }
}
