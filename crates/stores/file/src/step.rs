//! What each operation makes of what is stored: no file is touched here.

use authflow_core::{
    ConnectionKey, Expected, Incarnation, Lease, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded, Release,
    Remove, RemoveOutcome, Renew, SaveOutcome, Tenure, Version, Write,
};

use crate::format::{Entry, Stored, milliseconds};
use crate::machine_time::MachineTime;

/// What an operation answers, and what is to be stored for it.
pub(crate) struct Step<T> {
    pub(crate) outcome: T,
    /// `None` if nothing changes.
    pub(crate) write: Option<Stored>,
}

impl<T> Step<T> {
    fn nothing(outcome: T) -> Self {
        Self { outcome, write: None }
    }

    fn write(outcome: T, stored: Stored) -> Self {
        Self { outcome, write: Some(stored) }
    }
}

/// What is stored, as an operation sees it.
enum Seen {
    Absent,
    Tombstone(Version),
    Entry(Entry),
}

fn see(stored: Option<Stored>, now: MachineTime) -> Seen {
    match stored {
        Some(Stored::Record(entry)) => Seen::Entry(entry),
        Some(Stored::Tombstone { version, ends, .. }) if !ends.has_come(now) => Seen::Tombstone(version),
        Some(Stored::Tombstone { .. }) | None => Seen::Absent,
    }
}

/// `None` if the incarnation is there already. What cannot be read is replaced: only its version counts, if that is known.
pub(crate) fn put(
    stored: Option<&Version>,
    key: &ConnectionKey,
    incarnation: Incarnation,
    write: Write,
) -> Option<Step<Version>> {
    if stored.is_some_and(|version| *version.incarnation() == incarnation) {
        return None;
    }
    let version = Version::first(incarnation);
    let entry = Entry {
        key: key.clone(),
        version,
        sealed: write.sealed,
        due_at: write.due_at.map(milliseconds),
        lease: None,
        mark: None,
    };
    Some(Step::write(version, Stored::Record(entry)))
}

pub(crate) fn load(stored: Option<Stored>, now: MachineTime) -> Loaded {
    match see(stored, now) {
        Seen::Absent => Loaded::Absent,
        Seen::Tombstone(version) => Loaded::Tombstone(version),
        Seen::Entry(entry) => Loaded::Found(entry.record(now)),
    }
}

pub(crate) fn lease(stored: Option<Stored>, request: &LeaseRequest, now: MachineTime) -> Step<LeaseOutcome> {
    let mut entry = match see(stored, now) {
        Seen::Absent => return Step::nothing(LeaseOutcome::Absent),
        Seen::Tombstone(version) => return Step::nothing(LeaseOutcome::Tombstone(version)),
        Seen::Entry(entry) => entry,
    };
    if request.if_version.is_some_and(|version| version != entry.version) {
        return Step::nothing(LeaseOutcome::Changed(entry.record(now)));
    }
    if let Some(lease) = entry.lease(now).filter(|lease| lease.holder != request.holder) {
        return Step::nothing(LeaseOutcome::Held { lease, version: entry.version });
    }
    entry.lease = Some((request.holder, now.after(request.duration.min(Lease::LONGEST))));
    let found = entry.mark.clone();
    if let Some(mark) = &request.mark {
        entry.mark = Some(mark.clone());
    }
    Step::write(LeaseOutcome::Leased { record: entry.record(now), found }, Stored::Record(entry))
}

pub(crate) fn renew(
    stored: Option<Stored>,
    holder: &LeaseHolder,
    renew: &Renew,
    now: MachineTime,
) -> Step<Tenure> {
    let Some(mut entry) = held(stored, holder, now) else { return Step::nothing(Tenure::Lost) };
    entry.lease = Some((*holder, now.after(renew.duration.min(Lease::LONGEST))));
    if let Some(mark) = &renew.mark {
        entry.mark = Some(mark.clone());
    }
    Step::write(Tenure::Held, Stored::Record(entry))
}

pub(crate) fn release(
    stored: Option<Stored>,
    holder: &LeaseHolder,
    release: &Release,
    now: MachineTime,
) -> Step<Tenure> {
    let Some(mut entry) = held(stored, holder, now) else { return Step::nothing(Tenure::Lost) };
    entry.lease = None;
    if !release.keep_mark {
        entry.mark = None;
    }
    entry.due_at = release.due_at.map(milliseconds).or(entry.due_at);
    Step::write(Tenure::Held, Stored::Record(entry))
}

pub(crate) fn save(
    stored: Option<Stored>,
    expected: &Expected,
    write: Write,
    now: MachineTime,
) -> Step<SaveOutcome> {
    let mut entry = match see(stored, now) {
        Seen::Absent => return Step::nothing(SaveOutcome::Absent),
        Seen::Tombstone(version) => return Step::nothing(SaveOutcome::Tombstone(version)),
        Seen::Entry(entry) => entry,
    };
    if entry.version != expected.version {
        return Step::nothing(SaveOutcome::Changed(entry.record(now)));
    }
    if expected.holder.is_some_and(|holder| !is_held_by(&entry, &holder, now)) {
        return Step::nothing(SaveOutcome::NotHeld);
    }
    entry.version = entry.version.next();
    entry.sealed = write.sealed;
    entry.due_at = write.due_at.map(milliseconds);
    entry.lease = None;
    entry.mark = None;
    Step::write(SaveOutcome::Saved(entry.version), Stored::Record(entry))
}

