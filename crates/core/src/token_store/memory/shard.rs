//! One shard: the connections of some users, in order, with an index by due time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::connection_key::{ConnectionId, ConnectionKey, UserTag};
use crate::token_store::{
    Expected, Incarnation, Lease, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Record, RefreshMark,
    Release, Remove, RemoveOutcome, Renew, SaveOutcome, SealedBytes, Tenure, Version, Write,
};

/// How many ended tombstones one call lets go of.
const PURGE_AT_ONCE: usize = 16;

/// Where a connection is: behind its user, so that a user's are together.
pub(super) type Place = (UserTag, ConnectionId);
/// Where a due connection is: the earliest first.
pub(super) type DuePlace = (u64, UserTag, ConnectionId);

/// How many connections the whole store may hold.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicUsize,
    capacity: usize,
}

impl Room {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { used: AtomicUsize::new(0), capacity }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self) -> bool {
        let more = |used: usize| (used < self.capacity).then(|| used.saturating_add(1));
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Conflict,
    Full,
}

#[derive(Default)]
pub(super) struct Shard {
    slots: BTreeMap<Place, Slot>,
    due: BTreeSet<DuePlace>,
    /// By when they end.
    tombstones: BTreeSet<(Duration, UserTag, ConnectionId)>,
}

enum Slot {
    Entry(Box<Entry>),
    Tombstone { version: Version, until: Duration },
}

struct Entry {
    key: ConnectionKey,
    version: Version,
    sealed: SealedBytes,
    /// In milliseconds since 1970.
    due_at: Option<u64>,
    /// Who, and until when.
    lease: Option<(LeaseHolder, Duration)>,
    mark: Option<RefreshMark>,
}

impl Entry {
    fn lease(&self, now: Duration) -> Option<Lease> {
        let (holder, until) = self.lease?;
        let remaining = until.checked_sub(now).filter(|remaining| !remaining.is_zero())?;
        Some(Lease::new(holder, remaining))
    }

    fn is_held_by(&self, holder: &LeaseHolder, now: Duration) -> bool {
        self.lease(now).is_some_and(|lease| lease.holder == *holder)
    }

    fn record(&self, now: Duration) -> Record {
        Record::new(self.key.clone(), self.version, self.sealed.clone())
            .due_at(self.due_at.map(from_milliseconds))
            .lease(self.lease(now))
            .mark(self.mark.clone())
    }
}

impl Shard {
    pub(super) fn put(
        &mut self,
        place: Place,
        key: &ConnectionKey,
        incarnation: Incarnation,
        write: &Write,
        now: Duration,
        room: &Room,
    ) -> Result<Version, Refused> {
        self.purge(now, room);
        let stored = match self.slots.get(&place) {
            Some(Slot::Entry(entry)) => Some(entry.version),
            Some(Slot::Tombstone { version, .. }) => Some(*version),
            None => None,
        };
        match stored {
            Some(version) if *version.incarnation() == incarnation => return Err(Refused::Conflict),
            Some(_) => self.forget(&place),
            None if room.take() => {}
            None => return Err(Refused::Full),
        }
        let version = Version::first(incarnation);
        let due_at = write.due_at.map(milliseconds);
        let entry = Entry {
            key: key.clone(),
            version,
            sealed: write.sealed.clone(),
            due_at,
            lease: None,
            mark: None,
        };
        self.slots.insert(place, Slot::Entry(Box::new(entry)));
        self.index(place, due_at);
        Ok(version)
    }

    pub(super) fn load(&self, place: &Place, now: Duration) -> Loaded {
        match self.slots.get(place) {
            Some(Slot::Entry(entry)) => Loaded::Found(entry.record(now)),
            Some(Slot::Tombstone { version, until }) if now < *until => Loaded::Tombstone(*version),
            _ => Loaded::Absent,
        }
    }

