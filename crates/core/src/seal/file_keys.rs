//! A key ring in a file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::key_ring::KeyRing;
use super::sources::KeySource;
use crate::error::{Error, ErrorKind, Result};

/// More than any key ring needs.
const MAX_LENGTH: u64 = 64 * 1024;

/// A key ring in a file, in its [text form](KeyRing); each entry may have a line of its own.
///
/// The file is refused, with what to do about it, unless it is a regular file and no symbolic link. On Unix its mode must
/// let in nobody but its owner (`0600` or `0400`), and on Linux the owner must be the user of this process, or root. On
/// Windows neither is checked, since the standard library reads no access control list: a file in the user's profile
/// is closed to other users there by default.
///
/// A mounted secret that is a symbolic link (Kubernetes) or readable by a group is refused too: give it to the process as an
/// environment variable, or write a [`KeySource`] that knows why it is safe.
#[derive(Clone, Debug)]
pub struct FileKeys {
    path: PathBuf,
}

impl FileKeys {
    /// The key ring in the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Reads the file. It blocks, for as long as the file system does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`], naming the file: there is none, it is not safe, or it does not hold a key ring.
    /// [`ErrorKind::KeysUnavailable`] if it cannot be read for another reason.
    pub fn read(&self) -> Result<KeyRing> {
        let file = self.open()?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LENGTH as usize + 1));
        // The room is there from the start: a buffer that grows would leave parts of the keys behind.
        file.take(MAX_LENGTH + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.failed("cannot be read", error))?;
        if bytes.len() as u64 > MAX_LENGTH {
            return Err(self.refused("it is longer than 64 KiB, and so no key ring"));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| self.refused("it is not text; a key ring is ID:KEY, the writing one first"))?;
        KeyRing::parse(text).map_err(|error| self.refused(&error.to_string()))
    }

    /// Reads the file; where there is none, makes one with a new key, mode `0600`. Of any number of processes that do this at
    /// once, all get the same key.
    ///
    /// Whoever loses this file loses what it sealed.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); [`ErrorKind::Randomness`]; [`ErrorKind::Configuration`] if the directory is missing or not
    /// writable.
    pub fn read_or_create(&self) -> Result<KeyRing> {
        if fs::symlink_metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            self.create()?;
        }
        self.read()
    }

    /// Puts a whole file in place, or leaves the one that another process put there.
    fn create(&self) -> Result<()> {
        let ring = KeyRing::generate()?;
        let mut name =
            self.path.file_name().ok_or_else(|| self.refused("it is not the name of a file"))?.to_owned();
        name.push(format!(".{}.new", ring.writing_id()));
        let written = self.path.with_file_name(name);
        let result = write_new(&written, ring.to_text().expose()).and_then(|()| {
            // A link never replaces what is there, as a rename would.
            match fs::hard_link(&written, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            }
        });
        // Whether or not it was linked, this name has done its work.
        let removed = fs::remove_file(&written);
        result.and(removed).and_then(|()| sync_directory(&self.path)).map_err(|error| {
            let message =
                "cannot be made; is its directory there and writable, and on a file system with hard links?";
            self.fault(ErrorKind::Configuration, message).with_source(error)
        })
    }

    fn open(&self) -> Result<File> {
        let failed = |error: io::Error| {
            match error.kind() {
            io::ErrorKind::NotFound => self.refused(
                "there is none; make one with mode 0600 and a line ID:KEY, such as `k1:` and what `openssl rand -base64 \
                 32` prints",
            ),
            io::ErrorKind::PermissionDenied => self.refused("this process may not read it"),
            _ => self.failed("cannot be read", error),
        }
        };
        // Looked at before it is opened: opening a pipe would wait for ever, and a link is not followed.
        let seen = fs::symlink_metadata(&self.path).map_err(failed)?;
        if seen.file_type().is_symlink() {
            return Err(self.refused("it is a symbolic link; name the file itself"));
        }
        if !seen.is_file() {
            return Err(self.refused("it is not a regular file"));
        }
        let file = File::open(&self.path).map_err(failed)?;
        let opened = file.metadata().map_err(failed)?;
        self.check(&seen, &opened)?;
        Ok(file)
    }

    #[cfg(unix)]
    fn check(&self, seen: &Metadata, opened: &Metadata) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        if (seen.dev(), seen.ino()) != (opened.dev(), opened.ino()) || !opened.is_file() {
            return Err(self.failed("was replaced while it was opened", io::ErrorKind::Interrupted.into()));
        }
        let mode = opened.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(self.refused(&format!(
                "its mode is {mode:04o}, so others than its owner may use it; chmod 600 it, and take a new key if others \
                 may have read it"
            )));
        }
        // Elsewhere it follows from the mode, but for root: who is not the owner could not have opened it.
        if effective_user().is_some_and(|user| ![0, user].contains(&opened.uid())) {
            return Err(self.refused("it belongs to another user, who can change it; chown it"));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn check(&self, _: &Metadata, opened: &Metadata) -> Result<()> {
        if opened.is_file() { Ok(()) } else { Err(self.refused("it is not a regular file")) }
    }

    fn refused(&self, what: &str) -> Error {
        self.fault(ErrorKind::Configuration, what)
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        self.fault(ErrorKind::KeysUnavailable, what).with_source(error)
    }

    fn fault(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("the key file {}: {what}", self.path.display()))
    }
}

#[async_trait]
impl KeySource for FileKeys {
    async fn key_ring(&self) -> Result<KeyRing> {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.read();
        };
        let source = self.clone();
        runtime.spawn_blocking(move || source.read()).await.map_err(|error| {
            self.fault(ErrorKind::KeysUnavailable, "could not be read, for the program is ending")
                .with_source(error)
        })?
    }

    fn check(&self) -> Result<()> {
        match self.read() {
            Err(error) if error.kind() == ErrorKind::Configuration => Err(error),
            // What cannot be read now may be readable later.
            _ => Ok(()),
        }
    }
}

/// The user of this process as Linux tells it in a file. The owner of `/proc/self` would not do: that is root for a process
/// that lets nobody look at its memory.
#[cfg(unix)]
fn effective_user() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// A name is kept by its directory.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
