//! Moments of the calendar: a cron expression in a time zone.
//!
//! Clocks that are put forward and back for the summer are those of `croner`, which are those of Vixie's cron. An expression
//! with a fixed minute and hour names one moment of a day: it comes once, also on the day whose clock passes over it (at the
//! first moment after) and on the day whose clock passes it twice (the first time). One with `*` or a step in the minute or
//! the hour means the time that goes by: what the clock passes over is left out, and what it passes twice comes twice.

use std::{fmt, sync::Arc, time::SystemTime};

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::config::errors::Wrong;

/// When something comes again and again, to the minute.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// As it was written.
    text: String,
    cron: Arc<Cron>,
    /// `None`: the machine's own, whatever that is by then.
    zone: Option<TimeZone>,
}

impl Schedule {
    /// The cron expression, as it was said.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.text
    }

    /// The time zone that was said.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_ref().and_then(TimeZone::iana_name)
    }

    /// An expression of five fields in the time zone of this name; without one, in the machine's own.
    ///
    /// # Errors
    /// If it is none, if there is no such moment, or if this machine doesn't know the zone.
    pub fn new(text: &str, zone: Option<&str>) -> Result<Self, Wrong> {
        let fix = "write minute, hour, day of the month, month and day of the week: \"0 4 * * *\" is 4 o'clock each day";
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(text).map_err(|error| {
            let problem = format!("{text:?} is no cron expression: {error}");
            Wrong::new(problem, fix)
        })?;
        let zone = zone.map(known_zone).transpose()?;
        let schedule = Self {
            text: text.trim().to_owned(),
            cron: Arc::new(cron),
            zone,
        };
        if schedule.next_after(SystemTime::now()).is_none() {
            let problem = format!("{text:?} never comes: there is no such day");
            return Err(Wrong::new(problem, fix));
        }
        Ok(schedule)
    }

    /// The first moment of it after this one.
    #[must_use]
    pub fn next_after(&self, then: SystemTime) -> Option<SystemTime> {
        self.zoned_after(then).map(|next| next.timestamp().into())
    }

    /// The same, for people: "2026-11-23T04:00:00+02:00".
    #[must_use]
    pub fn next_in_words(&self, then: SystemTime) -> Option<String> {
        let next = self.zoned_after(then)?;
        Some(next.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }

    fn zoned_after(&self, then: SystemTime) -> Option<Zoned> {
        let second = Timestamp::try_from(then).ok()?.as_second();
        let zone = self.zone.clone().unwrap_or_else(TimeZone::system);
        let start = Timestamp::from_second(second).ok()?.to_zoned(zone);
        self.cron.find_next_occurrence(&start, false).ok()
    }
}

/// "0 4 * * *", with its zone if it has one of its own.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.zone.as_ref().and_then(TimeZone::iana_name) {
            Some(zone) => write!(f, " {zone}"),
            None => Ok(()),
        }
    }
}

fn known_zone(name: &str) -> Result<TimeZone, Wrong> {
    TimeZone::get(name).map_err(|_| {
        Wrong::new(
            format!("this machine knows no time zone {name:?}"),
            "write a name of the IANA database, such as \"Europe/Helsinki\" or \"UTC\"; where none is known, install the package tzdata",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moments after `from` at which it comes, as that zone's clocks show them.
    fn comes(text: &str, zone: &str, from: &str, times: usize) -> Vec<String> {
        let schedule = Schedule::new(text, Some(zone)).expect("a schedule");
        let mut then = SystemTime::from(from.parse::<Timestamp>().expect("a moment"));
        let mut next = || {
            let words = schedule.next_in_words(then)?;
            then = schedule.next_after(then)?;
            Some(words)
        };
        (0..times).map_while(|_| next()).collect()
    }

    #[test]
    fn it_comes_by_the_clock_of_its_zone() {
        assert_eq!(
            comes("0 4 * * *", "Europe/Helsinki", "2026-01-10T02:00:00.4Z", 2),
            ["2026-01-11T04:00:00+02:00", "2026-01-12T04:00:00+02:00"],
            "the moment itself is not after itself"
        );
        assert_eq!(
            comes("*/15 9 * * MON-FRI", "UTC", "2026-01-09T09:31:00Z", 2),
            ["2026-01-09T09:45:00+00:00", "2026-01-12T09:00:00+00:00"]
        );
        assert_eq!(
            comes("@monthly", "UTC", "2026-01-09T09:31:00Z", 1),
            ["2026-02-01T00:00:00+00:00"]
        );
        assert_eq!(
            comes("0 0 29 2 *", "UTC", "2026-01-09T09:31:00Z", 1),
            ["2028-02-29T00:00:00+00:00"]
        );
    }

    #[test]
    fn a_moment_that_the_clock_passes_over_comes_right_after() {
        // From 03:00 to 04:00, on 2026-03-29.
        assert_eq!(
            comes("30 3 * * *", "Europe/Helsinki", "2026-03-28T00:00:00Z", 3),
            [
                "2026-03-28T03:30:00+02:00",
                "2026-03-29T04:00:00+03:00",
                "2026-03-30T03:30:00+03:00"
            ]
        );
        assert_eq!(
            comes("*/30 * * * *", "Europe/Helsinki", "2026-03-29T00:20:00Z", 3),
            [
                "2026-03-29T02:30:00+02:00",
                "2026-03-29T04:00:00+03:00",
                "2026-03-29T04:30:00+03:00"
            ],
            "an interval goes on"
        );
    }

    #[test]
    fn a_moment_that_the_clock_passes_twice_comes_once() {
        // From 02:00 back to 01:00, on 2026-11-01.
        assert_eq!(
            comes("30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z", 2),
            ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"]
        );
        assert_eq!(
            comes(
                "*/30 * * * *",
                "America/New_York",
                "2026-11-01T05:10:00Z",
                4
            ),
            [
                "2026-11-01T01:30:00-04:00",
                "2026-11-01T01:00:00-05:00",
                "2026-11-01T01:30:00-05:00",
                "2026-11-01T02:00:00-05:00"
            ],
            "an interval goes on"
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for (text, problem) in [
            ("", "is no cron expression"),
            ("* * * *", "is no cron expression"),
            ("*/2 * * * * *", "is no cron expression"),
            ("60 * * * *", "is no cron expression"),
            ("0 0 30 2 *", "never comes"),
        ] {
            let wrong = Schedule::new(text, None).expect_err(text);
            assert!(wrong.problem.contains(problem), "{text}: {wrong:?}");
        }
        let wrong = Schedule::new("0 4 * * *", Some("Europe/Nowhere")).expect_err("no zone");
        assert!(wrong.fix.contains("tzdata"), "{wrong:?}");
    }
}