    pub(super) fn lease(&mut self, place: &Place, request: LeaseRequest, now: Duration) -> LeaseOutcome {
        let entry = match self.entry(place, now) {
            Found::Entry(entry) => entry,
            Found::Tombstone(version) => return LeaseOutcome::Tombstone(version),
            Found::Absent => return LeaseOutcome::Absent,
        };
        if request.if_version.is_some_and(|version| version != entry.version) {
            return LeaseOutcome::Changed(entry.record(now));
        }
        if let Some(lease) = entry.lease(now).filter(|lease| lease.holder != request.holder) {
            return LeaseOutcome::Held { lease, version: entry.version };
        }
        entry.lease = Some((request.holder, until(now, request.duration.min(Lease::LONGEST))));
        let found = entry.mark.clone();
        entry.mark = request.mark.or_else(|| found.clone());
        LeaseOutcome::Leased { record: entry.record(now), found }
    }

    pub(super) fn renew(
        &mut self,
        place: &Place,
        holder: &LeaseHolder,
        renew: Renew,
        now: Duration,
    ) -> Tenure {
        let Found::Entry(entry) = self.entry(place, now) else { return Tenure::Lost };
        if !entry.is_held_by(holder, now) {
            return Tenure::Lost;
        }
        entry.lease = Some((*holder, until(now, renew.duration.min(Lease::LONGEST))));
        entry.mark = renew.mark.or_else(|| entry.mark.take());
        Tenure::Held
    }

    pub(super) fn release(
        &mut self,
        place: &Place,
        holder: &LeaseHolder,
        release: Release,
        now: Duration,
    ) -> Tenure {
        let Found::Entry(entry) = self.entry(place, now) else { return Tenure::Lost };
        if !entry.is_held_by(holder, now) {
            return Tenure::Lost;
        }
        entry.lease = None;
        if !release.keep_mark {
            entry.mark = None;
        }
        if let Some(due_at) = release.due_at.map(milliseconds) {
            let before = entry.due_at.replace(due_at);
            self.unindex(place, before);
            self.index(*place, Some(due_at));
        }
        Tenure::Held
    }

    pub(super) fn save(
        &mut self,
        place: &Place,
        expected: &Expected,
        write: Write,
        now: Duration,
    ) -> SaveOutcome {
        let entry = match self.entry(place, now) {
            Found::Entry(entry) => entry,
            Found::Tombstone(version) => return SaveOutcome::Tombstone(version),
            Found::Absent => return SaveOutcome::Absent,
        };
        if entry.version != expected.version {
            return SaveOutcome::Changed(entry.record(now));
        }
        if expected.holder.is_some_and(|holder| !entry.is_held_by(&holder, now)) {
            return SaveOutcome::NotHeld;
        }
        entry.version = entry.version.next();
        entry.sealed = write.sealed;
        entry.lease = None;
        entry.mark = None;
        let due_at = write.due_at.map(milliseconds);
        let before = std::mem::replace(&mut entry.due_at, due_at);
        let version = entry.version;
        self.unindex(place, before);
        self.index(*place, due_at);
        SaveOutcome::Saved(version)
    }

    pub(super) fn remove(
        &mut self,
        place: &Place,
        remove: Remove,
        now: Duration,
        room: &Room,
    ) -> RemoveOutcome {
        self.purge(now, room);
        let entry = match self.entry(place, now) {
            Found::Entry(entry) => entry,
            Found::Tombstone(version) => return RemoveOutcome::Tombstone(version),
            Found::Absent => return RemoveOutcome::Absent,
        };
        if remove.if_version.is_some_and(|version| version != entry.version) {
            return RemoveOutcome::Changed(entry.record(now));
        }
        let record = entry.record(now);
        let tombstone = entry.version.next();
        let leased = record.lease.map_or(Duration::ZERO, |lease| lease.remaining);
        let until = until(now, remove.keep_tombstone.max(leased));
        self.forget(place);
        self.slots.insert(*place, Slot::Tombstone { version: tombstone, until });
        self.tombstones.insert((until, place.0, place.1));
        RemoveOutcome::Removed { record: Some(record), tombstone }
    }