pub(crate) fn remove(stored: Option<Stored>, remove: &Remove, now: MachineTime) -> Step<RemoveOutcome> {
    let entry = match see(stored, now) {
        Seen::Absent => return Step::nothing(RemoveOutcome::Absent),
        Seen::Tombstone(version) => return Step::nothing(RemoveOutcome::Tombstone(version)),
        Seen::Entry(entry) => entry,
    };
    if remove.if_version.is_some_and(|version| version != entry.version) {
        return Step::nothing(RemoveOutcome::Changed(entry.record(now)));
    }
    let tombstone = entry.version.next();
    let stored = bury(&entry.key, tombstone, remove, Some(&entry), now);
    Step::write(RemoveOutcome::Removed { record: Some(entry.record(now)), tombstone }, stored)
}

/// A tombstone in the place of what cannot be read, of which the head may be known.
pub(crate) fn remove_unreadable(
    key: &ConnectionKey,
    head: Option<&Stored>,
    tombstone: Version,
    remove: &Remove,
    now: MachineTime,
) -> Step<RemoveOutcome> {
    let entry = match head {
        Some(Stored::Record(entry)) => Some(entry),
        Some(Stored::Tombstone { .. }) | None => None,
    };
    let stored = bury(key, tombstone, remove, entry, now);
    Step::write(RemoveOutcome::Removed { record: None, tombstone }, stored)
}

fn bury(
    key: &ConnectionKey,
    version: Version,
    remove: &Remove,
    entry: Option<&Entry>,
    now: MachineTime,
) -> Stored {
    // All of it, also what is told to nobody.
    let leased = entry.and_then(|entry| entry.lease.as_ref()?.1.remaining(now));
    let ends = now.after(remove.keep_tombstone.max(leased.unwrap_or_default()));
    Stored::Tombstone { key: key.clone(), version, ends }
}

fn held(stored: Option<Stored>, holder: &LeaseHolder, now: MachineTime) -> Option<Entry> {
    match see(stored, now) {
        Seen::Entry(entry) if is_held_by(&entry, holder, now) => Some(entry),
        _ => None,
    }
}

fn is_held_by(entry: &Entry, holder: &LeaseHolder, now: MachineTime) -> bool {
    entry.lease(now).is_some_and(|lease| lease.holder == *holder)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use authflow_core::{SealedBytes, User};

    use super::*;

    fn at(seconds: u64) -> MachineTime {
        MachineTime::new([1; 16], Duration::from_secs(seconds))
    }

    fn holder(byte: u8) -> LeaseHolder {
        LeaseHolder::from_bytes([byte; 16])
    }

    /// The clock that it is read by is a little behind the one that it was taken by: it is held, for every operation, and for
    /// no longer than a lease may last; and what is removed stays removed until it ends.
    #[test]
    fn f11_x17_a_lease_is_not_lost_to_a_clock_that_is_a_little_behind() {
        let (key, owner) = (ConnectionKey::new(&User::new("tenant", "user"), "provider"), holder(7));
        let write = || Write::new(SealedBytes::new(b"one".to_vec()));
        let Step { outcome: version, write: Some(stored) } =
            put(None, &key, Incarnation::from_bytes([1; 16]), write()).unwrap()
        else {
            panic!("it is written");
        };
        let leased = lease(Some(stored), &LeaseRequest::new(owner, Lease::LONGEST), at(10_000)).write;
        let stored = || leased.clone();
        let behind = at(9_950);

        let found = load(stored(), behind).into_record().unwrap().lease.unwrap();
        assert_eq!((found.holder, found.remaining), (owner, Lease::LONGEST));
        let outcome = lease(stored(), &LeaseRequest::new(holder(8), Lease::LONGEST), behind).outcome;
        assert!(matches!(outcome, LeaseOutcome::Held { lease, .. } if lease == found), "{outcome:?}");
        assert_eq!(renew(stored(), &owner, &Renew::new(Lease::LONGEST), behind).outcome, Tenure::Held);
        let expected = Expected::version(version).held_by(owner);
        let saved = save(stored(), &expected, write(), behind).outcome;
        assert!(matches!(saved, SaveOutcome::Saved(_)), "{saved:?}");
        let buried = remove(stored(), &Remove::new(Duration::from_secs(1)), behind).write;
        assert!(matches!(load(buried, at(10_299)), Loaded::Tombstone(_)));

        assert!(load(stored(), at(9_939)).into_record().unwrap().lease.is_none(), "that is a jump");
    }
}
