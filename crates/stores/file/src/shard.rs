//! The files of one shard: read, replaced in one step, listed.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use authflow_core::{ConnectionKey, Shard, UserTag, Version};
use zeroize::Zeroizing;

use crate::error::{Damage, Doing, Failure, FileStoreError, FileStoreErrorKind};
use crate::format::{self, Head, MAX_FILE, Stored};
use crate::machine_time::MachineTime;
use crate::names::{self, DUE, DuePlace, GONE, LOCK, NEW, Place};
use crate::system::{Dir, LockFile};

/// How many tombstones one change looks at, to let go of those that have ended.
const LOOK_AT: usize = 8;

/// What is at a place.
pub(crate) enum Found {
    Nothing,
    Whole(Stored),
    /// It cannot be read, for this reason. What stands before the sealed bytes may be whole still.
    Unreadable {
        head: Option<Stored>,
        reason: FileStoreError,
    },
}

impl Found {
    /// What is there, where it has to be read.
    pub(crate) fn whole(self) -> Result<Option<Stored>, Failure> {
        match self {
            Self::Nothing => Ok(None),
            Self::Whole(stored) => Ok(Some(stored)),
            Self::Unreadable { reason, .. } => Err(Failure::Corrupt(reason)),
        }
    }

    /// All but the sealed bytes, if that much can be read.
    pub(crate) const fn head(&self) -> Option<&Stored> {
        match self {
            Self::Nothing | Self::Unreadable { head: None, .. } => None,
            Self::Whole(stored) | Self::Unreadable { head: Some(stored), .. } => Some(stored),
        }
    }
}

/// What is done with a shard, and so how it is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Others may look too.
    Look,
    /// Nobody else does anything. A shard that is not there stays so.
    Change,
    /// The same, and it is made where it is not there.
    Make,
}

/// A shard that is locked.
pub(crate) struct Locked {
    dir: Dir,
    /// Ends with this.
    _lock: Option<Lock>,
}

struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would not do while a process that was just forked has a copy of the descriptor.
        let _ = fs4::FileExt::unlock(&self.0);
    }
}

/// What a name in a listing stands for.
pub(crate) enum Named {
    Record(ConnectionKey),
    /// Something that has no key to be named. Who asks for it by its key is told what it is.
    Unreadable,
    /// It is named in vain.
    Nothing,
}

/// What came of trying to lock a shard.
pub(crate) enum Tried {
    /// Another process has it.
    Busy,
    /// There is no such shard: no connection of it was ever written.
    Nothing,
    Locked(Locked),
}

/// Opens a shard, if there is one.
fn open(root: &Path, shard: Shard) -> Result<Option<Dir>, FileStoreError> {
    Dir::open_root(root)?.open_child(&names::shard(shard))
}

/// Reads one connection. No lock is needed: a name means a whole file at any time.
pub(crate) fn read(root: &Path, place: &Place) -> Result<Found, FileStoreError> {
    match open(root, place.user.shard())? {
        Some(dir) => read_in(&dir, place),
        None => Ok(Found::Nothing),
    }
}

/// Locks a shard, if no other process has it.
pub(crate) fn try_lock(root: &Path, shard: Shard, access: Access) -> Result<Tried, FileStoreError> {
    let dir = match access {
        Access::Make => Some(Dir::open_root(root)?.make_child(&names::shard(shard))?),
        Access::Look | Access::Change => open(root, shard)?,
    };
    let Some(dir) = dir else { return Ok(Tried::Nothing) };
    let how = if access == Access::Look { LockFile::AsItIs } else { LockFile::Made };
    let Some(file) = dir.open_lock(LOCK, how)? else {
        // Nothing was written yet.
        return Ok(Tried::Locked(Locked { dir, _lock: None }));
    };
    let locked = match access {
        Access::Look => fs4::FileExt::try_lock_shared(&file),
        Access::Change | Access::Make => fs4::FileExt::try_lock(&file),
    };
    match locked {
        // A lock on a file that somebody removed meanwhile locks nothing.
        Ok(()) if Dir::is_gone(&file) => Ok(Tried::Busy),
        Ok(()) => Ok(Tried::Locked(Locked { dir, _lock: Some(Lock(file)) })),
        Err(fs4::TryLockError::WouldBlock) => Ok(Tried::Busy),
        Err(fs4::TryLockError::Error(error)) => Err(FileStoreError::io(Doing::Lock, dir.path(LOCK), error)),
    }
}

/// The path that is locked, for errors.
pub(crate) fn lock_path(root: &Path, shard: Shard) -> std::path::PathBuf {
    root.join(names::shard(shard)).join(LOCK)
}

impl Locked {
    pub(crate) fn read(&self, place: &Place) -> Result<Found, FileStoreError> {
        read_in(&self.dir, place)
    }

