//! Durations as people write them. A bare number is refused: nobody remembers whether it meant seconds or milliseconds.

use std::time::Duration;

use super::errors::Wrong;

/// The longest duration taken: a year. Longer ones are typing errors, and could overflow a clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Units and their length in milliseconds.
const UNITS: [(&str, f64); 5] = [
    ("ms", 1.0),
    ("s", 1_000.0),
    ("m", 60_000.0),
    ("h", 3_600_000.0),
    ("d", 86_400_000.0),
];

/// Reads a duration: "500ms", "1.5s", "5m", "1h", "1m30s". Units are `ms`, `s`, `m`, `h` and `d`; "0" needs none.
///
/// # Errors
/// If it has no unit, is no number, or is longer than a year.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut millis = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = one_part(rest).ok_or_else(|| malformed(text))?;
        millis += part;
        rest = after;
    }
    if text.is_empty() {
        return Err(malformed(text));
    }
    if millis > LONGEST.as_secs_f64() * 1_000.0 {
        return Err(Wrong::new(
            format!("{text:?} is longer than a year"),
            "use a shorter duration, such as \"30s\" or \"10m\"",
        ));
    }
    Ok(Duration::from_micros((millis * 1_000.0).round() as u64))
}

/// One number with its unit, in milliseconds, and what follows it.
fn one_part(text: &str) -> Option<(f64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let rest = &text[digits..];
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let (_, length) = UNITS.iter().find(|(unit, _)| *unit == &rest[..end])?;
    Some((number * length, &rest[end..]))
}

fn malformed(text: &str) -> Wrong {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Wrong::new(
            format!("{text:?} has no unit"),
            format!("write \"{text}s\" for seconds or \"{text}ms\" for milliseconds"),
        );
    }
    Wrong::new(
        format!("{text:?} is not a duration"),
        "write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h\"",
    )
}

/// Units of sizes and how many bytes they are. Those of a thousand and those of 1,024 are kept apart by their names.
const SIZES: [(&str, i64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Reads a number of bytes: "512", "64KiB", "1MiB", "2 GB".
///
/// # Errors
/// If it is no whole number, has another unit, or is too large for any machine.
pub fn size(text: &str) -> Result<i64, Wrong> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let unit = match text[end..].trim_start() {
        "" => "B",
        unit => unit,
    };
    let length = SIZES.iter().find(|(name, _)| *name == unit);
    let bytes = text[..end]
        .parse::<i64>()
        .ok()
        .zip(length)
        .and_then(|(number, (_, length))| number.checked_mul(*length));
    bytes.ok_or_else(|| {
        Wrong::new(
            format!("{text:?} is not a number of bytes"),
            "write a whole number, or one with a unit: \"64KiB\", \"1MiB\", \"2GB\"",
        )
    })
}

/// A duration as [`duration`] reads it, in the largest unit that loses nothing: "500ms", "30s", "5m".
#[must_use]
pub fn exact(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, length) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if millis != 0 && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    format!("{millis}ms")
}

/// A duration for people, in its two largest units: "40ms", "2.3s", "12s", "3m 5s", "2d 4h". Wherever one is shown, it is
/// shown like this.
#[must_use]
pub fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.subsec_millis()),
        1..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// As [`rough`], for what may take less than a millisecond: "83µs", "1.4ms".
#[must_use]
pub fn fine(duration: Duration) -> String {
    match duration.as_micros() {
        micros @ 0..1_000 => format!("{micros}µs"),
        micros @ 1_000..10_000 => format!("{:.1}ms", micros as f64 / 1e3),
        _ => rough(duration),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit} {small}{small_unit}"),
    }
}

/// A number of bytes for people, in powers of 1,000: "412 kB", "6.1 MB", "15.6 GB".
#[must_use]
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    for (unit, size) in [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)] {
        // Rounding must not show "1000 kB".
        if count >= size * 0.9995 {
            let value = count / size;
            let digits = usize::from(value < 99.95);
            return format!("{value:.digits$} {unit}");
        }
    }
    format!("{count} B")
}

/// A number of things for people: "0", "4816", "48.2k", "1.2M".
#[must_use]
pub fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        _ => large(n as f64),
    }
}

