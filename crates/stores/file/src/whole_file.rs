//! One file of a directory: read whole, or put in its place in one step.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use zeroize::Zeroizing;

use crate::error::{Damage, Doing, Failure, FileStoreError, FileStoreErrorKind};
use crate::names::NEW;
use crate::system::Dir;

/// Reads a file of at most `longest` bytes, if it is there.
pub(crate) fn read(
    dir: &Dir,
    name: &str,
    longest: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, FileStoreError> {
    let Some(file) = dir.open_file(name)? else { return Ok(None) };
    let failed = |error: io::Error| FileStoreError::io(Doing::Read, dir.path(name), error);
    let length = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(usize::MAX);
    if length > longest {
        let too_long = FileStoreErrorKind::Unreadable(Damage::NotARecord);
        return Err(FileStoreError::new(too_long, dir.path(name)));
    }
    // The room is there from the start: a buffer that grows would leave parts behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
    File::take(file, length as u64).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Whether the reason is this one file, and no other would be read either way.
pub(crate) fn is_about_the_file(error: &FileStoreError) -> bool {
    matches!(
        error.kind(),
        FileStoreErrorKind::Symlink
            | FileStoreErrorKind::NotAFile
            | FileStoreErrorKind::Shared { .. }
            | FileStoreErrorKind::Foreign { .. }
            | FileStoreErrorKind::Unreadable(_)
    )
}

/// Puts a file with these bytes in the place of what has the name, if anything has. Whoever calls this holds the lock.
pub(crate) fn replace(dir: &Dir, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    write_new(dir, bytes)?;
    let failed = |doing, error: io::Error| FileStoreError::io(doing, dir.path(name), error);
    match publish(|| dir.replace(NEW, name), || dir.sync()) {
        Published::Done => Ok(()),
        Published::Refused(error) => {
            drop_new(dir);
            Err(Failure::NotDone(failed(Doing::Replace, error)))
        }
        Published::Unknown(doing, error) => Err(Failure::Unknown(failed(doing, error))),
    }
}

/// Removes a file, so that no loss of power brings it back; `false` if it was not there.
pub(crate) fn remove(dir: &Dir, name: &str) -> Result<bool, Failure> {
    let failed = |doing, error: io::Error| FileStoreError::io(doing, dir.path(name), error);
    match dir.remove(name) {
        Ok(false) => Ok(false),
        Ok(true) => match dir.sync() {
            Ok(()) => Ok(true),
            Err(error) => Err(Failure::Unknown(failed(Doing::Sync, error))),
        },
        Err(error) if refuses(&error) => Err(Failure::NotDone(failed(Doing::Remove, error))),
        Err(error) => Err(Failure::Unknown(failed(Doing::Remove, error))),
    }
}

/// Writes the bytes to the disk, under a name that is nobody's.
fn write_new(dir: &Dir, bytes: &[u8]) -> Result<(), FileStoreError> {
    // What a writer left that was killed. Whoever is here holds the lock, so nobody writes it.
    drop_new(dir);
    let failed = |doing| move |error| FileStoreError::io(doing, dir.path(NEW), error);
    let mut file = dir.create_new(NEW).map_err(failed(Doing::Make))?;
    let written = file.write_all(bytes).map_err(failed(Doing::Write));
    let written = written.and_then(|()| file.sync_all().map_err(failed(Doing::Sync)));
    if written.is_err() {
        drop_new(dir);
    }
    written
}

fn drop_new(dir: &Dir) {
    // If it stays, making it anew says why.
    let _ = dir.remove(NEW);
}

/// What came of giving a file its name.
#[derive(Debug)]
enum Published {
    Done,
    /// It does not have the name.
    Refused(io::Error),
    /// It may have the name, or not, after the next loss of power.
    Unknown(Doing, io::Error),
}

fn publish(rename: impl FnOnce() -> io::Result<()>, sync: impl FnOnce() -> io::Result<()>) -> Published {
    match rename() {
        Ok(()) => match sync() {
            Ok(()) => Published::Done,
            Err(error) => Published::Unknown(Doing::Sync, error),
        },
        Err(error) if refuses(&error) => Published::Refused(error),
        Err(error) => Published::Unknown(Doing::Replace, error),
    }
}

/// Whether a rename or a removal that fails so has changed nothing. An error of the device does not say.
fn refuses(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::ResourceBusy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(kind: io::ErrorKind) -> io::Result<()> {
        Err(kind.into())
    }

    #[test]
    fn x10_a_rename_that_is_refused_has_done_nothing() {
        for kind in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::IsADirectory,
        ] {
            let published = publish(|| failing(kind), || Ok(()));
            assert!(matches!(published, Published::Refused(_)), "{published:?}");
        }
    }

    #[test]
    fn x10_an_error_of_the_device_leaves_the_outcome_open() {
        let device = || Err(io::Error::other("EIO"));
        assert!(matches!(publish(device, || Ok(())), Published::Unknown(Doing::Replace, _)));
        assert!(matches!(publish(|| Ok(()), device), Published::Unknown(Doing::Sync, _)));
        // Whatever the reason: the file has its name, and may lose it.
        let full = publish(|| Ok(()), || failing(io::ErrorKind::StorageFull));
        assert!(matches!(full, Published::Unknown(Doing::Sync, _)), "{full:?}");
        assert!(matches!(publish(|| Ok(()), || Ok(())), Published::Done));
    }
}
