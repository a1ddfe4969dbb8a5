//! A token store that breaks its contract in one way.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use authflow_core::{
    ConnectionKey, Cursor, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded,
    Page, Record, RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, Shard, StoreError,
    StoreErrorKind, Tenure, TokenStore, User, Version, Write, async_trait,
};

use super::FaultyStore;

#[derive(Clone, Debug)]
pub enum Lie {
    /// Each load and lease is of this connection.
    AnotherRecord(ConnectionKey),
    /// The same, and the record says that it is the one that was asked for.
    AnotherRecordUnderThisKey(ConnectionKey),
    /// Each load gives this record.
    OlderRecord(Box<Record>),
    /// A lease is refused because of the version that it names.
    ChangedToTheSame,
    /// A lease is refused because of another version each time.
    LeaseChangesAlways,
    /// A lease is given, and its mark is not written.
    ForgetsMarks,
    /// The record that comes with a lease is changed so.
    LeasesAs(fn(&mut Record)),
    /// No load can be read.
    Corrupt,
    /// A lease is refused because the caller holds it.
    HeldByTheCaller,
    /// A lease is renewed no more, since it ended, or was another's meanwhile.
    LosesLeases,
    /// A save goes over whatever is there, and says which version it made.
    SavesOverAnything,
    /// A save goes over whatever is there, and pretends that nothing else was.
    SavesOverAnythingQuietly,
    /// A save is refused because of the version that it names.
    RefusesItsOwnVersion,
    /// A save is refused because of another record each time.
    ChangesAlways,
    /// A new connect gets another version than its first.
    AnotherFirstVersion,
    /// A list has this user's connections too.
    ListsAlso(User),
    /// A page ends where it began.
    EndlessPages,
    /// This connection is removed instead.
    RemovesAnother(ConnectionKey),
    /// A tombstone has any version.
    AnyTombstone,
}

#[derive(Debug)]
pub struct LyingStore {
    inner: Arc<FaultyStore>,
    lie: Mutex<Option<Lie>>,
    /// What was written against the contract.
    forged: Mutex<Option<Record>>,
    changes: Mutex<u64>,
}

impl LyingStore {
    pub fn new(inner: &Arc<FaultyStore>) -> Arc<Self> {
        let (lie, forged, changes) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { inner: Arc::clone(inner), lie, forged, changes })
    }

    pub fn tell(&self, lie: Lie) {
        *self.lie.lock().unwrap() = Some(lie);
    }

    pub fn be_honest(&self) {
        *self.lie.lock().unwrap() = None;
        *self.forged.lock().unwrap() = None;
    }

    fn lie(&self) -> Option<Lie> {
        self.lie.lock().unwrap().clone()
    }

    async fn record(&self, key: &ConnectionKey) -> Record {
        self.inner.load(key).await.unwrap().into_record().unwrap()
    }

    /// The record, of a later version each time.
    async fn changed(&self, key: &ConnectionKey) -> Record {
        let mut record = self.record(key).await;
        let mut changes = self.changes.lock().unwrap();
        *changes += 1;
        record.version = Version::new(*record.version.incarnation(), 1000 + *changes);
        record
    }

    /// How often it said that a record has changed.
    pub fn changes(&self) -> u64 {
        *self.changes.lock().unwrap()
    }
}