/// So many a second, for people: "0/s", "1.2/s", "480/s", "48.2k/s"; "-" if that is not known.
#[must_use]
pub fn per_second(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 0.05 => "0/s".to_owned(),
        Some(rate) if rate < 9.95 => format!("{rate:.1}/s"),
        Some(rate) if rate < 9_999.5 => format!("{rate:.0}/s"),
        Some(rate) => format!("{}/s", large(rate)),
    }
}

fn large(n: f64) -> String {
    for (unit, size) in [("G", 1e9), ("M", 1e6)] {
        // Rounding must not show "1000.0k".
        if n >= size * 0.999_95 {
            return format!("{:.1}{unit}", n / size);
        }
    }
    format!("{:.1}k", n / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_units() {
        let cases = [
            ("500ms", 500),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1m30s", 90_000),
            ("2d", 172_800_000),
            (" 1s ", 1_000),
            ("0", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_fix() {
        let cases = [
            (
                "30",
                "\"30\" has no unit; write \"30s\" for seconds or \"30ms\" for milliseconds",
            ),
            (
                "",
                "\"\" is not a duration; write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h\"",
            ),
            (
                "-1s",
                "\"-1s\" is not a duration; write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h\"",
            ),
            (
                "1 fortnight",
                "\"1 fortnight\" is not a duration; write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h\"",
            ),
            (
                "1..5s",
                "\"1..5s\" is not a duration; write a number with a unit: \"500ms\", \"30s\", \"5m\", \"1h\"",
            ),
            (
                "9999d",
                "\"9999d\" is longer than a year; use a shorter duration, such as \"30s\" or \"10m\"",
            ),
        ];
        for (text, error) in cases {
            assert_eq!(duration(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn exact_durations_read_back() {
        for (millis, text) in [
            (0, "0ms"),
            (500, "500ms"),
            (1_500, "1500ms"),
            (2_000, "2s"),
            (300_000, "5m"),
            (86_400_000, "1d"),
        ] {
            let of_millis = Duration::from_millis(millis);
            assert_eq!(exact(of_millis), text);
            assert_eq!(duration(text), Ok(of_millis));
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("512", 512),
            ("0B", 0),
            ("64KiB", 65_536),
            ("2 GB", 2_000_000_000),
            ("1MiB", 1 << 20),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "1.5MiB", "-1", "1 mib", "1K", "9999999999GiB"] {
            let wrong = size(text).unwrap_err();
            assert!(wrong.problem.contains("number of bytes"), "{wrong}");
        }
    }

    #[test]
    fn people_get_two_units() {
        let cases = [
            (0, "0ms"),
            (400, "400ms"),
            (2_349, "2.3s"),
            (12_300, "12s"),
            (60_000, "1m"),
            (185_000, "3m 5s"),
            (7_500_000, "2h 5m"),
            (187_200_000, "2d 4h"),
        ];
        for (millis, text) in cases {
            assert_eq!(rough(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_is_short_is_told_finely() {
        let cases = [
            (870, "870µs"),
            (1_400, "1.4ms"),
            (14_300, "14ms"),
            (2_449_000, "2.4s"),
        ];
        for (micros, text) in cases {
            assert_eq!(fine(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn numbers_and_rates_are_short() {
        let counts = [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0k"),
            (48_230, "48.2k"),
            (999_949, "999.9k"),
            (999_951, "1.0M"),
            (7_654_321_000, "7.7G"),
        ];
        for (n, text) in counts {
            assert_eq!(count(n), text);
        }
        let rates = [
            (Some(0.0), "0/s"),
            (Some(0.26), "0.3/s"),
            (Some(9.96), "10/s"),
            (Some(4_816.4), "4816/s"),
            (Some(48_230.0), "48.2k/s"),
            (None, "-"),
        ];
        for (rate, text) in rates {
            assert_eq!(per_second(rate), text);
        }
    }

    #[test]
    fn bytes_for_people() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (412_000, "412 kB"),
            (6_120_000, "6.1 MB"),
            (15_600_000_000, "15.6 GB"),
            (999_999, "1.0 MB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }
}
