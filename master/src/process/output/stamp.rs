//! Moments as text, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-01-31T12:00:00.123Z`
pub(crate) fn stamp(at: SystemTime) -> String {
    let [year, month, day, hour, minute, second, milli] = parts(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// `20260131T120000.123Z`: sorts by time, and fits a file's name.
pub(super) fn compact(at: SystemTime) -> String {
    stamp(at).replace(['-', ':'], "")
}

fn parts(at: SystemTime) -> [u64; 7] {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (mut year, mut rest) = (1970, days);
    while rest >= days_of(year) {
        rest -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    while rest >= days_in(year, month) {
        rest -= days_in(year, month);
        month += 1;
    }
    let milli = u64::from(since.subsec_millis());
    [
        year,
        month,
        rest + 1,
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        milli,
    ]
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_told_in_utc() {
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(stamp(at(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(at(951_782_400_123)), "2000-02-29T00:00:00.123Z");
        assert_eq!(stamp(at(1_767_225_599_999)), "2025-12-31T23:59:59.999Z");
        assert_eq!(compact(at(1_709_251_200_000)), "20240301T000000.000Z");
    }
}