    /// The entries of one user behind `after`, one more than `limit` if there are so many.
    pub(super) fn of_user(
        &self,
        tag: UserTag,
        after: Option<ConnectionId>,
        limit: usize,
        now: Duration,
    ) -> Vec<Record> {
        let from = match after {
            Some(id) => Bound::Excluded((tag, id)),
            None => Bound::Included((tag, ConnectionId::from_bytes([0; 32]))),
        };
        let to = Bound::Included((tag, ConnectionId::from_bytes([u8::MAX; 32])));
        let records = self.slots.range((from, to)).filter_map(|(_, slot)| Some(entry_of(slot)?.record(now)));
        records.take(limit.saturating_add(1)).collect()
    }

    /// The places and keys behind `after`, one more than `limit` if there are so many.
    pub(super) fn walk(&self, after: Option<Place>, limit: usize) -> Vec<(Place, ConnectionKey)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.slots.range((from, Bound::Unbounded));
        keys.filter_map(|(place, slot)| Some((*place, entry_of(slot)?.key.clone())))
            .take(limit.saturating_add(1))
            .collect()
    }

    /// The same, of those due before `time`.
    pub(super) fn due(
        &self,
        time: SystemTime,
        after: Option<DuePlace>,
        limit: usize,
    ) -> Vec<(DuePlace, ConnectionKey)> {
        let time = milliseconds(time);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let due = self.due.range((from, Bound::Unbounded)).take_while(|(due_at, ..)| *due_at < time);
        due.filter_map(|place| {
            let entry = entry_of(self.slots.get(&(place.1, place.2))?)?;
            Some((*place, entry.key.clone()))
        })
        .take(limit.saturating_add(1))
        .collect()
    }

    fn entry(&mut self, place: &Place, now: Duration) -> Found<'_> {
        match self.slots.get_mut(place) {
            Some(Slot::Entry(entry)) => Found::Entry(entry),
            Some(Slot::Tombstone { version, until }) if now < *until => Found::Tombstone(*version),
            _ => Found::Absent,
        }
    }

    /// Takes a slot out, with all that points to it.
    fn forget(&mut self, place: &Place) {
        match self.slots.remove(place) {
            Some(Slot::Entry(entry)) => self.unindex(place, entry.due_at),
            Some(Slot::Tombstone { until, .. }) => {
                self.tombstones.remove(&(until, place.0, place.1));
            }
            None => {}
        }
    }

    fn index(&mut self, place: Place, due_at: Option<u64>) {
        if let Some(due_at) = due_at {
            self.due.insert((due_at, place.0, place.1));
        }
    }

    fn unindex(&mut self, place: &Place, due_at: Option<u64>) {
        if let Some(due_at) = due_at {
            self.due.remove(&(due_at, place.0, place.1));
        }
    }

    /// Lets go of a few tombstones that ended, and says of how many.
    pub(super) fn purge(&mut self, now: Duration, room: &Room) -> usize {
        for gone in 0..PURGE_AT_ONCE {
            match self.tombstones.first() {
                Some((until, tag, id)) if *until <= now => {
                    let place = (*tag, *id);
                    self.forget(&place);
                    room.give_back();
                }
                _ => return gone,
            }
        }
        PURGE_AT_ONCE
    }
}

enum Found<'s> {
    Absent,
    Entry(&'s mut Entry),
    Tombstone(Version),
}

fn entry_of(slot: &Slot) -> Option<&Entry> {
    match slot {
        Slot::Entry(entry) => Some(entry),
        Slot::Tombstone { .. } => None,
    }
}

/// When what lasts for `duration` ends: a whole number of milliseconds on, and one at least.
fn until(now: Duration, duration: Duration) -> Duration {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000).max(1);
    now.saturating_add(Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX)))
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_milliseconds(milliseconds: u64) -> SystemTime {
    crate::clock::saturating_add(SystemTime::UNIX_EPOCH, Duration::from_millis(milliseconds))
}
