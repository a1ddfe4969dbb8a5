//! The token store.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use authflow_core::{
    ConnectionKey, Cursor, Expected, Incarnation, KeyPage, Lease, LeaseHolder, LeaseOutcome, LeaseRequest,
    Loaded, Page, Record, RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard, StoreError,
    StoreErrorKind, Tenure, TokenStore, User, UserTag, Version, Write, async_trait,
};

use crate::database::SqlDatabase;
use crate::driver::{Parameters, Value};
use crate::error::{Cause, Failure};
use crate::pages::{cut, foreign_cursor, keys, limit, read_id};
use crate::place::{AsRead, Place, counter};
use crate::row::{State, Stored, lasting, milliseconds, write_mark};
use crate::statements::Statements;

/// Keeps connections in SQLite, PostgreSQL, MySQL or MariaDB. Cheap to clone; the clones share their connections to the
/// database.
///
/// A connection is one row of `authflow_connections`, found by the 32 bytes of its
/// [`ConnectionKey::id`](authflow_core::ConnectionKey::id). What changes it is one `UPDATE` that compares what it expects; no
/// lock is held from one statement to the next, and nothing is kept in the session. Leases and tombstones end by the clock of
/// the database.
///
/// The row names its connection in the clear, so that it can be listed: tenant, user, provider id and account. The tokens are in
/// the sealed bytes.
#[derive(Clone)]
pub struct SqlTokenStore {
    database: SqlDatabase,
    statements: Arc<Statements>,
}

/// How often a row is read again that changed while it was looked at. Each time, another call went on.
const ATTEMPTS: usize = 100;

impl SqlTokenStore {
    /// A store in the tables that [`SqlDatabase::migrate`] made.
    #[must_use]
    pub fn new(database: &SqlDatabase) -> Self {
        Self { database: database.clone(), statements: Arc::new(Statements::new(database.dialect())) }
    }

    async fn stored(&self, place: &Place<'_>) -> Result<Option<Stored>, Failure> {
        let rows = self.database.read(&self.statements.load, &place.parameters()).await?;
        rows.into_iter().next().map(Stored::read).transpose()
    }

    async fn state(&self, place: &Place<'_>) -> Result<State, Failure> {
        match self.stored(place).await? {
            Some(stored) => stored.state_of(place.key),
            None => Ok(State::Absent),
        }
    }

    /// Whether one row was changed; what cannot be read is corrupt instead, and was not.
    async fn changed(
        &self,
        place: &Place<'_>,
        sql: &crate::sql::Sql,
        more: &Parameters<'_>,
    ) -> Result<bool, StoreError> {
        if self.database.write(sql, &place.with(more)).await? == 1 {
            return Ok(true);
        }
        self.state(place).await?;
        Ok(false)
    }

    async fn put_once(
        &self,
        place: &Place<'_>,
        incarnation: &Incarnation,
        values: &Parameters<'_>,
    ) -> Result<Put, Failure> {
        if self.database.dialect().returns_what_it_wrote() {
            let written = self.database.write(&self.statements.insert, values).await?;
            return Ok(if written == 1 { Put::Done } else { Put::Conflict });
        }
        match self.database.write(&self.statements.insert, values).await {
            Ok(_) => return Ok(Put::Done),
            Err(Failure::Duplicate(_)) => {}
            Err(failure) => return Err(failure),
        }
        if self.database.write(&self.statements.replace, values).await? == 1 {
            return Ok(Put::Done);
        }
        let is_there = match self.stored(place).await {
            Ok(stored) => stored.is_some_and(|stored| stored.is_of(incarnation)),
            Err(Failure::Corrupt(_)) => false,
            Err(failure) => return Err(failure),
        };
        Ok(if is_there { Put::Conflict } else { Put::Again })
    }

