//! The clock of leases and tombstones: one for all processes of the machine.
//!
//! On Linux it is `CLOCK_BOOTTIME`. All processes read the same hand; nobody can set it, so no jump of the wall clock ends a
//! lease or makes one last; and it goes on while the machine sleeps, so a laptop that wakes up finds its leases ended. It
//! begins anew with each boot, so each time is written with the boot it was read in: what another boot wrote has ended, for
//! no process of that boot lives.
//!
//! Where there is no such clock and no name of the boot to be had, it is the wall clock. A jump forward ends leases early,
//! which costs a second request and no token, since what is saved is compared by version. A jump backward would make them
//! last: a lease that has far more time left than it was given has ended.

use std::time::Duration;

use authflow_core::Lease;

/// A time of this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MachineTime {
    /// Which boot it was read in.
    boot: [u8; 16],
    /// In nanoseconds.
    at: u64,
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) boot: [u8; 16],
    /// In nanoseconds.
    pub(crate) until: u64,
    /// How long it lasted in all, in nanoseconds.
    pub(crate) lasts: u64,
}

/// How much earlier than the one that wrote a time a clock may be read, in nanoseconds: two processors need not agree to the
/// nanosecond, and a wall clock is set back by a little every now and then.
const LEEWAY: u64 = Lease::LEEWAY.as_secs() * 1_000_000_000;
const MILLISECOND: u128 = 1_000_000;

impl MachineTime {
    pub(crate) const fn new(boot: [u8; 16], since: Duration) -> Self {
        let nanoseconds = since.as_nanos();
        let at = if nanoseconds > u64::MAX as u128 { u64::MAX } else { nanoseconds as u64 };
        Self { boot, at }
    }

    /// When what lasts for `duration` from now on ends: whole milliseconds, rounded up, and one at least.
    pub(crate) fn after(self, duration: Duration) -> Deadline {
        let milliseconds = duration.as_nanos().div_ceil(MILLISECOND).max(1);
        let lasts = u64::try_from(milliseconds.saturating_mul(MILLISECOND)).unwrap_or(u64::MAX);
        Deadline { boot: self.boot, until: self.at.saturating_add(lasts), lasts }
    }
}

impl Deadline {
    /// How long it is until then; `None` if it has come.
    pub(crate) fn remaining(&self, now: MachineTime) -> Option<Duration> {
        if self.boot != now.boot {
            return None;
        }
        let left = self.until.checked_sub(now.at).filter(|left| *left > 0)?;
        (left <= self.lasts.saturating_add(LEEWAY)).then(|| Duration::from_nanos(left))
    }

    pub(crate) fn has_come(&self, now: MachineTime) -> bool {
        self.remaining(now).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; 16] = [1; 16];

    fn at(seconds: u64) -> MachineTime {
        MachineTime::new(BOOT, Duration::from_secs(seconds))
    }

    #[test]
    fn x17_a_deadline_comes_once_its_time_is_over() {
        let deadline = at(100).after(Duration::from_secs(30));
        assert_eq!(deadline.remaining(at(100)), Some(Duration::from_secs(30)));
        assert_eq!(deadline.remaining(at(129)), Some(Duration::from_secs(1)));
        assert_eq!(deadline.remaining(at(130)), None);
        assert!(deadline.has_come(at(1_000_000)));
    }

    #[test]
    fn x17_what_another_boot_wrote_has_ended() {
        let deadline = at(100).after(Duration::from_secs(30));
        assert!(deadline.has_come(MachineTime::new([2; 16], Duration::from_secs(100))));
        assert!(deadline.has_come(MachineTime::new([2; 16], Duration::ZERO)));
    }

    #[test]
    fn x17_no_lease_is_immortal_when_a_clock_goes_back() {
        let deadline = at(10_000).after(Duration::from_secs(30));
        for a_little in [9_999, 9_940] {
            assert!(deadline.remaining(at(a_little)).is_some(), "a hair is no jump");
        }
        assert!(deadline.has_come(at(9_939)));
        assert!(deadline.has_come(at(0)));
    }

    #[test]
    fn times_are_rounded_up_and_saturate() {
        let last = at(1).after(Duration::from_micros(1));
        assert_eq!(last.remaining(at(1)), Some(Duration::from_millis(1)));
        assert_eq!(at(1).after(Duration::ZERO).lasts, 1_000_000);
        let endless = at(1).after(Duration::MAX);
        assert!(endless.remaining(at(1_000_000)).is_some());
        assert!(
            MachineTime::new(BOOT, Duration::MAX)
                .after(Duration::MAX)
                .has_come(MachineTime::new(BOOT, Duration::MAX))
        );
    }
}
