//! The operations.

use std::fmt;
use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Cursor, Expected, Incarnation, KeyPage, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded,
    Page, RecordPage, Release, Remove, RemoveOutcome, Renew, SaveOutcome, SealedBytes, Shard, StoreError,
    StoreErrorKind, Tenure, TokenStore, User, Version, Write, async_trait,
};

use super::{Broken, Entry, Slot, Wrong, corrupt};

impl Broken {
    fn due_at(&self, time: SystemTime) -> u64 {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        if self.is(Wrong::DueInSeconds) { since.as_secs() * 1000 } else { since.as_millis() as u64 }
    }

    fn sealed(&self, sealed: &SealedBytes) -> SealedBytes {
        let bytes = sealed.as_bytes();
        match self.wrong {
            Wrong::CutsLongBytes => bytes[..bytes.len().min(4096)].to_vec().into(),
            Wrong::BytesAreText => String::from_utf8_lossy(bytes).into_owned().into_bytes().into(),
            _ => sealed.clone(),
        }
    }

    fn insert(&self, key: &ConnectionKey, version: Version, write: &Write, old: Option<&Entry>) -> Slot {
        let old = |wrong: Wrong| old.filter(|_| self.is(wrong));
        let due_at = write.due_at.map(|time| self.due_at(time));
        let due_at = due_at.or(self.is(Wrong::NeverIsDueAtOnce).then_some(0));
        Slot::Entry(Entry {
            key: key.clone(),
            version: old(Wrong::PutKeepsTheVersion).map_or(version, |old| old.version.next()),
            sealed: self.sealed(&write.sealed),
            due_at: old(Wrong::PutKeepsTheDueTime).map_or(due_at, |old| old.due_at),
            once_due: None,
            lease: old(Wrong::PutKeepsTheLease).and_then(|old| old.lease),
            mark: old(Wrong::PutKeepsTheMark).and_then(|old| old.mark.clone()),
            damaged: false,
        })
    }

    fn conflict(&self, key: &ConnectionKey, write: &Write) -> StoreError {
        let error = StoreError::new(StoreErrorKind::Conflict);
        match self.wrong {
            Wrong::UserInError => error.with_source(format!("{} is connected", key.user().id)),
            Wrong::BytesInErrorSource => {
                error.with_source(String::from_utf8_lossy(write.sealed.as_bytes()).into_owned())
            }
            _ => error,
        }
    }

    fn has(&self, key: &ConnectionKey, version: Version) -> bool {
        let slots = self.slots.lock().unwrap();
        matches!(slots.get(&self.place(key)), Some(Slot::Entry(entry)) if entry.version == version)
    }

    /// The entries that `wanted` wants, in an order that stays.
    fn entries(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let slots = self.slots.lock().unwrap();
        let mut entries: Vec<_> = slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Entry(entry) => wanted(entry).then(|| entry.clone()),
                Slot::Tombstone { .. } => None,
            })
            .collect();
        entries.sort_by_key(|entry| *entry.key.id());
        entries
    }

    /// What the indexes name.
    fn named(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        if !self.is(Wrong::IndexesLag) {
            return self.entries(wanted);
        }
        let slots = self.slots.lock().unwrap();
        let mut entries: Vec<_> =
            slots.values().map(Slot::entry).filter(|entry| wanted(entry)).cloned().collect();
        entries.sort_by_key(|entry| *entry.key.id());
        entries
    }

    /// Adds a connection to a page that never was, where that is wrong.
    fn invent(&self, keys: &mut Vec<ConnectionKey>, page: &Page, wrong: Wrong) {
        if self.is(wrong) && keys.len() < page.limit {
            keys.extend(keys.first().map(|key| key.with_account("never was")));
        }
    }

    /// A page of what is sorted by the bytes that name it.
    fn page<T>(
        &self,
        mut all: Vec<T>,
        page: &Page,
        name: impl Fn(&T) -> Vec<u8>,
    ) -> (Vec<T>, Option<Cursor>) {
        let after = page.after.as_ref().map(Cursor::as_bytes);
        let begin = match after {
            Some(after) if self.is(Wrong::PagesByNumber) => usize::from_be_bytes(after.try_into().unwrap()),
            Some(after) => all.iter().take_while(|one| name(one).as_slice() <= after).count(),
            None => 0,
        };
        let begin = if self.is(Wrong::PageRepeatsItsLast) { begin.saturating_sub(1) } else { begin };
        let mut rest = all.split_off(begin.min(all.len()));
        let limit = if self.is(Wrong::IgnoresTheLimit) { usize::MAX } else { page.limit };
        if rest.len() <= limit || self.is(Wrong::FirstPageOnly) {
            rest.truncate(limit);
            return (rest, None);
        }
        rest.truncate(limit);
        let next = match self.wrong {
            Wrong::PagesByNumber => (begin + limit).to_be_bytes().to_vec(),
            _ => name(rest.last().unwrap()),
        };
        if self.is(Wrong::PageLosesItsLast) {
            rest.pop();
        }
        (rest, Some(Cursor::new(next)))
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.entries(|_| self.is(Wrong::ShowsBytes));
        let shown: Vec<_> =
            shown.iter().map(|entry| String::from_utf8_lossy(entry.sealed.as_bytes()).into_owned()).collect();
        f.debug_struct("Broken").field("sealed", &shown).finish()
    }
}

