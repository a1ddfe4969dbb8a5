//! What can go wrong, and what a person can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use authflow_core::{Error, ErrorKind, StoreError, StoreErrorKind};

/// Why a directory cannot be used, or a file in it not be read or written: what
/// [`FileTokenStore::open`](crate::FileTokenStore::open) and [`FileStateStore::open`](crate::FileStateStore::open) return, and the `source()` of a
/// [`StoreError`].
///
/// It names a path. Paths in the store are hashes; they name no user and no state.
#[derive(Debug)]
pub struct FileStoreError {
    kind: FileStoreErrorKind,
    path: PathBuf,
    source: Option<io::Error>,
}

/// The kind of a [`FileStoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileStoreErrorKind {
    /// Other users of the machine may read or change it.
    Shared {
        /// Its mode, as `chmod` writes it.
        mode: u32,
        /// Whether it is a directory.
        directory: bool,
    },
    /// It belongs to another user.
    Foreign {
        /// The number of the owner.
        owner: u32,
        /// The number of the user of this process.
        user: u32,
    },
    /// It is a symbolic link.
    Symlink,
    /// Something else is where a directory should be.
    NotADirectory,
    /// Something else is where a file should be.
    NotAFile,
    /// It is on a file system that several machines share: their locks and clocks do not hold for one another.
    NetworkFileSystem,
    /// The machine does not say since when it runs.
    NoMachineClock,
    /// Another process held the lock for as long as this one waits.
    Locked,
    /// The file is not what this release writes: cut off, damaged, in another format or in another's place.
    Unreadable(Damage),
    /// What is to be written is longer than a store takes.
    TooLong,
    /// There is no tokio runtime, or it is ending.
    NoRuntime,
    /// The operating system refused: what was being done. The reason is the `source()`.
    Io(Doing),
}

/// What is wrong with a file that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// It is not a file of a store, or shorter than one.
    NotARecord,
    /// A newer release wrote it, in the format of this number.
    Format(u8),
    /// A checksum does not agree.
    Checksum,
    /// It is the record of another connection than its name says.
    Elsewhere,
}

/// What the operating system was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// Making it.
    Make,
    /// Opening it.
    Open,
    /// Reading it.
    Read,
    /// Locking it.
    Lock,
    /// Writing it.
    Write,
    /// Bringing it to the disk.
    Sync,
    /// Putting the new one in the place of the old one.
    Replace,
    /// Removing it.
    Remove,
}

impl Doing {
    const fn words(self) -> &'static str {
        match self {
            Self::Make => "cannot be made",
            Self::Open => "cannot be opened",
            Self::Read => "cannot be read",
            Self::Lock => "cannot be locked",
            Self::Write => "cannot be written",
            Self::Sync => "cannot be brought to the disk",
            Self::Replace => "cannot be replaced",
            Self::Remove => "cannot be removed",
        }
    }
}

impl FileStoreError {
    pub(crate) fn new(kind: FileStoreErrorKind, path: impl Into<PathBuf>) -> Self {
        Self { kind, path: path.into(), source: None }
    }

    pub(crate) fn io(doing: Doing, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self { kind: FileStoreErrorKind::Io(doing), path: path.into(), source: Some(source.into()) }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> FileStoreErrorKind {
        self.kind
    }

    /// The directory or the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::error::Error for FileStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl fmt::Display for FileStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.kind {
            FileStoreErrorKind::Shared { mode, directory } => {
                let right = if directory { "700" } else { "600" };
                write!(
                    f,
                    "{path}: its mode is {mode:04o}, so others than its owner may use it; run: chmod {right} '{path}'"
                )
            }
            FileStoreErrorKind::Foreign { owner, user } => write!(
                f,
                "{path}: it belongs to the user {owner}, and this process runs as {user}; name a directory of this \
                 user, or run: chown -R {user} '{path}'"
            ),
            FileStoreErrorKind::Symlink => {
                write!(f, "{path}: it is a symbolic link; name the place itself")
            }
            FileStoreErrorKind::NotADirectory => write!(f, "{path}: it is not a directory"),
            FileStoreErrorKind::NotAFile => write!(f, "{path}: it is not a regular file"),
            FileStoreErrorKind::NetworkFileSystem => write!(
                f,
                "{path}: it is on a network file system, where neither locks nor the clock hold for all machines; name a \
                 directory on a local disk, or use a store on a server"
            ),
            FileStoreErrorKind::NoMachineClock => write!(
                f,
                "{path}: cannot be read, so it is not known since when this machine runs; mount /proc"
            ),
            FileStoreErrorKind::Locked => write!(
                f,
                "{path}: another process holds the lock, and did not let go of it in time; is one stopped?"
            ),
            FileStoreErrorKind::Unreadable(damage) => match damage {
                Damage::NotARecord => write!(f, "{path}: it is cut off, or no record"),
                Damage::Format(format) => write!(
                    f,
                    "{path}: it is in the format {format}, which this release does not know; a newer one wrote it"
                ),
                Damage::Checksum => write!(f, "{path}: its checksum does not agree; it is damaged"),
                Damage::Elsewhere => write!(f, "{path}: it is the record of another connection"),
            },
            FileStoreErrorKind::TooLong => write!(f, "{path}: a record is longer than a store takes"),
            FileStoreErrorKind::NoRuntime => {
                write!(f, "{path}: there is no tokio runtime, or it is ending; call it in one")
            }
            FileStoreErrorKind::Io(doing) => {
                write!(f, "{path}: {}", doing.words())?;
                self.source.as_ref().and_then(hint).map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
        }
    }
}

/// What helps, where the operating system's own words do not say it.
fn hint(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("make room on the disk"),
        io::ErrorKind::PermissionDenied => Some("its directory must belong to this user, with mode 0700"),
        io::ErrorKind::ReadOnlyFilesystem => Some("the file system is mounted read-only"),
        #[cfg(unix)]
        _ if error.raw_os_error().is_some_and(crate::system::is_out_of_files) => {
            Some("the process has too many files open; raise `ulimit -n`")
        }
        _ => None,
    }
}

impl From<FileStoreError> for Error {
    fn from(error: FileStoreError) -> Self {
        let kind = match error.kind {
            FileStoreErrorKind::Io(_) | FileStoreErrorKind::Locked => ErrorKind::StoreUnavailable,
            FileStoreErrorKind::Unreadable(_) => ErrorKind::StoreCorrupt,
            _ => ErrorKind::Configuration,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

/// What an operation on files fails with.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was done.
    NotDone(FileStoreError),
    /// It may have been done.
    Unknown(FileStoreError),
    /// What is there cannot be read.
    Corrupt(FileStoreError),
    /// The incarnation, or the state, is there already.
    Conflict,
    /// The bytes of a pending flow are none that this release reads. The file is gone.
    Flow(StoreError),
}

impl From<FileStoreError> for Failure {
    fn from(error: FileStoreError) -> Self {
        Self::NotDone(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotDone(error) => Self::new(StoreErrorKind::Unavailable).with_source(error),
            Failure::Unknown(error) => Self::new(StoreErrorKind::OutcomeUnknown).with_source(error),
            Failure::Corrupt(error) => Self::new(StoreErrorKind::Corrupt).with_source(error),
            Failure::Flow(error) => error,
            Failure::Conflict => Self::new(StoreErrorKind::Conflict),
        }
    }
}
