//! Times, for people and for machines, in UTC.

use std::time::{Duration, SystemTime};

const DAY: i128 = 86_400;

/// A second of the Gregorian calendar in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) year: i128,
    /// 1 to 12.
    pub(super) month: u8,
    pub(super) day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Moment {
    pub(super) fn of(time: SystemTime) -> Self {
        let seconds = seconds_since_epoch(time);
        let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years that begin in March put the leap day at their end: 400 of them are 146,097 days.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + i128::from(month <= 2);
        let small = |value: i128| u8::try_from(value).unwrap_or_default();
        Self {
            year,
            month: small(month),
            day: small(day),
            hour: small(of_day / 3_600),
            minute: small(of_day / 60 % 60),
            second: small(of_day % 60),
        }
    }

    /// A valid value of `<time datetime>` (RFC 3339). HTML has no year before 1: then there is none.
    pub(super) fn machine(&self) -> Option<String> {
        let Self { year, month, day, hour, minute, second } = self;
        (*year > 0).then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
    }

    /// Hours and minutes.
    pub(super) fn time(&self) -> String {
        format!("{:02}:{:02}", self.hour, self.minute)
    }
}

fn seconds_since_epoch(time: SystemTime) -> i128 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i128::from(since.as_secs()),
        Err(before) => {
            let before = before.duration();
            -i128::from(before.as_secs()) - i128::from(before > Duration::from_secs(before.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(seconds: u64) -> String {
        Moment::of(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).machine().unwrap()
    }

    #[test]
    fn days_fall_where_the_calendar_has_them() {
        assert_eq!(machine(0), "1970-01-01T00:00:00Z");
        assert_eq!(machine(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(machine(951_868_799), "2000-02-29T23:59:59Z");
        assert_eq!(machine(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(machine(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(machine(1_735_689_600), "2025-01-01T00:00:00Z");
        assert_eq!(machine(1_795_280_400), "2026-11-21T17:00:00Z");
        assert_eq!(machine(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(machine(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(machine(253_402_300_800), "10000-01-01T00:00:00Z");
    }

    #[test]
    fn times_before_1970_and_at_the_ends_are_times_too() {
        let before = Moment::of(SystemTime::UNIX_EPOCH - Duration::from_millis(1));
        assert_eq!(before.machine().as_deref(), Some("1969-12-31T23:59:59Z"));
        let ancient = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(100_000_000_000)).unwrap();
        assert_eq!(Moment::of(ancient).machine(), None);
        for exponent in 0..64 {
            let span = Duration::from_secs(1 << exponent);
            for time in [SystemTime::UNIX_EPOCH.checked_add(span), SystemTime::UNIX_EPOCH.checked_sub(span)] {
                let moment = time.map(Moment::of);
                assert!(moment.is_none_or(|moment| (1..=12).contains(&moment.month) && moment.day <= 31));
            }
        }
    }
}