#[async_trait]
impl TokenStore for Broken {
    fn is_durable(&self) -> bool {
        false
    }

    async fn put(
        &self,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: Write,
    ) -> Result<Version, StoreError> {
        let version = Version::first(incarnation);
        if self.is(Wrong::SavesAfterALook) {
            // Slow, so that a removal and a save end before it.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        if self.is(Wrong::TornPut) {
            self.set(self.place(key), Some(self.insert(key, version, &write, None)));
            tokio::task::yield_now().await;
            if let Some(Slot::Entry(entry)) = self.slots.lock().unwrap().get_mut(&self.place(key)) {
                entry.sealed = write.sealed;
            }
            return Ok(version);
        }
        self.at(key, Some(Wrong::TornPut), |slot| {
            let old = match slot {
                Some(Slot::Entry(entry)) => Some(entry.version),
                Some(Slot::Tombstone { version, .. }) => {
                    if self.is(Wrong::PutLosesToATombstone) {
                        return Ok(version.next());
                    }
                    Some(*version).filter(|_| !self.is(Wrong::PutTwiceOverATombstone))
                }
                None => None,
            };
            let again = old.is_some_and(|old| *old.incarnation() == incarnation);
            if again && !self.is(Wrong::PutTwiceOverwrites) {
                return Err(self.conflict(key, &write));
            }
            let old = match slot {
                Some(Slot::Entry(entry)) if entry.damaged && self.is(Wrong::CorruptIsNotReplaced) => {
                    return Err(corrupt());
                }
                Some(Slot::Entry(entry)) => Some(&*entry),
                _ => None,
            };
            *slot = Some(self.insert(key, version, &write, old));
            Ok(version)
        })
        .await
    }

