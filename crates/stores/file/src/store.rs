//! The token store: what each of its operations does in its shard.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use authflow_core::{
    ConnectionKey, Cursor, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded,
    Page, RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard, StoreError, StoreErrorKind,
    Tenure, TokenStore, User, UserTag, Version, Write,
};

use crate::error::{Failure, FileStoreError};
use crate::format::{Stored, milliseconds};
use crate::machine_time::MachineTime;
use crate::names::{DuePlace, Place};
use crate::shard::{self, Access, Found, Named};
use crate::step::{self, Step};
use crate::system::machine_time;
use crate::turns::Turns;

/// Keeps connections in files of one directory, for programs on one machine.
///
/// Any number of processes may use one directory at once, and any number of stores in a process.
pub struct FileTokenStore {
    turns: Turns,
}

impl FileTokenStore {
    /// Opens the store in `directory`, and makes it with mode 0700 where it is missing.
    ///
    /// # Errors
    ///
    /// A [`FileStoreError`] that says what to do: the directory is a symbolic link or no directory, it belongs to another
    /// user, others may use it, it is on a network file system, or the operating system does not let it be used.
    pub async fn open(directory: impl Into<PathBuf>) -> Result<Self, FileStoreError> {
        Ok(Self { turns: Turns::open(directory.into()).await? })
    }

    /// Sets how long a call waits for other processes that work on the same shard, before it is
    /// [`Unavailable`](StoreErrorKind::Unavailable). 10 seconds if not set. A process that dies lets go of its lock at once;
    /// this is for one that was stopped.
    #[must_use]
    pub const fn lock_wait(mut self, duration: Duration) -> Self {
        self.turns.lock_wait = duration;
        self
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.turns.root()
    }

    /// Takes a step on one connection, and writes what comes of it.
    async fn change<T, S>(&self, key: &ConnectionKey, access: Access, step: S) -> Result<T, StoreError>
    where
        T: Send + 'static,
        S: FnOnce(Found, MachineTime) -> Result<Step<T>, Failure> + Send + 'static,
    {
        let place = Place::of(key);
        self.turns
            .locked(place.user.shard(), access, move |locked, now| {
                let found = locked.map_or(Ok(Found::Nothing), |locked| locked.read(&place))?;
                let before = found.head().cloned();
                let Step { outcome, write } = step(found, now)?;
                if let (Some(locked), Some(stored)) = (locked, write) {
                    locked.replace(&place, before.as_ref(), &stored)?;
                    if access == Access::Make || matches!(stored, Stored::Tombstone { .. }) {
                        locked.sweep_tombstones(now);
                    }
                }
                Ok(outcome)
            })
            .await
    }
}

