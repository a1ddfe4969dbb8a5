//! What the operations of a token store take and answer.

use std::time::{Duration, SystemTime};

use super::record::{Lease, LeaseHolder, Record, RefreshMark, SealedBytes, Version};
use crate::connection_key::ConnectionKey;

/// What [`TokenStore::load`](super::TokenStore::load) found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Loaded {
    /// There is no record, and no tombstone.
    Absent,
    /// The record.
    Found(Record),
    /// The connection was removed; the version is that of the tombstone.
    Tombstone(Version),
}

impl Loaded {
    /// The record, if one was found.
    #[must_use]
    pub fn into_record(self) -> Option<Record> {
        match self {
            Self::Found(record) => Some(record),
            Self::Absent | Self::Tombstone(_) => None,
        }
    }
}

/// What [`TokenStore::lease`](super::TokenStore::lease) asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeaseRequest {
    /// Who wants it.
    pub holder: LeaseHolder,
    /// For how long, by the store's clock, and [`Lease::LONGEST`] at most. Stores count whole milliseconds, rounded up.
    pub duration: Duration,
    /// The version that the caller knows: another one is answered with [`LeaseOutcome::Changed`], and is not leased.
    pub if_version: Option<Version>,
    /// The mark to write with the lease.
    pub mark: Option<RefreshMark>,
}

impl LeaseRequest {
    /// A lease of any version, without a mark.
    #[must_use]
    pub const fn new(holder: LeaseHolder, duration: Duration) -> Self {
        Self { holder, duration, if_version: None, mark: None }
    }

    /// Only if the record still has `version`.
    #[must_use]
    pub const fn if_version(mut self, version: Version) -> Self {
        self.if_version = Some(version);
        self
    }

    /// Writes `mark` with the lease.
    #[must_use]
    pub fn mark(mut self, mark: RefreshMark) -> Self {
        self.mark = Some(mark);
        self
    }
}

/// What came of [`TokenStore::lease`](super::TokenStore::lease).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LeaseOutcome {
    /// There is no record, and no tombstone.
    Absent,
    /// The record has another version than the caller knows. Nothing was leased or marked.
    Changed(Record),
    /// Another holder has it. Nothing was leased or marked.
    Held {
        /// Who, and how long still.
        lease: Lease,
        /// The version of the record.
        version: Version,
    },
    /// The caller holds it.
    Leased {
        /// The record as it is now, with the caller's lease, and the mark that was written with it or found.
        record: Record,
        /// The mark that was there before, whoever's it is.
        found: Option<RefreshMark>,
    },
    /// The connection was removed; the version is that of the tombstone.
    Tombstone(Version),
}

/// What [`TokenStore::renew`](super::TokenStore::renew) asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renew {
    /// How long the lease lasts from now on, by the store's clock, and [`Lease::LONGEST`] at most. Stores count whole
    /// milliseconds, rounded up.
    pub duration: Duration,
    /// The mark to write. Without one, the mark stays as it is.
    pub mark: Option<RefreshMark>,
}

impl Renew {
    /// Only the time.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self { duration, mark: None }
    }

    /// Writes `mark` with it.
    #[must_use]
    pub fn mark(mut self, mark: RefreshMark) -> Self {
        self.mark = Some(mark);
        self
    }
}

/// What [`TokenStore::release`](super::TokenStore::release) does beside ending the lease.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Release {
    /// Whether the mark stays: the request was sent and its outcome is not known. Otherwise it is removed.
    pub keep_mark: bool,
    /// When the connection is due instead, by the application's wall clock: after a failure, not before it cooled down.
    pub due_at: Option<SystemTime>,
}

impl Release {
    /// Ends the lease and removes the mark.
    #[must_use]
    pub const fn new() -> Self {
        Self { keep_mark: false, due_at: None }
    }

    /// Leaves the mark for the next holder.
    #[must_use]
    pub const fn keep_mark(mut self) -> Self {
        self.keep_mark = true;
        self
    }

    /// Sets when the connection is due.
    #[must_use]
    pub const fn due_at(mut self, due_at: SystemTime) -> Self {
        self.due_at = Some(due_at);
        self
    }
}

/// Whether a lease was the caller's, as [`renew`](super::TokenStore::renew) and [`release`](super::TokenStore::release)
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tenure {
    /// It was, and what was asked is done.
    Held,
    /// It was not: it ended, somebody else has it, or the record is gone or connected anew. Nothing was done.
    Lost,
}

/// What [`TokenStore::put`](super::TokenStore::put) and [`save_if_version`](super::TokenStore::save_if_version) write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Write {
    /// The sealed connection.
    pub sealed: SealedBytes,
    /// When it is to be refreshed next, by the application's wall clock; `None` if never. Stores keep whole milliseconds.
    pub due_at: Option<SystemTime>,
}