    async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
        if self.is(Wrong::AnothersRecord) {
            let entry = self.entries(|_| true).into_iter().next();
            return Ok(entry.map_or(Loaded::Absent, |entry| Loaded::Found(self.record(&entry))));
        }
        self.at(key, None, |slot| match slot {
            Some(Slot::Entry(entry)) if entry.damaged => match self.wrong {
                Wrong::CorruptIsAbsent => Ok(Loaded::Absent),
                Wrong::CorruptIsRemoved => {
                    *slot = None;
                    Err(corrupt())
                }
                _ => Err(corrupt()),
            },
            Some(Slot::Entry(entry)) => Ok(Loaded::Found(self.copy(entry, Wrong::LoadsAnOlderCopy))),
            Some(Slot::Tombstone { version, .. }) => Ok(Loaded::Tombstone(*version)),
            None if self.is(Wrong::AbsentIsAnError) => Err(StoreError::new(StoreErrorKind::Unavailable)),
            None => Ok(Loaded::Absent),
        })
        .await
    }

    async fn lease(&self, key: &ConnectionKey, request: LeaseRequest) -> Result<LeaseOutcome, StoreError> {
        let of_another = self.lease_of_another(key);
        self.at(key, Some(Wrong::TornLease), |slot| {
            let entry = match slot {
                Some(Slot::Entry(entry)) if entry.damaged => return Err(corrupt()),
                Some(Slot::Entry(entry)) => entry,
                Some(Slot::Tombstone { version, .. }) => return Ok(LeaseOutcome::Tombstone(*version)),
                None => return Ok(LeaseOutcome::Absent),
            };
            let before = self.record(entry);
            let held = before
                .lease
                .filter(|lease| lease.holder != request.holder || self.is(Wrong::RefusesTheHolder))
                .or(of_another);
            let changed = request.if_version.is_some_and(|version| version != entry.version);
            let until = self.until(request.duration);
            if changed && !self.is(Wrong::LeasesAnyVersion) {
                match held {
                    Some(lease) if self.is(Wrong::SaysHeldBeforeChanged) => {
                        return Ok(LeaseOutcome::Held { lease, version: entry.version });
                    }
                    _ => {}
                }
                if self.is(Wrong::ChangedIsLeased) {
                    entry.lease = Some((request.holder, until));
                }
                return Ok(LeaseOutcome::Changed(before));
            }
            if let Some(lease) = held.filter(|_| !self.is(Wrong::LeasesWhatIsHeld)) {
                if self.is(Wrong::RefusalMarks) {
                    entry.mark = request.mark.or(entry.mark.take());
                }
                if self.is(Wrong::RefusalMakesLonger) {
                    entry.lease = Some((lease.holder, until));
                }
                return Ok(LeaseOutcome::Held { lease, version: entry.version });
            }
            let again = before.lease.is_some();
            if !(again && self.is(Wrong::LeasedAgainKeepsTheTime)) {
                entry.lease = Some((request.holder, until));
            }
            let found = before.mark;
            entry.mark = match request.mark {
                Some(mark) => Some(mark),
                None if again && self.is(Wrong::LeasedAgainForgetsTheMark) => None,
                None => found.clone(),
            };
            if self.is(Wrong::LeaseChangesTheVersion) {
                entry.version = entry.version.next();
            }
            let found = found.filter(|_| !self.is(Wrong::ForgetsWhatItFound));
            Ok(LeaseOutcome::Leased { record: self.copy(entry, Wrong::LeasesAnOlderCopy), found })
        })
        .await
    }

    async fn renew(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        renew: Renew,
    ) -> Result<Tenure, StoreError> {
        self.at(key, None, |slot| {
            let entry = match slot {
                Some(Slot::Entry(entry)) if entry.damaged => return Err(corrupt()),
                Some(Slot::Entry(entry)) => entry,
                Some(Slot::Tombstone { .. }) if self.is(Wrong::RenewsATombstone) => return Ok(Tenure::Held),
                _ => return Ok(Tenure::Lost),
            };
            let behind = Wrong::ClockBehindLosesARenewal;
            if !self.is_held(entry, holder, Wrong::AnyoneRenews, Wrong::RenewsWhatHasEnded, behind) {
                return Ok(Tenure::Lost);
            }
            if !self.is(Wrong::RenewKeepsTheTime) {
                entry.lease = Some((*holder, self.until(renew.duration)));
            }
            let kept = entry.mark.take().filter(|_| !self.is(Wrong::RenewForgetsTheMark));
            if renew.mark.is_some() && self.is(Wrong::MarkChangesTheVersion) {
                entry.version = entry.version.next();
            }
            entry.mark = renew.mark.or(kept);
            Ok(Tenure::Held)
        })
        .await
    }

    async fn release(
        &self,
        key: &ConnectionKey,
        holder: &LeaseHolder,
        release: Release,
    ) -> Result<Tenure, StoreError> {
        self.at(key, None, |slot| {
            let entry = match slot {
                Some(Slot::Entry(entry)) if entry.damaged => return Err(corrupt()),
                Some(Slot::Entry(entry)) => entry,
                _ => return Ok(Tenure::Lost),
            };
            let due_at = release.due_at.map(|time| self.due_at(time));
            let behind = Wrong::ClockBehindLosesARelease;
            if !self.is_held(entry, holder, Wrong::AnyoneReleases, Wrong::ReleasesWhatHasEnded, behind) {
                if self.is(Wrong::LostReleaseSetsTheDueTime) {
                    entry.due_at = due_at.or(entry.due_at);
                }
                return Ok(Tenure::Lost);
            }
            entry.lease = None;
            let keep = match self.wrong {
                Wrong::ReleaseKeepsTheMark => true,
                Wrong::ReleaseForgetsTheMark => false,
                _ => release.keep_mark,
            };
            if !keep {
                entry.mark = None;
            }
            entry.due_at = match self.wrong {
                Wrong::ReleaseKeepsTheDueTime => entry.due_at,
                Wrong::ReleaseForgetsTheDueTime => due_at,
                _ => due_at.or(entry.due_at),
            };
            if self.is(Wrong::ReleaseChangesTheVersion) {
                entry.version = entry.version.next();
            }
            Ok(Tenure::Held)
        })
        .await
    }

    async fn save_if_version(
        &self,
        key: &ConnectionKey,
        expected: &Expected,
        write: Write,
    ) -> Result<SaveOutcome, StoreError> {
        let looked = self.is(Wrong::SavesAfterALook) && self.has(key, expected.version);
        if looked {
            tokio::task::yield_now().await;
        }
        self.at(key, Some(Wrong::TornSave), |slot| {
            let entry = match slot {
                Some(Slot::Entry(entry)) if entry.damaged => return Err(corrupt()),
                Some(Slot::Entry(entry)) => entry,
                Some(Slot::Tombstone { version, .. }) if looked && *version == expected.version.next() => {
                    let version = *version;
                    *slot = Some(self.insert(key, version, &write, None));
                    return Ok(SaveOutcome::Saved(version));
                }
                Some(Slot::Tombstone { .. }) if self.is(Wrong::SavesOverATombstone) => {
                    *slot = Some(self.insert(key, expected.version.next(), &write, None));
                    return Ok(SaveOutcome::Saved(expected.version.next()));
                }
                Some(Slot::Tombstone { version, .. }) => return Ok(SaveOutcome::Tombstone(*version)),
                None if self.is(Wrong::AbsentIsMade) => {
                    *slot = Some(self.insert(key, expected.version.next(), &write, None));
                    return Ok(SaveOutcome::Saved(expected.version.next()));
                }
                None => return Ok(SaveOutcome::Absent),
            };
            let same = match self.wrong {
                Wrong::SavesOverAnyVersion => true,
                Wrong::ComparesTheCounterOnly => entry.version.counter() == expected.version.counter(),
                _ => entry.version == expected.version,
            };
            if !same {
                if self.is(Wrong::RefusedSaveEndsTheLease) {
                    entry.lease = None;
                }
                return Ok(SaveOutcome::Changed(self.record(entry)));
            }
            let held = |holder: &LeaseHolder| {
                let (ended, behind) = (Wrong::SaveForAHolderWhoseLeaseEnded, Wrong::ClockBehindLosesASave);
                self.is_held(entry, holder, Wrong::SaveNeedsNoHolder, ended, behind)
            };
            if expected.holder.is_some_and(|holder| !held(&holder))
                || (self.is(Wrong::SaveNeedsALease) && entry.lease.is_none())
            {
                return Ok(SaveOutcome::NotHeld);
            }
            self.older.lock().unwrap().insert(self.place(key), self.record(entry));
            if !self.is(Wrong::SaveKeepsTheVersion) {
                entry.version = entry.version.next();
            }
            entry.sealed = self.sealed(&write.sealed);
            if !self.is(Wrong::SaveKeepsTheLease) {
                entry.lease = None;
            }
            if !self.is(Wrong::SaveKeepsTheMark) {
                entry.mark = None;
            }
            if !self.is(Wrong::SaveKeepsTheDueTime) {
                entry.due_at = write.due_at.map(|time| self.due_at(time));
            }
            Ok(SaveOutcome::Saved(entry.version))
        })
        .await
    }

    async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
        self.at(key, Some(Wrong::TornRemove), |slot| {
            let entry = match slot {
                Some(Slot::Entry(entry)) => entry,
                Some(Slot::Tombstone { version, .. }) => return Ok(RemoveOutcome::Tombstone(*version)),
                None => return Ok(RemoveOutcome::Absent),
            };
            if entry.damaged && remove.if_version.is_some() {
                return Err(corrupt());
            }
            let record = self.record(entry);
            let other = remove.if_version.is_some_and(|version| version != entry.version);
            if (other && !self.is(Wrong::RemovesAnyVersion))
                || (self.is(Wrong::WaitsForTheLease) && record.lease.is_some())
            {
                return Ok(RemoveOutcome::Changed(record));
            }
            let readable = !entry.damaged && !self.is(Wrong::RemovesWithoutTheRecord);
            let tombstone = match self.wrong {
                Wrong::TombstoneKeepsTheVersion => entry.version,
                _ => entry.version.next(),
            };
            let leased = record.lease.filter(|_| !self.is(Wrong::TombstoneEndsBeforeTheLease));
            let leased = match (leased, entry.lease) {
                (None, Some((_, until))) if self.is(Wrong::BuriesALeaseForYears) => until - self.now(),
                (leased, _) => leased.map_or(Duration::ZERO, |lease| lease.remaining),
            };
            let until = match self.wrong {
                Wrong::TombstoneEndsAtOnce => self.now() + Duration::from_millis(1),
                _ => self.now() + remove.keep_tombstone.max(leased),
            };
            let of = entry.clone();
            *slot = (!self.is(Wrong::LeavesNoTombstone)).then_some(Slot::Tombstone {
                version: tombstone,
                until,
                of,
            });
            Ok(RemoveOutcome::Removed { record: readable.then_some(record), tombstone })
        })
        .await
    }

    async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
        let all = self.entries(|entry| match self.wrong {
            Wrong::ListsByIdOfUser => entry.key.user().id == user.id,
            Wrong::ListsTenantsOfAnyCase => {
                let own = entry.key.user();
                own.id == user.id && own.tenant.eq_ignore_ascii_case(&user.tenant)
            }
            Wrong::ListsByPrefix => {
                let joined = |user: &User| format!("{}{}", user.tenant, user.id);
                joined(entry.key.user()).starts_with(&joined(user))
            }
            _ => entry.key.user() == user,
        });
        let damaged = all.iter().filter(|entry| entry.damaged).count();
        if damaged > 0 && self.is(Wrong::CorruptHidesOthers) {
            return Err(corrupt());
        }
        let (entries, next) = self.page(all, page, |entry| entry.key.id().as_bytes().to_vec());
        let mut records: Vec<_> =
            entries.iter().filter(|entry| !entry.damaged).map(|entry| self.record(entry)).collect();
        if self.is(Wrong::ListLags) {
            records.retain(|record| record.version.counter() == 1);
        }
        if self.is(Wrong::ListsTombstones) {
            let slots = self.slots.lock().unwrap();
            let tombstone = slots.values().find_map(|slot| match slot {
                Slot::Tombstone { version, .. } => Some(*version),
                Slot::Entry(_) => None,
            });
            let key = ConnectionKey::new(user, "provider-1");
            let record = |version| authflow_core::Record::new(key, version, SealedBytes::new(Vec::new()));
            records.extend(tombstone.map(record));
        }
        let unreadable = if self.is(Wrong::CorruptIsNotCounted) { 0 } else { damaged };
        Ok(RecordPage::new(records, next).unreadable(unreadable))
    }

    async fn due_before(&self, shard: Shard, time: SystemTime, page: &Page) -> Result<KeyPage, StoreError> {
        let time = self.due_at(time);
        let due_of = |entry: &Entry| if self.is(Wrong::IndexesLag) { entry.once_due } else { entry.due_at };
        let mut all = self.named(|entry| {
            entry.key.shard() == shard
                && match due_of(entry) {
                    Some(due_at) if self.is(Wrong::DueAtTheTimeToo) => due_at <= time,
                    Some(due_at) => due_at < time,
                    None => self.is(Wrong::DueIfNever),
                }
        });
        let name = |entry: &Entry| {
            let due_at = due_of(entry).filter(|_| !self.is(Wrong::DueInAnyOrder)).unwrap_or_default();
            [&due_at.to_be_bytes()[..], entry.key.id().as_bytes()].concat()
        };
        all.sort_by_key(name);
        let (entries, next) = self.page(all, page, name);
        let mut keys = entries.into_iter().map(|entry| entry.key).collect();
        self.invent(&mut keys, page, Wrong::FindsDueWhatNeverWas);
        Ok(KeyPage::new(keys, next))
    }

    async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
        let all = self.named(|entry| entry.key.shard() == shard || self.is(Wrong::WalksAllShards));
        let (entries, next) = self.page(all, page, |entry| entry.key.id().as_bytes().to_vec());
        let mut keys: Vec<_> = entries.into_iter().map(|entry| entry.key).collect();
        self.invent(&mut keys, page, Wrong::WalksWhatNeverWas);
        Ok(KeyPage::new(keys, next))
    }
}
