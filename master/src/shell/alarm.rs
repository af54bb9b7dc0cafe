//! The clock on the wall, for apps with `cron`: tells the fleet when their hour has come.
//!
//! The fleet knows no time of day, and it needs none: here a timer of the kernel runs for the next moment of all apps, and
//! nothing runs where no app has one. Clocks are set, and machines sleep; what then?
//!
//! * A moment that is found to have passed counts if it did so at most [`LEEWAY`] ago, and however many did, they count once.
//! * Put back by up to [`LEEWAY`], a clock shows moments again that have been: they don't count twice.
//! * A clock that was set further was wrong before: what comes counts from what it shows now.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::ShellHandle;
use crate::{
    config::app::{AppDefinition, AppName, schedule::Schedule},
    sys::WallClock,
};

/// As much as clocks are put right by, and as late as anything is still made up for.
const LEEWAY: Duration = Duration::from_secs(3 * 3600);

/// The apps with a schedule, as they are defined now.
pub type Schedules = BTreeMap<AppName, Schedule>;

/// Those of these apps that have one.
#[must_use]
pub fn schedules(apps: &[AppDefinition]) -> Schedules {
    let schedule = |app: &AppDefinition| Some((app.name.clone(), app.recycle.cron.clone()?));
    apps.iter().filter_map(schedule).collect()
}

/// The same after these were defined; where there is no new definition, the old one holds, and so it does for those that are
/// gone from the file and run on.
pub(super) fn redefined(
    before: &Schedules,
    apps: &[(AppName, Option<AppDefinition>)],
    gone_from_file: &[AppName],
) -> Schedules {
    let schedule = |(name, new): &(AppName, Option<AppDefinition>)| {
        let schedule = match new {
            Some(app) => app.recycle.cron.clone(),
            None => before.get(name).cloned(),
        };
        Some((name.clone(), schedule?))
    };
    let kept = gone_from_file
        .iter()
        .filter_map(|name| before.get_key_value(name));
    let kept = kept.map(|(name, schedule)| (name.clone(), schedule.clone()));
    apps.iter().filter_map(schedule).chain(kept).collect()
}

/// One app's schedule, and how far it has come.
#[derive(Debug)]
struct Alarm {
    schedule: Schedule,
    /// The last moment that counted.
    last: Option<SystemTime>,
    next: Option<SystemTime>,
}

impl Alarm {
    fn new(schedule: Schedule, now: SystemTime) -> Self {
        let next = schedule.next_after(now);
        Self {
            schedule,
            last: None,
            next,
        }
    }

    /// Whether its moment has come, at most once.
    fn rings(&mut self, now: SystemTime) -> bool {
        let late = self.next.and_then(|next| now.duration_since(next).ok());
        if late.is_some() {
            self.last = self.next;
        }
        let again = |last: &SystemTime| last.duration_since(now).is_ok_and(|by| by <= LEEWAY);
        let from = self.last.filter(again).unwrap_or(now);
        self.next = self.schedule.next_after(from);
        late.is_some_and(|late| late <= LEEWAY)
    }
}

/// Tells of each app's hour until the shell ends.
pub async fn run(mut schedules: watch::Receiver<Schedules>, shell: ShellHandle) {
    let (mut alarms, mut clock) = (BTreeMap::new(), None);
    loop {
        follow(&mut alarms, &schedules.borrow_and_update());
        ring(&mut alarms, &shell).await;
        let next = alarms.values().filter_map(|alarm| alarm.next).min();
        tokio::select! {
            changed = schedules.changed() => if changed.is_err() { return },
            () = until(&mut clock, next) => {}
        }
    }
}

/// Tells of all whose moment has come.
async fn ring(alarms: &mut BTreeMap<AppName, Alarm>, shell: &ShellHandle) {
    let now = SystemTime::now();
    for (app, alarm) in alarms {
        if alarm.rings(now) {
            shell.cron_due(app.clone()).await;
        }
    }
}

/// Waits for a moment, or until the clock is set; for ever if there is none.
async fn until(clock: &mut Option<WallClock>, moment: Option<SystemTime>) {
    if let Some(moment) = moment {
        let made = match clock.take() {
            Some(clock) => Ok(clock),
            None => WallClock::new(),
        };
        let reached = match made {
            Ok(made) => clock.insert(made).reaches(moment).await,
            Err(error) => Err(error),
        };
        match reached {
            Ok(()) => return,
            Err(error) => tracing::error!("cron is not kept: there is no timer: {error}"),
        }
    }
    std::future::pending::<()>().await;
}