impl Write {
    /// Bytes that are never due.
    #[must_use]
    pub const fn new(sealed: SealedBytes) -> Self {
        Self { sealed, due_at: None }
    }

    /// Sets when the connection is due.
    #[must_use]
    pub const fn due_at(mut self, due_at: Option<SystemTime>) -> Self {
        self.due_at = due_at;
        self
    }
}

/// Under which condition [`TokenStore::save_if_version`](super::TokenStore::save_if_version) writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expected {
    /// The version that the record must have.
    pub version: Version,
    /// Who must hold the lease, if anybody must. A refresh saves what it got although its lease was lost: its refresh token
    /// is used up. What only writes the same connection in another form, such as a re-seal, must hold the lease, or it
    /// would take the version from under a refresh.
    pub holder: Option<LeaseHolder>,
}

impl Expected {
    /// This version, whoever holds the lease.
    #[must_use]
    pub const fn version(version: Version) -> Self {
        Self { version, holder: None }
    }

    /// And only while `holder` holds the lease.
    #[must_use]
    pub const fn held_by(mut self, holder: LeaseHolder) -> Self {
        self.holder = Some(holder);
        self
    }
}

/// What came of [`TokenStore::save_if_version`](super::TokenStore::save_if_version).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SaveOutcome {
    /// There is no record, and no tombstone. Nothing was written.
    Absent,
    /// The record has another version; this is what is stored. Nothing was written.
    Changed(Record),
    /// The version is the expected one, and the lease is not the expected holder's. Nothing was written.
    NotHeld,
    /// It was written, and has this version now.
    Saved(Version),
    /// The connection was removed; the version is that of the tombstone. Nothing was written.
    Tombstone(Version),
}

/// What [`TokenStore::remove`](super::TokenStore::remove) removes, and for how long that is remembered.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Remove {
    /// The version that the record must have; `None` for any.
    pub if_version: Option<Version>,
    /// How long the tombstone stays at least, by the store's clock. It stays longer where a lease lasts longer.
    pub keep_tombstone: Duration,
}

impl Remove {
    /// Whatever version is stored.
    #[must_use]
    pub const fn new(keep_tombstone: Duration) -> Self {
        Self { if_version: None, keep_tombstone }
    }

    /// Only if the record has `version`.
    #[must_use]
    pub const fn if_version(mut self, version: Version) -> Self {
        self.if_version = Some(version);
        self
    }
}

/// What came of [`TokenStore::remove`](super::TokenStore::remove).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RemoveOutcome {
    /// There is no record, and no tombstone; none is made.
    Absent,
    /// The record has another version; this is what is stored. Nothing was removed.
    Changed(Record),
    /// It was removed.
    Removed {
        /// What was removed, so that its tokens can be revoked; `None` if it could not be read.
        record: Option<Record>,
        /// The version of the tombstone.
        tombstone: Version,
    },
    /// It was removed before; the version is that of the tombstone.
    Tombstone(Version),
}

/// Which part of a listing is wanted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The most entries that come back; at least one.
    pub limit: usize,
    /// Where the last page ended; `None` for the first one.
    pub after: Option<Cursor>,
}

impl Page {
    /// The first `limit` entries.
    #[must_use]
    pub const fn first(limit: usize) -> Self {
        Self { limit: if limit == 0 { 1 } else { limit }, after: None }
    }

    /// The entries behind `cursor`.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }
}

/// Where a page ended, in the store's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Box<[u8]>);

impl Cursor {
    /// The place that `bytes` name to the store.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A page of [`TokenStore::list_by_user`](super::TokenStore::list_by_user).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Record>,
    /// How many of this page could not be read, and are left out.
    pub unreadable: usize,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<Cursor>,
}

impl RecordPage {
    /// A page.
    #[must_use]
    pub const fn new(records: Vec<Record>, next: Option<Cursor>) -> Self {
        Self { records, unreadable: 0, next }
    }

    /// Sets how many could not be read.
    #[must_use]
    pub const fn unreadable(mut self, unreadable: usize) -> Self {
        self.unreadable = unreadable;
        self
    }
}

/// A page of [`TokenStore::due_before`](super::TokenStore::due_before) and [`walk`](super::TokenStore::walk).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<ConnectionKey>,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<Cursor>,
}

impl KeyPage {
    /// A page.
    #[must_use]
    pub const fn new(keys: Vec<ConnectionKey>, next: Option<Cursor>) -> Self {
        Self { keys, next }
    }
}