    /// Puts `stored` in the place of what was `found` there.
    pub(crate) fn replace(
        &self,
        place: &Place,
        found: Option<&Stored>,
        stored: &Stored,
    ) -> Result<(), Failure> {
        let name = place.name();
        let too_long = || FileStoreError::new(FileStoreErrorKind::TooLong, self.dir.path(&name));
        let bytes = stored.encode().ok_or_else(too_long)?;
        let due = |stored: &Stored| Some(DuePlace::new(stored.due_at()?, *place).name());
        let (was_due, is_due) = (found.and_then(due), due(stored));
        let is_gone = |stored: &Stored| matches!(stored, Stored::Tombstone { .. });

        // The indexes first: what they name in vain is found out, and what they do not name would never be found.
        if let Some(name) = is_due.as_ref().filter(|_| was_due != is_due) {
            self.enter(DUE, name)?;
        }
        if is_gone(stored) {
            self.enter(GONE, &name)?;
        }
        self.write_new(&bytes)?;
        let published = publish(|| self.dir.replace(NEW, &name), || self.dir.sync());
        match published {
            Published::Done => {}
            Published::Refused(error) => {
                self.drop_new();
                return Err(Failure::NotDone(FileStoreError::io(
                    Doing::Replace,
                    self.dir.path(&name),
                    error,
                )));
            }
            Published::Unknown(doing, error) => {
                return Err(Failure::Unknown(FileStoreError::io(doing, self.dir.path(&name), error)));
            }
        }
        if let Some(name) = was_due.filter(|was_due| Some(was_due) != is_due.as_ref()) {
            self.strike(DUE, &name);
        }
        if found.is_some_and(is_gone) && !is_gone(stored) {
            self.strike(GONE, &name);
        }
        Ok(())
    }

    /// Writes the bytes to the disk, under a name that is nobody's.
    fn write_new(&self, bytes: &[u8]) -> Result<(), FileStoreError> {
        // What a writer left that was killed. Whoever is here holds the lock, so nobody writes it.
        self.drop_new();
        let failed = |doing| move |error| FileStoreError::io(doing, self.dir.path(NEW), error);
        let mut file = self.dir.create_new(NEW).map_err(failed(Doing::Make))?;
        let written = file.write_all(bytes).map_err(failed(Doing::Write));
        let written = written.and_then(|()| file.sync_all().map_err(failed(Doing::Sync)));
        if written.is_err() {
            self.drop_new();
        }
        written
    }

    fn drop_new(&self) {
        // If it stays, making it anew says why.
        let _ = self.dir.remove(NEW);
    }

    /// Enters a name in an index.
    fn enter(&self, index: &str, name: &str) -> Result<(), FileStoreError> {
        let index = &self.dir.make_child(index)?;
        let failed = |doing| move |error| FileStoreError::io(doing, index.path(name), error);
        match index.create_new(name) {
            Ok(_) => {}
            // Whoever entered it may have ended before it was on the disk.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(Doing::Make)(error)),
        }
        index.sync().map_err(failed(Doing::Sync))
    }

    /// Strikes a name from an index. If it stays it is named in vain, and struck when that is found out.
    fn strike(&self, index: &str, name: &str) {
        if let Ok(Some(index)) = self.dir.open_child(index) {
            let _ = index.remove(name);
        }
    }

    /// The names in an index that are what its names are, in order.
    fn index<T: Ord>(
        &self,
        index: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, FileStoreError> {
        let names = self.dir.open_child(index)?.map_or(Ok(Vec::new()), |index| index.names())?;
        Ok(sorted(&names, parse))
    }

    /// Lets go of a few tombstones that have ended.
    pub(crate) fn sweep_tombstones(&self, now: MachineTime) {
        // A change was made; that there was no tidying up is no failure of it.
        let gone = self.index(GONE, Place::parse).unwrap_or_default();
        // Anywhere: those that last long must not stand before the others for ever.
        let from = usize::try_from(random()).unwrap_or_default().checked_rem(gone.len()).unwrap_or_default();
        for place in gone.iter().cycle().skip(from).take(gone.len().min(LOOK_AT)) {
            let ended = match read_head(&self.dir, place) {
                Ok(Some(Stored::Tombstone { ends, .. })) => ends.has_come(now),
                // Its entry outlived it.
                Ok(None | Some(Stored::Record(_))) => {
                    self.strike(GONE, &place.name());
                    continue;
                }
                Err(_) => false,
            };
            if ended && self.dir.remove(&place.name()).is_ok() {
                self.strike(GONE, &place.name());
            }
        }
    }

    /// The places of one user, in order.
    pub(crate) fn of_user(&self, user: UserTag) -> Result<Vec<Place>, FileStoreError> {
        let prefix = format!("{user}-");
        let mut names = self.dir.names()?;
        names.retain(|name| name.starts_with(&prefix));
        Ok(sorted(&names, Place::parse))
    }

    /// All places, in order.
    pub(crate) fn places(&self) -> Result<Vec<Place>, FileStoreError> {
        Ok(sorted(&self.dir.names()?, Place::parse))
    }

    /// The places that are due before `time`, in order. Some may be named in vain.
    pub(crate) fn due_before(&self, time: u64) -> Result<Vec<DuePlace>, FileStoreError> {
        let mut places = self.index(DUE, DuePlace::parse)?;
        places.truncate(places.partition_point(|place| place.time < time));
        Ok(places)
    }

    /// What is named by a place, and by a due time where that is asked. Sealed bytes are not read.
    pub(crate) fn look(&self, place: &Place, due: Option<&DuePlace>) -> Result<Named, FileStoreError> {
        let entry = match read_head(&self.dir, place) {
            Ok(Some(Stored::Record(entry))) => entry,
            Ok(None | Some(Stored::Tombstone { .. })) => return Ok(Named::Nothing),
            Err(error) if is_about_the_file(&error) => return Ok(Named::Unreadable),
            Err(error) => return Err(error),
        };
        let is_due =
            due.is_none_or(|due| entry.due_at.is_some_and(|due_at| DuePlace::new(due_at, *place) == *due));
        Ok(if is_due { Named::Record(entry.key) } else { Named::Nothing })
    }

    /// Strikes what the index of due records names in vain. For this the shard has to be locked for a change.
    pub(crate) fn strike_due(&self, due: &DuePlace) {
        self.strike(DUE, &due.name());
    }
}

/// A number that nobody needs to be unable to guess.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(())
}