/// Those that are there still keep how far they have come.
fn follow(alarms: &mut BTreeMap<AppName, Alarm>, schedules: &Schedules) {
    alarms.retain(|app, alarm| schedules.get(app) == Some(&alarm.schedule));
    let now = SystemTime::now();
    for (app, schedule) in schedules {
        let fresh = || Alarm::new(schedule.clone(), now);
        alarms.entry(app.clone()).or_insert_with(fresh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        let moment: jiff::Timestamp = format!("2026-05-{text}Z").parse().expect("a moment");
        moment.into()
    }

    fn alarm(text: &str, now: &str) -> Alarm {
        Alarm::new(
            Schedule::new(text, Some("UTC")).expect("a schedule"),
            at(now),
        )
    }

    #[test]
    fn it_rings_once_at_its_moment() {
        let mut alarm = alarm("0 4 * * *", "01T00:00:00");
        assert_eq!(alarm.next, Some(at("01T04:00:00")));
        assert!(!alarm.rings(at("01T03:59:59.999")));
        assert!(alarm.rings(at("01T04:00:00.001")));
        assert!(!alarm.rings(at("01T04:00:00.002")));
        assert_eq!(alarm.next, Some(at("02T04:00:00")));
    }

    #[test]
    fn time_that_was_slept_through_counts_once() {
        let mut alarm = alarm("* * * * *", "01T00:00:30");
        assert!(alarm.rings(at("01T02:10:00")));
        assert!(!alarm.rings(at("01T02:10:59")));
        assert!(alarm.rings(at("01T02:11:00")));
    }

    #[test]
    fn a_clock_put_forward_by_a_day_fires_nothing() {
        let mut daily = alarm("0 4 * * *", "01T03:00:00");
        assert!(!daily.rings(at("03T12:00:00")), "eight hours late at least");
        assert_eq!(daily.next, Some(at("04T04:00:00")));
        let mut each_minute = alarm("* * * * *", "01T03:00:00");
        assert!(!each_minute.rings(at("02T03:00:30")));
        assert!(each_minute.rings(at("02T03:01:00")), "it goes on");
    }

    #[test]
    fn a_clock_put_forward_a_little_leaves_nothing_out() {
        let mut alarm = alarm("0 4 * * *", "01T03:59:00");
        assert!(alarm.rings(at("01T04:59:00")));
        assert_eq!(alarm.next, Some(at("02T04:00:00")));
    }

    #[test]
    fn a_clock_put_back_a_little_rings_no_second_time() {
        let mut alarm = alarm("0 4 * * *", "01T00:00:00");
        assert!(alarm.rings(at("01T04:00:00")));
        assert!(!alarm.rings(at("01T03:59:58")), "set right by two seconds");
        assert!(!alarm.rings(at("01T04:00:00")));
        assert_eq!(alarm.next, Some(at("02T04:00:00")));
    }

    #[test]
    fn a_clock_put_back_by_days_counts_from_there() {
        let mut alarm = alarm("0 4 * * *", "09T00:00:00");
        assert!(alarm.rings(at("09T04:00:00")));
        assert!(!alarm.rings(at("02T12:00:00")));
        assert_eq!(alarm.next, Some(at("03T04:00:00")));
        assert!(alarm.rings(at("03T04:00:00")));
    }

    #[test]
    fn an_app_defined_anew_with_the_same_schedule_keeps_its_place() {
        let schedule = Schedule::new("0 4 * * *", Some("UTC")).expect("a schedule");
        let name = AppName::new("web").expect("a name");
        let schedules = Schedules::from([(name.clone(), schedule.clone())]);
        let mut alarms = BTreeMap::new();
        follow(&mut alarms, &schedules);
        alarms.get_mut(&name).expect("an alarm").last = Some(at("01T04:00:00"));
        follow(&mut alarms, &schedules);
        assert!(alarms[&name].last.is_some());
        let other = Schedule::new("0 5 * * *", Some("UTC")).expect("a schedule");
        follow(&mut alarms, &Schedules::from([(name.clone(), other)]));
        assert!(alarms[&name].last.is_none(), "another schedule");
        follow(&mut alarms, &Schedules::new());
        assert!(alarms.is_empty());
    }
}
