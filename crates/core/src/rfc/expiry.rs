//! How long a token is good.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::body::{Field, Object};
use crate::clock::{far_future, saturating_add};
use crate::quirks::{DefaultExpiry, ExpiryKind, ExpiryShape, ZeroExpiry};
use crate::token::Expiry;

/// The expiry that a token object gives. What cannot be read is unknown; it never fails the reply.
pub(super) fn expiry(
    root: Object<'_>,
    expires_in: Option<Field<'_>>,
    shape: &ExpiryShape,
    now: SystemTime,
) -> Expiry {
    let value = match &shape.pointer {
        Some(pointer) => root.at(pointer),
        None => expires_in,
    };
    let value = value.filter(|value| !value.is_null());
    match (value, shape.default) {
        (Some(value), _) => read(value, root, shape, now),
        (None, None) => Expiry::Unknown,
        (None, Some(DefaultExpiry::Never(_))) => Expiry::Never,
        (None, Some(DefaultExpiry::Seconds(seconds))) => {
            Expiry::At(saturating_add(now, Duration::from_secs(seconds)).min(far_future()))
        }
    }
}

fn read(value: Field<'_>, root: Object<'_>, shape: &ExpiryShape, now: SystemTime) -> Expiry {
    if shape.kind == ExpiryKind::Rfc3339 {
        return value.as_str().and_then(rfc3339).map_or(Expiry::Unknown, Expiry::At);
    }
    let Some(number) = number(value) else { return Expiry::Unknown };
    if number <= 0.0 {
        return match shape.zero {
            ZeroExpiry::Expired => Expiry::At(now),
            ZeroExpiry::Never => Expiry::Never,
        };
    }
    let seconds = match shape.kind {
        ExpiryKind::Milliseconds | ExpiryKind::EpochMs => number / 1000.0,
        _ => number,
    };
    // Saturates; a lifetime past the year 9999 means as long as anyone asks.
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let from = match shape.kind {
        ExpiryKind::EpochS | ExpiryKind::EpochMs => SystemTime::UNIX_EPOCH,
        _ => issued_at(root, shape).map_or(now, |issued| issued.min(now)),
    };
    Expiry::At(saturating_add(from, duration).min(far_future()))
}

fn issued_at(root: Object<'_>, shape: &ExpiryShape) -> Option<SystemTime> {
    let seconds = number(root.at(shape.issued_at.as_deref()?)?)?;
    // Some give milliseconds under the same name: no time of issue is later than the year 5138 in seconds.
    let seconds = if seconds > 1e11 { seconds / 1000.0 } else { seconds };
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

/// A lifetime in seconds, such as `refresh_token_expires_in`.
pub(super) fn lifetime(value: Option<Field<'_>>, now: SystemTime) -> Expiry {
    match value.and_then(number) {
        Some(seconds) if seconds > 0.0 => {
            let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            Expiry::At(saturating_add(now, duration).min(far_future()))
        }
        // Providers write 0 for a refresh token without an end as often as for one that is over: nothing is known.
        _ => Expiry::Unknown,
    }
}

/// A number, or a text that is one: an infinite one where no number type holds it. Not a truth value.
fn number(value: Field<'_>) -> Option<f64> {
    let number = match value {
        Field::Value(Value::Number(number)) => number.as_f64()?,
        Field::Text(text) => {
            let text = text.trim();
            // `parse` would take words such as "inf" too.
            let numeric =
                text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
            if !numeric {
                return None;
            }
            text.parse().ok()?
        }
        _ => return None,
    };
    Some(number)
}

/// A date and time of RFC 3339 §5.6. A missing offset is read as UTC, as the providers mean it that leave it out.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, "Z"),
    };
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let mut clock = clock.splitn(3, ':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = match offset {
        "Z" | "z" => 0,
        offset => {
            let (sign, offset) = offset.split_at(1);
            let (hours, minutes) = offset.split_once(':')?;
            let seconds = digits(hours)? * 3600 + digits(minutes)? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn digits(text: &str) -> Option<i64> {
    let all = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01 in the Gregorian calendar, with the year counted from March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::rfc3339;

    #[test]
    fn dates_of_rfc_3339() {
        let seconds =
            |text| rfc3339(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:30:15.123Z"), Some(951_827_415));
        assert_eq!(seconds("2026-11-21T10:00:00+02:00"), Some(1_795_248_000));
        assert_eq!(seconds("2026-11-21T10:00:00+05:30"), Some(1_795_235_400));
        assert_eq!(seconds("2026-11-21T00:00:00-08:30"), Some(1_795_249_800));
        assert_eq!(seconds("2026-11-21T23:59:60Z"), Some(1_795_305_600), "a leap second");
        assert_eq!(seconds("2026-11-21 08:00:00"), Some(1_795_248_000));
        for bad in
            ["", "T", "2026-13-01T00:00:00Z", "2026-11-21", "2026-11-21T25:00:00Z", "20261-1-1T0:0:0Z", "é"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        for bad in [
            "2026-11-21T24:00:00Z",
            "2026-11-21T23:60:00Z",
            "2026-11-21T23:59:61Z",
            "2026-11-00T00:00:00Z",
            "2026-11-32T00:00:00Z",
            "2026-00-21T00:00:00Z",
            "1969-12-31T00:00:00Z",
            "02026-11-21T00:00:00Z",
            "2026-+1-21T00:00:00Z",
            "2026-11-21T+1:00:00Z",
            "2026-11-21T00:00:00+02",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_calendar_is_the_gregorian_one() {
        for (date, expected) in [
            ("1970-03-01", 5_097_600),
            ("2000-03-01", 951_868_800),
            ("2024-02-29", 1_709_164_800),
            ("2026-01-31", 1_769_817_600),
            ("2026-08-01", 1_785_542_400),
            ("2100-03-01", 4_107_542_400),
        ] {
            let read = rfc3339(&format!("{date}T00:00:00Z")).unwrap();
            assert_eq!(read.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), expected, "{date}");
        }
    }
}
