//! How values are written in Redis.

use std::time::{Duration, SystemTime};

use authflow_core::{Incarnation, Lease, LeaseHolder, RefreshMark, Version};

use crate::config::MAX_TTL;

/// The highest due time that a score tells from others: in the year 33658.
pub(super) const MAX_SCORE: u64 = 1_000_000_000_000_000;

/// Incarnation and counter.
pub(super) fn version(version: &Version) -> [u8; 24] {
    let mut bytes = [0; 24];
    let (incarnation, counter) = bytes.split_at_mut(16);
    incarnation.copy_from_slice(version.incarnation().as_bytes());
    counter.copy_from_slice(&version.counter().to_be_bytes());
    bytes
}

pub(super) fn read_version(bytes: &[u8]) -> Option<Version> {
    let (incarnation, counter) = bytes.split_first_chunk::<16>()?;
    Some(Version::new(Incarnation::from_bytes(*incarnation), u64::from_be_bytes(counter.try_into().ok()?)))
}

/// Holder, hash of the refresh token, start in seconds and nanoseconds since 1970, attempt.
pub(super) fn mark(mark: &RefreshMark) -> Vec<u8> {
    let started_at = mark.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    [
        &mark.holder.as_bytes()[..],
        &mark.refresh_token_hash,
        &started_at.as_secs().to_be_bytes(),
        &started_at.subsec_nanos().to_be_bytes(),
        &mark.attempt.to_be_bytes(),
    ]
    .concat()
}

pub(super) fn read_mark(bytes: &[u8]) -> Option<RefreshMark> {
    let (holder, rest) = bytes.split_first_chunk()?;
    let (hash, rest) = rest.split_first_chunk()?;
    let (seconds, rest) = rest.split_first_chunk()?;
    let (nanoseconds, attempt) = rest.split_first_chunk()?;
    let since = Duration::from_secs(u64::from_be_bytes(*seconds))
        .checked_add(Duration::from_nanos(u32::from_be_bytes(*nanoseconds).into()))?;
    let started_at = SystemTime::UNIX_EPOCH.checked_add(since)?;
    let attempt = u32::from_be_bytes(attempt.try_into().ok()?);
    Some(RefreshMark::new(LeaseHolder::from_bytes(*holder), *hash, started_at).attempt(attempt))
}

/// Milliseconds since 1970 in decimal; nothing for never.
pub(super) fn due(due_at: Option<SystemTime>) -> String {
    due_at.map(|time| milliseconds(time).to_string()).unwrap_or_default()
}

pub(super) fn read_due(bytes: &[u8]) -> Option<Option<SystemTime>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let since = Duration::from_millis(std::str::from_utf8(bytes).ok()?.parse().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since).map(Some)
}

/// The scores before `time`.
pub(super) fn scores_before(time: SystemTime) -> String {
    match milliseconds(time) {
        later if later > MAX_SCORE => "+inf".to_owned(),
        milliseconds => format!("({milliseconds}"),
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A whole number of milliseconds, rounded up: one at least, a hundred years at most.
pub(super) fn whole_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(MAX_TTL).clamp(1, MAX_TTL)
}

/// The time of a lease, in microseconds.
pub(super) fn microseconds(duration: Duration) -> String {
    whole_milliseconds(duration.min(Lease::LONGEST)).saturating_mul(1000).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_mark_comes_back_to_the_nanosecond() {
        let started_at = SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789);
        let written = RefreshMark::new(LeaseHolder::from_bytes([7; 16]), [9; 32], started_at).attempt(3);
        let bytes = mark(&written);
        assert_eq!(read_mark(&bytes), Some(written));
        for length in 0..bytes.len() {
            assert_eq!(read_mark(&bytes[..length]), None);
        }
        assert_eq!(read_mark(&[&bytes[..], b"x"].concat()), None);
        assert_eq!(read_mark(&[0xff; 64]), None, "a time that the system cannot express");
    }

    #[test]
    fn times_and_durations_have_bounds() {
        assert_eq!(due(None), "");
        assert_eq!(due(Some(SystemTime::UNIX_EPOCH - Duration::from_secs(1))), "0");
        assert_eq!(read_due(b""), Some(None));
        for wrong in [&b"1 "[..], b"-1", b"x", b"99999999999999999999", b"\xff"] {
            assert_eq!(read_due(wrong), None);
        }
        let last = SystemTime::UNIX_EPOCH + Duration::from_millis(MAX_SCORE);
        assert_eq!(scores_before(last), "(1000000000000000");
        assert_eq!(scores_before(last + Duration::from_millis(1)), "+inf");
        assert_eq!(microseconds(Duration::ZERO), "1000");
        assert_eq!(microseconds(Duration::from_nanos(1_000_001)), "2000");
        assert_eq!(whole_milliseconds(Duration::MAX), MAX_TTL);
    }

    #[test]
    fn the_longest_lease_is_the_one_that_the_scripts_believe() {
        let leeway = Lease::LEEWAY.as_micros();
        let lines = format!("local longest = {}\nlocal leeway = {leeway}\n", microseconds(Duration::MAX));
        assert!(include_str!("lua/common.lua").contains(&lines), "{lines}");
    }
}