#[async_trait]
impl TokenStore for LyingStore {
    fn is_durable(&self) -> bool {
        false
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        let version = self.inner.put(key, incarnation, write).await?;
        match self.lie() {
            Some(Lie::AnotherFirstVersion) => Ok(version.next()),
            _ => Ok(version),
        }
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        if let Some(forged) = self.forged.lock().unwrap().clone() {
            return Ok(Loaded::Found(forged));
        }
        match self.lie() {
            Some(Lie::AnotherRecord(other)) => self.inner.load(&other).await,
            Some(Lie::AnotherRecordUnderThisKey(other)) => {
                let mut record = self.record(&other).await;
                record.key = key.clone();
                Ok(Loaded::Found(record))
            }
            Some(Lie::Corrupt) => Err(StoreError::new(StoreErrorKind::Corrupt)),
            Some(Lie::OlderRecord(record)) => Ok(Loaded::Found(*record)),
            _ => self.inner.load(key).await,
        }
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        match self.lie() {
            Some(Lie::ChangedToTheSame) => Ok(LeaseOutcome::Changed(self.record(key).await)),
            Some(Lie::LeaseChangesAlways) => Ok(LeaseOutcome::Changed(self.changed(key).await)),
            Some(Lie::ForgetsMarks) => {
                let without = LeaseRequest::new(request.holder, request.duration);
                self.inner.lease(key, without).await
            }
            Some(Lie::LeasesAs(change)) => {
                let mut leased = self.inner.lease(key, request).await?;
                if let LeaseOutcome::Leased { record, .. } = &mut leased {
                    change(record);
                }
                Ok(leased)
            }
            Some(Lie::HeldByTheCaller) => {
                let leased = self.inner.lease(key, request).await?;
                let LeaseOutcome::Leased { record, .. } = leased else { return Ok(leased) };
                Ok(LeaseOutcome::Held { lease: record.lease.unwrap(), version: record.version })
            }
            _ => self.inner.lease(key, request).await,
        }
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        if matches!(self.lie(), Some(Lie::LosesLeases)) {
            self.inner.release(key, holder, Release::new().keep_mark()).await?;
            return Ok(Tenure::Lost);
        }
        self.inner.renew(key, holder, renew).await
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        self.inner.release(key, holder, release).await
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        match self.lie() {
            Some(Lie::SavesOverAnything) => loop {
                let there = self.record(key).await.version;
                let saved = self.inner.save_if_version(key, &Expected::version(there), write.clone()).await?;
                if !matches!(saved, SaveOutcome::Changed(_)) {
                    return Ok(saved);
                }
            },
            Some(Lie::SavesOverAnythingQuietly) => {
                let version = expected.version.next();
                *self.forged.lock().unwrap() = Some(Record::new(key.clone(), version, write.sealed));
                Ok(SaveOutcome::Saved(version))
            }
            Some(Lie::RefusesItsOwnVersion) => Ok(SaveOutcome::Changed(self.record(key).await)),
            Some(Lie::ChangesAlways) => Ok(SaveOutcome::Changed(self.changed(key).await)),
            _ => self.inner.save_if_version(key, expected, write).await,
        }
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        match self.lie() {
            Some(Lie::RemovesAnother(other)) => self.inner.remove(&other, remove).await,
            Some(Lie::AnyTombstone) => {
                let removed = self.inner.remove(key, remove).await?;
                let RemoveOutcome::Removed { record, tombstone } = removed else { return Ok(removed) };
                Ok(RemoveOutcome::Removed { record, tombstone: tombstone.next() })
            }
            _ => self.inner.remove(key, remove).await,
        }
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        let lie = self.lie();
        let page = if matches!(lie, Some(Lie::EndlessPages)) { &Page::first(1) } else { page };
        let mut listed = self.inner.list_by_user(user, page).await?;
        match lie {
            Some(Lie::ListsAlso(other)) => {
                listed.records.extend(self.inner.list_by_user(&other, page).await?.records);
            }
            Some(Lie::EndlessPages) => listed.next = Some(Cursor::new(*b"again")),
            _ => {}
        }
        Ok(listed)
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        let is_endless = matches!(self.lie(), Some(Lie::EndlessPages));
        let page = if is_endless { &Page::first(1) } else { page };
        let mut due = self.inner.due_before(shard, time, page).await?;
        if is_endless {
            due.next = Some(Cursor::new(*b"again"));
        }
        Ok(due)
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        self.inner.walk(shard, page).await
    }
}
