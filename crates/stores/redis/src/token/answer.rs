//! What the scripts answer.

use std::time::Duration;

use authflow_core::{
    ConnectionKey, Lease, LeaseHolder, LeaseOutcome, Loaded, Record, RemoveOutcome, SaveOutcome, SealedBytes,
    StoreError, StoreErrorKind, Tenure, Version,
};
use redis::Value;

use super::values::{read_due, read_mark, read_version};
use crate::error::{Cause, Failure, NOT_REDIS};

/// Why an answer is none that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The script does not answer so.
    Answer,
    /// The record cannot be read.
    Record,
    /// The incarnation is there already.
    Conflict,
}

impl Wrong {
    /// Of a script that only reads: whatever happened, nothing was done.
    pub(super) fn of_reading(self) -> StoreError {
        match self {
            Self::Answer => Failure::NotSent(Cause::new(NOT_REDIS)).into(),
            other => other.of_writing(),
        }
    }

    pub(super) fn of_writing(self) -> StoreError {
        match self {
            Self::Answer => Failure::Lost(Cause::new(NOT_REDIS)).into(),
            Self::Record => StoreError::new(StoreErrorKind::Corrupt)
                .with_source("the fields of a record do not belong together, or are not all there"),
            Self::Conflict => StoreError::new(StoreErrorKind::Conflict),
        }
    }
}

type Read<T> = Result<T, Wrong>;

/// An answer, part by part.
pub(super) struct Parts(std::vec::IntoIter<Value>);

impl Parts {
    pub(super) fn of(value: Value) -> Read<Self> {
        match value {
            Value::Array(parts) => Ok(Self(parts.into_iter())),
            _ => Err(Wrong::Answer),
        }
    }

    pub(super) fn part(&mut self) -> Read<Self> {
        Self::of(self.0.next().ok_or(Wrong::Answer)?)
    }

    pub(super) fn bytes(&mut self) -> Read<Vec<u8>> {
        match self.0.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes),
            _ => Err(Wrong::Answer),
        }
    }

    pub(super) fn number(&mut self) -> Read<usize> {
        match self.0.next() {
            Some(Value::Int(number)) => usize::try_from(number).map_err(|_| Wrong::Answer),
            _ => Err(Wrong::Answer),
        }
    }

    pub(super) fn rest(self) -> impl Iterator<Item = Value> {
        self.0
    }

    fn version(&mut self) -> Read<Version> {
        read_version(&self.bytes()?).ok_or(Wrong::Answer)
    }

    fn lease(holder: &[u8], left: &[u8]) -> Read<Lease> {
        let holder = LeaseHolder::from_bytes(holder.try_into().map_err(|_| Wrong::Answer)?);
        let left = std::str::from_utf8(left).ok().and_then(|left| left.parse().ok()).ok_or(Wrong::Answer)?;
        // The script believes a clock that was a little ahead.
        Ok(Lease::new(holder, Duration::from_micros(left).min(Lease::LONGEST)))
    }

    /// Head, key, sealed bytes, holder or nothing, microseconds left, mark or nothing.
    pub(super) fn record(mut self) -> Read<Record> {
        let (head, key, sealed) = (self.bytes()?, self.bytes()?, SealedBytes::new(self.bytes()?));
        let (holder, left, mark) = (self.bytes()?, self.bytes()?, self.bytes()?);
        let key = ConnectionKey::from_bytes(&key).ok_or(Wrong::Record)?;
        let (version, due) = head.split_at_checked(24).ok_or(Wrong::Record)?;
        let lease = if holder.is_empty() { None } else { Some(Self::lease(&holder, &left)?) };
        let mark = if mark.is_empty() { None } else { Some(read_mark(&mark).ok_or(Wrong::Record)?) };
        Ok(Record::new(key, read_version(version).ok_or(Wrong::Record)?, sealed)
            .due_at(read_due(due).ok_or(Wrong::Record)?)
            .lease(lease)
            .mark(mark))
    }

    /// The record, of the connection that was asked for.
    fn record_of(&mut self, key: &ConnectionKey) -> Read<Record> {
        let record = self.part()?.record()?;
        if record.key == *key { Ok(record) } else { Err(Wrong::Record) }
    }

    /// What is no outcome of the operation.
    fn other<T>(status: &[u8]) -> Read<T> {
        Err(if status == b"corrupt" { Wrong::Record } else { Wrong::Answer })
    }
}

pub(super) fn put(answer: Value) -> Read<()> {
    match &*Parts::of(answer)?.bytes()? {
        b"saved" => Ok(()),
        b"conflict" => Err(Wrong::Conflict),
        other => Parts::other(other),
    }
}

pub(super) fn loaded(answer: Value, key: &ConnectionKey) -> Read<Loaded> {
    let mut parts = Parts::of(answer)?;
    match &*parts.bytes()? {
        b"absent" => Ok(Loaded::Absent),
        b"tombstone" => Ok(Loaded::Tombstone(parts.version()?)),
        b"found" => Ok(Loaded::Found(parts.record_of(key)?)),
        other => Parts::other(other),
    }
}

pub(super) fn leased(answer: Value, key: &ConnectionKey) -> Read<LeaseOutcome> {
    let mut parts = Parts::of(answer)?;
    match &*parts.bytes()? {
        b"absent" => Ok(LeaseOutcome::Absent),
        b"tombstone" => Ok(LeaseOutcome::Tombstone(parts.version()?)),
        b"changed" => Ok(LeaseOutcome::Changed(parts.record_of(key)?)),
        b"held" => {
            let lease = Parts::lease(&parts.bytes()?, &parts.bytes()?)?;
            Ok(LeaseOutcome::Held { lease, version: parts.version()? })
        }
        b"leased" => {
            let (record, found) = (parts.record_of(key)?, parts.bytes()?);
            let found = if found.is_empty() { None } else { Some(read_mark(&found).ok_or(Wrong::Record)?) };
            Ok(LeaseOutcome::Leased { record, found })
        }
        other => Parts::other(other),
    }
}

pub(super) fn tenure(answer: Value) -> Read<Tenure> {
    match &*Parts::of(answer)?.bytes()? {
        b"done" => Ok(Tenure::Held),
        b"lost" => Ok(Tenure::Lost),
        other => Parts::other(other),
    }
}

pub(super) fn saved(answer: Value, key: &ConnectionKey, version: Version) -> Read<SaveOutcome> {
    let mut parts = Parts::of(answer)?;
    match &*parts.bytes()? {
        b"absent" => Ok(SaveOutcome::Absent),
        b"tombstone" => Ok(SaveOutcome::Tombstone(parts.version()?)),
        b"changed" => Ok(SaveOutcome::Changed(parts.record_of(key)?)),
        b"not held" => Ok(SaveOutcome::NotHeld),
        b"saved" => Ok(SaveOutcome::Saved(version)),
        other => Parts::other(other),
    }
}

pub(super) fn removed(answer: Value, key: &ConnectionKey) -> Read<RemoveOutcome> {
    let mut parts = Parts::of(answer)?;
    match &*parts.bytes()? {
        b"absent" => Ok(RemoveOutcome::Absent),
        b"tombstone" => Ok(RemoveOutcome::Tombstone(parts.version()?)),
        b"changed" => Ok(RemoveOutcome::Changed(parts.record_of(key)?)),
        b"removed" => {
            let tombstone = parts.version()?;
            // Gone is gone: that its fields were not readable does not bring it back.
            let record = parts.record_of(key).ok();
            Ok(RemoveOutcome::Removed { record, tombstone })
        }
        other => Parts::other(other),
    }
}
