//! The files of one shard: read, replaced in one step, listed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use authflow_core::{ConnectionKey, Shard, UserTag, Version};

use crate::error::{Damage, Doing, Failure, FileStoreError, FileStoreErrorKind};
use crate::format::{self, Head, MAX_FILE, Stored};
use crate::machine_time::MachineTime;
use crate::names::{self, DUE, DuePlace, GONE, LOCK, Place};
use crate::system::{Dir, LockFile};
use crate::whole_file::{self, is_about_the_file};

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
    pub(crate) const fn dir(&self) -> &Dir {
        &self.dir
    }

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
        whole_file::replace(&self.dir, &name, &bytes)?;
        if let Some(name) = was_due.filter(|was_due| Some(was_due) != is_due.as_ref()) {
            self.strike(DUE, &name);
        }
        if found.is_some_and(is_gone) && !is_gone(stored) {
            self.strike(GONE, &name);
        }
        Ok(())
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

pub(crate) fn sorted<T: Ord>(names: &[String], parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let mut parsed: Vec<T> = names.iter().filter_map(|name| parse(name)).collect();
    parsed.sort_unstable();
    parsed
}

fn read_in(dir: &Dir, place: &Place) -> Result<Found, FileStoreError> {
    let unreadable = |head, reason| Ok(Found::Unreadable { head, reason });
    let damaged =
        |damage| FileStoreError::new(FileStoreErrorKind::Unreadable(damage), dir.path(&place.name()));
    let bytes = match whole_file::read(dir, &place.name(), MAX_FILE) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Found::Nothing),
        Err(error) if is_about_the_file(&error) => return unreadable(None, error),
        Err(error) => return Err(error),
    };
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
    let Some(mut file) = dir.open_file(&place.name())? else { return Ok(None) };
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

fn is_at(stored: &Stored, place: &Place) -> bool {
    Place::of(stored.key()) == *place
}

/// The version of what is there, as far as it is known.
pub(crate) fn version_of(found: &Found) -> Option<Version> {
    found.head().map(Stored::version)
}