impl fmt::Debug for FileTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTokenStore").field("directory", self.turns.root()).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for FileTokenStore {
    fn is_durable(&self) -> bool {
        true
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        let owned = key.clone();
        self.change(key, Access::Make, move |found, _| {
            step::put(shard::version_of(&found).as_ref(), &owned, incarnation, write).ok_or(Failure::Conflict)
        })
        .await
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        let place = Place::of(key);
        self.turns
            .unlocked(move |root| {
                let stored = shard::read(root, &place)?.whole()?;
                Ok(step::load(stored, machine_time()?))
            })
            .await
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        self.change(key, Access::Change, move |found, now| Ok(step::lease(found.whole()?, &request, now)))
            .await
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        let holder = *holder;
        self.change(key, Access::Change, move |found, now| {
            Ok(step::renew(found.whole()?, &holder, &renew, now))
        })
        .await
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        let holder = *holder;
        self.change(key, Access::Change, move |found, now| {
            Ok(step::release(found.whole()?, &holder, &release, now))
        })
        .await
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        let expected = *expected;
        self.change(key, Access::Change, move |found, now| {
            Ok(step::save(found.whole()?, &expected, write, now))
        })
        .await
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        // For the tombstone of what cannot be read: its version must be one that never was.
        let unknown = Incarnation::random()
            .map_err(|error| StoreError::new(StoreErrorKind::Unavailable).with_source(error))?;
        let owned = key.clone();
        self.change(key, Access::Change, move |found, now| match found {
            Found::Unreadable { head, .. } if remove.if_version.is_none() => {
                let version = head.as_ref().map_or(Version::first(unknown), Stored::version).next();
                Ok(step::remove_unreadable(&owned, head.as_ref(), version, &remove, now))
            }
            found => Ok(step::remove(found.whole()?, &remove, now)),
        })
        .await
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        let user = UserTag::of(user);
        let after = cursor(page, Place::parse)?;
        let limit = page.limit.max(1);
        self.turns
            .locked(user.shard(), Access::Look, move |locked, now| {
                let Some(locked) = locked else { return Ok(RecordPage::default()) };
                let (mut records, mut unreadable, mut last) = (Vec::new(), 0_usize, None);
                for place in behind(&locked.of_user(user)?, after.as_ref()) {
                    let found = match locked.read(place)? {
                        Found::Nothing | Found::Whole(Stored::Tombstone { .. }) => continue,
                        Found::Whole(Stored::Record(entry)) => Some(entry.record(now)),
                        Found::Unreadable { .. } => None,
                    };
                    if records.len().saturating_add(unreadable) == limit {
                        let next = last.map(|last: Place| Cursor::new(last.name().into_bytes()));
                        return Ok(RecordPage::new(records, next).unreadable(unreadable));
                    }
                    match found {
                        Some(record) => records.push(record),
                        None => unreadable = unreadable.saturating_add(1),
                    }
                    last = Some(*place);
                }
                Ok(RecordPage::new(records, None).unreadable(unreadable))
            })
            .await
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        let after = cursor(page, DuePlace::parse)?;
        let limit = page.limit.max(1);
        // Not shared with others, for the sake of what is struck.
        self.turns
            .locked(shard, Access::Change, move |locked, _| {
                let Some(locked) = locked else { return Ok(KeyPage::default()) };
                let due = locked.due_before(milliseconds(time))?;
                let keys = behind(&due, after.as_ref()).iter().map(|due| {
                    Ok(match locked.look(&due.place, Some(due))? {
                        Named::Record(key) => Some((due.name(), key)),
                        Named::Unreadable => None,
                        Named::Nothing => {
                            locked.strike_due(due);
                            None
                        }
                    })
                });
                key_page(keys, limit)
            })
            .await
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        let after = cursor(page, Place::parse)?;
        let limit = page.limit.max(1);
        self.turns
            .locked(shard, Access::Look, move |locked, _| {
                let Some(locked) = locked else { return Ok(KeyPage::default()) };
                let places = locked.places()?;
                let keys = behind(&places, after.as_ref()).iter().map(|place| {
                    Ok(match locked.look(place, None)? {
                        Named::Record(key) => Some((place.name(), key)),
                        Named::Unreadable | Named::Nothing => None,
                    })
                });
                key_page(keys, limit)
            })
            .await
    }
}

/// The first `limit` keys; the names are where they are.
fn key_page(
    keys: impl Iterator<Item = Result<Option<(String, ConnectionKey)>, FileStoreError>>,
    limit: usize,
) -> Result<KeyPage, Failure> {
    let mut page = KeyPage::default();
    let mut last = None;
    for key in keys {
        let Some((name, key)) = key? else { continue };
        if page.keys.len() == limit {
            page.next = last.map(|last: String| Cursor::new(last.into_bytes()));
            break;
        }
        page.keys.push(key);
        last = Some(name);
    }
    Ok(page)
}

/// What comes behind a place, of places in order.
fn behind<'p, T: Ord>(places: &'p [T], after: Option<&T>) -> &'p [T] {
    let from = after.map_or(0, |after| places.partition_point(|place| place <= after));
    places.get(from..).unwrap_or_default()
}

fn cursor<T>(page: &Page, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
    let Some(cursor) = &page.after else { return Ok(None) };
    let place = std::str::from_utf8(cursor.as_bytes()).ok().and_then(parse);
    place.map(Some).ok_or_else(|| {
        StoreError::new(StoreErrorKind::Corrupt)
            .with_source("the cursor is not one of this operation of this store")
    })
}