fn sorted<T: Ord>(names: &[String], parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let mut parsed: Vec<T> = names.iter().filter_map(|name| parse(name)).collect();
    parsed.sort_unstable();
    parsed
}

fn open_record(dir: &Dir, place: &Place) -> Result<Option<File>, FileStoreError> {
    dir.open_file(&place.name())
}

fn read_in(dir: &Dir, place: &Place) -> Result<Found, FileStoreError> {
    let unreadable = |head, reason| Ok(Found::Unreadable { head, reason });
    let damaged =
        |damage| FileStoreError::new(FileStoreErrorKind::Unreadable(damage), dir.path(&place.name()));
    let file = match open_record(dir, place) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Found::Nothing),
        Err(error) if is_about_the_file(&error) => return unreadable(None, error),
        Err(error) => return Err(error),
    };
    let failed = |error: io::Error| FileStoreError::io(Doing::Read, dir.path(&place.name()), error);
    let length = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(usize::MAX);
    if length > MAX_FILE {
        return unreadable(None, damaged(Damage::NotARecord));
    }
    // The room is there from the start: a buffer that grows would leave parts behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
    file.take(length as u64).read_to_end(&mut bytes).map_err(failed)?;
    match format::decode(&bytes) {
        Ok(stored) if is_at(&stored, place) => Ok(Found::Whole(stored)),
        Ok(_) => unreadable(None, damaged(Damage::Elsewhere)),
        Err(damage) => {
            let head = Head::read(&bytes).and_then(|head| head.decode(&bytes)).ok();
            unreadable(head.filter(|head| is_at(head, place)), damaged(damage))
        }
    }
}

/// Reads all but the sealed bytes.
fn read_head(dir: &Dir, place: &Place) -> Result<Option<Stored>, FileStoreError> {
    let Some(mut file) = open_record(dir, place)? else { return Ok(None) };
    let damaged =
        |damage| FileStoreError::new(FileStoreErrorKind::Unreadable(damage), dir.path(&place.name()));
    let mut more = |bytes: &mut Vec<u8>, up_to: usize| {
        let left = up_to.saturating_sub(bytes.len()) as u64;
        let read = (&mut file).take(left).read_to_end(bytes);
        read.map_err(|error| FileStoreError::io(Doing::Read, dir.path(&place.name()), error))
    };
    let mut bytes = Vec::new();
    more(&mut bytes, format::HEAD)?;
    let head = Head::read(&bytes).map_err(damaged)?;
    more(&mut bytes, head.clear())?;
    let stored = head.decode(&bytes).map_err(damaged)?;
    if is_at(&stored, place) { Ok(Some(stored)) } else { Err(damaged(Damage::Elsewhere)) }
}

/// Whether the reason is this one file, and no other would be read either way.
fn is_about_the_file(error: &FileStoreError) -> bool {
    matches!(
        error.kind(),
        FileStoreErrorKind::Symlink
            | FileStoreErrorKind::NotAFile
            | FileStoreErrorKind::Shared { .. }
            | FileStoreErrorKind::Foreign { .. }
            | FileStoreErrorKind::Unreadable(_)
    )
}

fn is_at(stored: &Stored, place: &Place) -> bool {
    Place::of(stored.key()) == *place
}

/// The version of what is there, as far as it is known.
pub(crate) fn version_of(found: &Found) -> Option<Version> {
    found.head().map(Stored::version)
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

/// Whether a rename that fails so has changed nothing. An error of the device does not say.
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
