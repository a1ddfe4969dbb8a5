//! A row of `authflow_connections`, and what it says.

use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Incarnation, Lease, LeaseHolder, Record, RefreshMark, SealedBytes, Version,
};

use crate::driver::Row;
use crate::error::Failure;
use crate::sql::BELIEVED;
use crate::sql::Column::{self, Bytes, Integer};

/// The columns of a record, in the order of [`Stored::read`].
pub(crate) const RECORD: &str = "id, key_bytes, incarnation, counter, revision, sealed, due_at, lease_holder, \
     lease_until, mark, mark_found, tombstone_until, {now}";
pub(crate) const RECORD_COLUMNS: &[Column] =
    &[Bytes, Bytes, Bytes, Integer, Integer, Bytes, Integer, Bytes, Integer, Bytes, Bytes, Integer, Integer];

/// A row as it is stored, of which nothing is known yet.
pub(crate) struct Stored {
    pub(crate) id: Vec<u8>,
    key_bytes: Vec<u8>,
    pub(crate) incarnation: Vec<u8>,
    pub(crate) counter: i64,
    pub(crate) revision: i64,
    sealed: Option<Vec<u8>>,
    due_at: Option<i64>,
    lease_holder: Option<Vec<u8>>,
    lease_until: Option<i64>,
    mark: Option<Vec<u8>>,
    mark_found: Option<Vec<u8>>,
    tombstone_until: Option<i64>,
    now: i64,
}

/// What is stored under a key.
pub(crate) enum State {
    /// Nothing, or a tombstone that has ended.
    Absent,
    Tombstone(Version),
    Record(Record),
}

impl Stored {
    pub(crate) fn read(mut row: Row) -> Result<Self, Failure> {
        let missing = || Failure::corrupt("a column that always has a value has none");
        Ok(Self {
            id: row.bytes().ok_or_else(missing)?,
            key_bytes: row.bytes().ok_or_else(missing)?,
            incarnation: row.bytes().ok_or_else(missing)?,
            counter: row.integer().ok_or_else(missing)?,
            revision: row.integer().ok_or_else(missing)?,
            sealed: row.bytes(),
            due_at: row.integer(),
            lease_holder: row.bytes(),
            lease_until: row.integer(),
            mark: row.bytes(),
            mark_found: row.bytes(),
            tombstone_until: row.integer(),
            now: row.integer().ok_or_else(missing)?,
        })
    }

    /// What the row says, if it is one that this store wrote under `key`.
    pub(crate) fn state_of(self, key: &ConnectionKey) -> Result<State, Failure> {
        if self.id != key.id().as_bytes() || self.key_bytes != key.to_bytes() {
            return Err(Failure::corrupt("a row names another connection than it is filed under"));
        }
        self.state(key.clone())
    }

    /// The same, of a row that was not asked for by its key.
    pub(crate) fn into_state(self) -> Result<State, Failure> {
        let key = key_of(&self.id, &self.key_bytes)
            .ok_or_else(|| Failure::corrupt("a row names another connection than it is filed under"))?;
        self.state(key)
    }

    /// The mark that was there before the one that the last lease wrote.
    pub(crate) fn found(&self) -> Result<Option<RefreshMark>, Failure> {
        self.mark_found.as_deref().map(read_mark).transpose()
    }

    pub(crate) fn is_of(&self, incarnation: &Incarnation) -> bool {
        self.incarnation == incarnation.as_bytes()
    }

    pub(crate) fn holds(&self, sealed: &SealedBytes) -> bool {
        self.sealed.as_deref() == Some(sealed.as_bytes())
    }