    /// Leases in one statement, which returns what it leased.
    async fn lease_returning(
        &self,
        place: &Place<'_>,
        request: &LeaseRequest,
        values: &Parameters<'_>,
    ) -> Result<Option<LeaseOutcome>, StoreError> {
        let version = request.if_version.as_ref();
        let mut values = place.with(values);
        values.push(("any", Value::Integer(i64::from(version.is_none()))));
        values.push(("incarnation", Value::Bytes(version.map_or(&[], |it| it.incarnation().as_bytes()))));
        values.push(("counter", Value::Integer(version.map_or(0, counter))));
        let mut rows = self.database.write_returning(&self.statements.lease, &values).await?;
        let Some(row) = rows.pop() else { return Ok(None) };
        let stored = Stored::read(row)?;
        let found = stored.found()?;
        match stored.state_of(place.key)? {
            State::Record(record) => Ok(Some(LeaseOutcome::Leased { record, found })),
            State::Absent | State::Tombstone(_) => Ok(None),
        }
    }

    /// Leases what was read, where a statement cannot return what it wrote.
    async fn lease_read(
        &self,
        place: &Place<'_>,
        request: &LeaseRequest,
        values: &Parameters<'_>,
        read: &AsRead,
        record: Record,
    ) -> Result<Option<LeaseOutcome>, StoreError> {
        let mut values = place.with(values);
        values.extend(read.parameters());
        if self.database.write(&self.statements.lease_read, &values).await? == 0 {
            return Ok(None);
        }
        let found = record.mark.clone();
        let remaining = std::time::Duration::from_millis(leasing(request.duration).unsigned_abs());
        let mark = request.mark.clone().or_else(|| found.clone());
        let record = record.lease(Some(Lease::new(request.holder, remaining))).mark(mark);
        Ok(Some(LeaseOutcome::Leased { record, found }))
    }

    /// Lets go of a few tombstones that ended, in whatever shard. It is no harm if it cannot be done now.
    async fn purge(&self) {
        let _ = self.database.write(&self.statements.purge, &[]).await;
    }
}

