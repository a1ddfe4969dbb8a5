//! A file system that a test can fill.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::directory::Directory;
use crate::program::{text, user};

/// Names the directory to the process that runs in the file system.
const DIRECTORY: &str = "AUTHFLOW_TEST_SMALL_DISK";

/// How long a test on such a disk may take, in seconds.
const LIMIT: &str = "900";

/// What is free on a disk that is large enough for what is on it, in bytes.
const LEAST: u64 = 256 * 1024;

/// A tmpfs of a few megabytes, in a name space of its own that goes with the process that is in it.
#[derive(Debug)]
pub struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    /// Runs the test of this name in a process and on a disk of its own, for which this returns the disk. The process that
    /// began gets none, once the test has passed there.
    ///
    /// The size is one that `mount` understands.
    #[must_use]
    pub fn of(test: &str, size: &str) -> Option<Self> {
        if let Some(directory) = std::env::var_os(DIRECTORY) {
            return Some(Self { directory: directory.into() });
        }
        let directory = Directory::new();
        // Servers that root starts are other users, and each makes a directory of its own.
        let mount = format!("mount -t tmpfs -o size={size},mode=1777 none '{}'", text(directory.path()));
        // Root may be without user name spaces, and there are no other users in one: the servers' are not. Everybody else
        // needs one to mount, and has to be who he was again in another one within: PostgreSQL does not run as root.
        let as_before = format!("{mount} && exec unshare --user --map-user={} \"$0\" \"$@\"", user());
        let as_root = format!("{mount} && exec \"$0\" \"$@\"");
        let ways: [(&[&str], &str); 2] =
            [(&["unshare", "--mount"], &as_root), (&["unshare", "--map-root-user", "--mount"], &as_before)];
        // A system may give out a name space and allow nothing in it.
        let works = |(way, script): &&(&[&str], &str)| {
            let can = Command::new(way[0]).args(&way[1..]).args(["sh", "-c", script, "true"]).output();
            can.is_ok_and(|output| output.status.success())
        };
        let (way, script) = ways.iter().find(works).expect(
            "this test mounts a small tmpfs: install unshare (util-linux), and run it as root or allow user name spaces \
             (sysctl kernel.unprivileged_userns_clone=1 or, where there is that, \
             kernel.apparmor_restrict_unprivileged_userns=0)",
        );
        // All of it is one process, from `unshare` to the test, which its own patience ends earlier.
        let child = Command::new("timeout")
            .args(["--foreground", "--signal=KILL", LIMIT])
            .args(*way)
            .args(["sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(DIRECTORY, directory.path())
            .output()
            .unwrap();
        let (said, complained) =
            (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        let how = child.status;
        assert!(how.success() && said.contains("1 passed"), "{how} within {LIMIT} s: {said}{complained}");
        None
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Leaves no room on it. There has to be some: what began on a full disk shows nothing.
    pub fn fill(&self) {
        let mut file = File::options().append(true).create(true).open(self.filler()).unwrap();
        // Until not even one page is left.
        for at_once in [1 << 20, 4096] {
            let page = vec![0; at_once];
            let full = (0..).find_map(|_| file.write_all(&page).err()).unwrap();
            assert_eq!(full.kind(), ErrorKind::StorageFull);
        }
        let room = file.metadata().unwrap().len();
        assert!(room >= LEAST, "only {room} bytes were free on {self:?}: this test needs a larger disk");
    }

    /// There is room again.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.directory.join("filler")
    }
}