    fn state(self, key: ConnectionKey) -> Result<State, Failure> {
        let corrupt = || Failure::corrupt("a row holds something that this store does not write");
        let incarnation = self.incarnation.as_slice().try_into().map_err(|_| corrupt())?;
        let counter = u64::try_from(self.counter).ok().filter(|counter| *counter > 0).ok_or_else(corrupt)?;
        let version = Version::new(Incarnation::from_bytes(incarnation), counter);
        if let Some(until) = self.tombstone_until {
            return Ok(if self.now < until { State::Tombstone(version) } else { State::Absent });
        }
        let lease = match (self.lease_holder, self.lease_until) {
            (None, None) => None,
            (Some(holder), Some(until)) => {
                let holder = LeaseHolder::from_bytes(holder.as_slice().try_into().map_err(|_| corrupt())?);
                let remaining = until.checked_sub(self.now);
                let remaining = remaining.filter(|it| (1..=lasting(BELIEVED)).contains(it));
                let remaining = remaining.map(|it| Duration::from_millis(it.unsigned_abs()));
                remaining.map(|it| Lease::new(holder, it.min(Lease::LONGEST)))
            }
            _ => return Err(corrupt()),
        };
        let due_at = self.due_at.map(|it| u64::try_from(it).map(from_milliseconds)).transpose();
        let record = Record::new(key, version, SealedBytes::new(self.sealed.ok_or_else(corrupt)?))
            .due_at(due_at.map_err(|_| corrupt())?)
            .lease(lease)
            .mark(self.mark.as_deref().map(read_mark).transpose()?);
        Ok(State::Record(record))
    }
}

/// The key that a row names, if it is the one under whose id the row is.
pub(crate) fn key_of(id: &[u8], key_bytes: &[u8]) -> Option<ConnectionKey> {
    ConnectionKey::from_bytes(key_bytes).filter(|key| key.id().as_bytes() == id)
}

/// Holder, hash, start in milliseconds since 1970, attempt.
pub(crate) fn write_mark(mark: &RefreshMark) -> [u8; MARK] {
    let mut bytes = [0; MARK];
    let parts = [
        &mark.holder.as_bytes()[..],
        &mark.refresh_token_hash,
        &milliseconds(mark.started_at).to_be_bytes(),
        &mark.attempt.to_be_bytes(),
    ];
    for (byte, value) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
        *byte = *value;
    }
    bytes
}

const MARK: usize = 16 + 32 + 8 + 4;

fn read_mark(bytes: &[u8]) -> Result<RefreshMark, Failure> {
    let read = || {
        let (holder, rest) = bytes.split_first_chunk::<16>()?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let (started_at, rest) = rest.split_first_chunk::<8>()?;
        let started_at = u64::try_from(i64::from_be_bytes(*started_at)).ok()?;
        let attempt = u32::from_be_bytes(rest.try_into().ok()?);
        let mark = RefreshMark::new(LeaseHolder::from_bytes(*holder), *hash, from_milliseconds(started_at));
        Some(mark.attempt(attempt))
    };
    read().ok_or_else(|| Failure::corrupt("a mark is not one"))
}

/// Whole milliseconds since 1970, as far as a column goes.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn from_milliseconds(milliseconds: u64) -> SystemTime {
    // What no clock of this platform can show is as good as never.
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds));
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Whole milliseconds, rounded up, one at least, a hundred years at most: added to any time of a clock they stay a number.
pub(crate) fn lasting(duration: Duration) -> i64 {
    const LONGEST: i64 = 3_155_760_000_000;
    let milliseconds = duration.as_nanos().div_ceil(1_000_000).max(1);
    i64::try_from(milliseconds).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x20_a_mark_of_another_length_is_none() {
        let holder = LeaseHolder::from_bytes([7; 16]);
        let started_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        let mark = RefreshMark::new(holder, [9; 32], started_at).attempt(3);
        let bytes = write_mark(&mark);
        assert_eq!(read_mark(&bytes).unwrap(), mark);
        for length in 0..bytes.len() {
            assert!(read_mark(&bytes[..length]).is_err(), "{length}");
        }
        assert!(read_mark(&[&bytes[..], b"x"].concat()).is_err());
        let mut before_1970 = bytes;
        before_1970[48] = 0xff;
        assert!(read_mark(&before_1970).is_err());
    }

    #[test]
    fn durations_are_whole_milliseconds_rounded_up() {
        let cases = [(0, 1), (1, 1), (1_000_000, 1), (1_000_001, 2), (60_000_000_000, 60_000)];
        for (nanoseconds, expected) in cases {
            assert_eq!(lasting(Duration::from_nanos(nanoseconds)), expected, "{nanoseconds}");
        }
        assert!(lasting(Duration::MAX).checked_add(lasting(Duration::MAX)).is_some());
    }

    #[test]
    fn times_that_do_not_fit_are_the_nearest_that_do() {
        assert_eq!(milliseconds(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(
            from_milliseconds(u64::try_from(i64::MAX).unwrap())
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_millis(),
            i64::MAX as u128
        );
    }
}