#[async_trait]
impl TokenStore for SqlTokenStore {
    fn is_durable(&self) -> bool {
        self.database.is_durable
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        let (place, tag) = (Place::new(key), key.user_tag());
        let values = place.with(&[
            ("tag", Value::Bytes(tag.as_bytes())),
            ("incarnation", Value::Bytes(incarnation.as_bytes())),
            ("sealed", Value::Bytes(write.sealed.as_bytes())),
            ("due", Value::MaybeInteger(write.due_at.map(milliseconds))),
        ]);
        for _ in 0..ATTEMPTS {
            match self.put_once(&place, &incarnation, &values).await {
                Ok(Put::Done) => return Ok(Version::first(incarnation)),
                Ok(Put::Conflict) => return Err(StoreError::new(StoreErrorKind::Conflict)),
                Ok(Put::Again) => {}
                // Nobody else draws this incarnation: if it is there, this call wrote it. If it is not, it may still come.
                Err(Failure::Unknown(cause)) => {
                    return match self.stored(&place).await {
                        Ok(Some(stored)) if stored.is_of(&incarnation) && stored.holds(&write.sealed) => {
                            Ok(Version::first(incarnation))
                        }
                        _ => Err(Failure::Unknown(cause).into()),
                    };
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(busy())
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        Ok(match self.state(&Place::new(key)).await? {
            State::Absent => Loaded::Absent,
            State::Tombstone(version) => Loaded::Tombstone(version),
            State::Record(record) => Loaded::Found(record),
        })
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        let place = Place::new(key);
        let mark = request.mark.as_ref().map(write_mark);
        let values = [
            ("holder", Value::Bytes(request.holder.as_bytes())),
            ("duration", Value::Integer(leasing(request.duration))),
            ("mark", Value::MaybeBytes(mark.as_ref().map(|mark| &mark[..]))),
        ];
        let returns = self.database.dialect().returns_what_it_wrote();
        for _ in 0..ATTEMPTS {
            if returns && let Some(leased) = self.lease_returning(&place, &request, &values).await? {
                return Ok(leased);
            }
            let Some(stored) = self.stored(&place).await? else { return Ok(LeaseOutcome::Absent) };
            let read = AsRead::of(&stored);
            let record = match stored.state_of(key)? {
                State::Absent => return Ok(LeaseOutcome::Absent),
                State::Tombstone(version) => return Ok(LeaseOutcome::Tombstone(version)),
                State::Record(record) => record,
            };
            if request.if_version.is_some_and(|version| version != record.version) {
                return Ok(LeaseOutcome::Changed(record));
            }
            if let Some(lease) = record.lease.filter(|lease| lease.holder != request.holder) {
                return Ok(LeaseOutcome::Held { lease, version: record.version });
            }
            if !returns
                && let Some(leased) = self.lease_read(&place, &request, &values, &read, record).await?
            {
                return Ok(leased);
            }
        }
        Err(busy())
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        let mark = renew.mark.as_ref().map(write_mark);
        let values = [
            ("holder", Value::Bytes(holder.as_bytes())),
            ("duration", Value::Integer(leasing(renew.duration))),
            ("mark", Value::MaybeBytes(mark.as_ref().map(|mark| &mark[..]))),
        ];
        self.changed(&Place::new(key), &self.statements.renew, &values).await.map(tenure)
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        let values = [
            ("holder", Value::Bytes(holder.as_bytes())),
            ("keep", Value::Integer(i64::from(release.keep_mark))),
            ("due", Value::MaybeInteger(release.due_at.map(milliseconds))),
        ];
        self.changed(&Place::new(key), &self.statements.release, &values).await.map(tenure)
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        let place = Place::new(key);
        let holder = expected.holder.as_ref();
        let values = place.with(&[
            ("sealed", Value::Bytes(write.sealed.as_bytes())),
            ("due", Value::MaybeInteger(write.due_at.map(milliseconds))),
            ("incarnation", Value::Bytes(expected.version.incarnation().as_bytes())),
            ("counter", Value::Integer(counter(&expected.version))),
            ("any", Value::Integer(i64::from(holder.is_none()))),
            ("holder", Value::Bytes(holder.map_or(&[], |holder| holder.as_bytes()))),
        ]);
        let saved = expected.version.next();
        for _ in 0..ATTEMPTS {
            match self.database.write(&self.statements.save, &values).await {
                Ok(0) => {}
                Ok(_) => return Ok(SaveOutcome::Saved(saved)),
                // Sealed bytes are never the same twice: if these are there under this version, this call wrote them. If they
                // are not, they may still come.
                Err(Failure::Unknown(cause)) => {
                    return match self.state(&place).await {
                        Ok(State::Record(record))
                            if record.version == saved
                                && record.sealed.as_bytes() == write.sealed.as_bytes() =>
                        {
                            Ok(SaveOutcome::Saved(saved))
                        }
                        _ => Err(Failure::Unknown(cause).into()),
                    };
                }
                Err(failure) => return Err(failure.into()),
            }
            let record = match self.state(&place).await? {
                State::Absent => return Ok(SaveOutcome::Absent),
                State::Tombstone(version) => return Ok(SaveOutcome::Tombstone(version)),
                State::Record(record) => record,
            };
            if record.version != expected.version {
                return Ok(SaveOutcome::Changed(record));
            }
            if holder.is_some_and(|holder| record.lease.is_none_or(|lease| lease.holder != *holder)) {
                return Ok(SaveOutcome::NotHeld);
            }
        }
        Err(busy())
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        let (place, tag) = (Place::new(key), key.user_tag());
        for _ in 0..ATTEMPTS {
            let Some(stored) = self.stored(&place).await? else { return Ok(RemoveOutcome::Absent) };
            let read = AsRead::of(&stored);
            let record = match stored.state_of(key) {
                Ok(State::Absent) => return Ok(RemoveOutcome::Absent),
                Ok(State::Tombstone(version)) => return Ok(RemoveOutcome::Tombstone(version)),
                Ok(State::Record(record)) => Some(record),
                Err(Failure::Corrupt(_)) if remove.if_version.is_none() => None,
                Err(failure) => return Err(failure.into()),
            };
            let tombstone = match record {
                Some(record) if remove.if_version.is_some_and(|version| version != record.version) => {
                    return Ok(RemoveOutcome::Changed(record));
                }
                Some(ref record) => record.version.next(),
                // Which version it had is not known, and none may come again.
                None => Version::first(
                    Incarnation::random()
                        .map_err(|error| StoreError::new(StoreErrorKind::Unavailable).with_source(error))?,
                ),
            };
            let mut values = place.with(&[
                ("tag", Value::Bytes(tag.as_bytes())),
                ("keep", Value::Integer(lasting(remove.keep_tombstone))),
                ("buried_incarnation", Value::Bytes(tombstone.incarnation().as_bytes())),
                ("buried_counter", Value::Integer(counter(&tombstone))),
            ]);
            values.extend(read.parameters());
            if self.database.write(&self.statements.remove_read, &values).await? == 1 {
                self.purge().await;
                return Ok(RemoveOutcome::Removed { record, tombstone });
            }
        }
        Err(busy())
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        let tag = UserTag::of(user);
        let after = page.after.as_ref().map(|cursor| read_id(cursor.as_bytes())).transpose()?;
        let values = [
            ("tag", Value::Bytes(tag.as_bytes())),
            ("after", Value::Bytes(after.unwrap_or_default())),
            ("limit", Value::Integer(limit(page))),
        ];
        let mut rows = self.database.read(&self.statements.list, &values).await?;
        let is_more = cut(&mut rows, page);
        let (mut records, mut unreadable, mut last) = (Vec::with_capacity(rows.len()), 0, None);
        for row in rows {
            let stored = Stored::read(row)?;
            last = Some(Cursor::new(stored.id.as_slice()));
            match stored.into_state() {
                Ok(State::Record(record)) if record.key.user() == user => records.push(record),
                Ok(State::Absent | State::Tombstone(_)) => {}
                Ok(State::Record(_)) | Err(_) => unreadable += 1,
            }
        }
        Ok(RecordPage::new(records, last.filter(|_| is_more)).unreadable(unreadable))
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        let after = match &page.after {
            None => None,
            Some(cursor) => {
                let (due_at, id) = cursor.as_bytes().split_first_chunk::<8>().ok_or_else(foreign_cursor)?;
                Some((i64::from_be_bytes(*due_at), read_id(id)?))
            }
        };
        let (after_due, after) = after.unwrap_or((-1, &[]));
        let values = [
            ("shard", Value::Integer(i64::from(shard.number()))),
            ("time", Value::Integer(milliseconds(time))),
            ("after_due", Value::Integer(after_due)),
            ("after", Value::Bytes(after)),
            ("limit", Value::Integer(limit(page))),
        ];
        let rows = self.database.read(&self.statements.due, &values).await?;
        Ok(keys(rows, page, |id, row| {
            let due_at = row.integer().unwrap_or_default();
            Cursor::new([&due_at.to_be_bytes()[..], id].concat())
        }))
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        let after = page.after.as_ref().map(|cursor| read_id(cursor.as_bytes())).transpose()?;
        let values = [
            ("shard", Value::Integer(i64::from(shard.number()))),
            ("after", Value::Bytes(after.unwrap_or_default())),
            ("limit", Value::Integer(limit(page))),
        ];
        let rows = self.database.read(&self.statements.walk, &values).await?;
        Ok(keys(rows, page, |id, _| Cursor::new(id)))
    }
}

impl fmt::Debug for SqlTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlTokenStore").field("database", &self.database).finish_non_exhaustive()
    }
}

enum Put {
    Done,
    Conflict,
    /// What was there is gone, or another.
    Again,
}

fn leasing(duration: std::time::Duration) -> i64 {
    lasting(duration.min(Lease::LONGEST))
}

const fn tenure(changed: bool) -> Tenure {
    if changed { Tenure::Held } else { Tenure::Lost }
}

fn busy() -> StoreError {
    Failure::NotDone(Cause::Text("the connection changed again and again while it was looked at")).into()
}
