//! The keys that say how workers are looked after.

use std::time::Duration;

use super::{faults, good};
use crate::config::app::{
    Readiness,
    life::{Life, Restart},
    probe::{Check, Target},
    recycle::MemoryLimit,
};

/// The one app of a file with these keys.
fn app(keys: &str) -> crate::config::app::AppDefinition {
    let mut file = good(&format!(
        "[app.a]\ncommand = \"a\"\ninstances = 2\n{keys}\n"
    ));
    file.apps.remove(0)
}

fn fault(keys: &str) -> String {
    faults(&format!(
        "[app.a]\ncommand = \"a\"\ninstances = 2\n{keys}\n"
    ))
    .join("\n")
}

#[test]
fn probes_are_tables() {
    let app = app(
        "ready = { http = \"/up\", address = \"unix:run/{id}.sock\", status = [200, 204], interval = \"1s\" }\n\
         health = { command = [\"check\", \"{slot}\"], failures = 5 }",
    );
    let Readiness::Probe(probe) = &app.ready else {
        panic!("{:?}", app.ready);
    };
    let at = Target::Address("unix:/srv/shop/run/{id}.sock".into());
    let (path, status) = ("/up".to_owned(), vec![200, 204]);
    assert_eq!(probe.check, Check::Http { at, path, status });
    assert_eq!(
        (probe.interval, probe.timeout),
        (Duration::from_secs(1), Duration::from_secs(2))
    );
    let health = app.life.health.expect("health checks");
    let command = vec!["check".to_owned(), "{slot}".to_owned()];
    assert_eq!(health.probe.check, Check::Command { command });
    assert_eq!(
        (health.failures, health.probe.interval),
        (5, Duration::from_secs(10))
    );
}

#[test]
fn a_life_as_it_is_written() {
    let app = app(
        "watchdog = \"10s\"\nhang_signal = \"QUIT\"\nhang_grace = \"2s\"\nrestart = \"never\"\nfatal_exit_codes = [78]\n\
         retry_failed = \"never\"\nmax_memory = { soft = \"1MiB\", hard = \"2MiB\" }\nmax_age = \"1h\"",
    );
    let expected = Life {
        watchdog: Some(Duration::from_secs(10)),
        hang_signal: libc::SIGQUIT,
        hang_grace: Duration::from_secs(2),
        restart: Restart::Never,
        fatal_exit_codes: vec![78],
        retry_failed: None,
        ..Life::default()
    };
    assert_eq!(app.life, expected);
    let limit = MemoryLimit {
        soft: 1 << 20,
        hard: Some(2 << 20),
    };
    assert_eq!(app.recycle.max_memory, Some(limit));
    assert_eq!(app.recycle.max_age, Some(Duration::from_secs(3600)));
}

#[test]
fn defaults_can_be_taken_back() {
    let file = good(
        "[defaults]\nwatchdog = \"10s\"\nmax_memory = \"1MiB\"\nmax_age = \"1h\"\nhealth = { tcp = true, port = 9000 }\n\
         [app.a]\ncommand = \"a\"\nwatchdog = \"0\"\nmax_memory = 0\nmax_age = \"0\"\nhealth = false\n\
         [app.b]\ncommand = \"b\"\noneshot = true",
    );
    let [a, b] = file.apps.as_slice() else {
        panic!("two apps");
    };
    assert_eq!(
        (&a.life, a.recycle.max_memory, a.recycle.max_age),
        (&Life::default(), None, None)
    );
    assert!(b.life.watchdog.is_some() && b.life.health.is_some() && b.recycle.max_age.is_some());
    assert_eq!(b.life.restart, Restart::OnCrash, "a oneshot's own default");
}

#[test]
fn what_makes_no_sense_is_told_with_a_fix() {
    for (keys, told) in [
        ("ready = \"http(/up)\"", "does not say where to ask"),
        ("ready = { http = \"/up\" }", "a probe goes to one place"),
        (
            "ready = { http = \"up\", port = 1 }",
            "is not the path of a URL",
        ),
        (
            "ready = { tcp = true, http = \"/\", port = 1 }",
            "a probe asks in one way",
        ),
        (
            "ready = { command = \"x\", port = 1 }",
            "neither address nor status",
        ),
        (
            "ready = { tcp = true, address = \"127.0.0.1:1\" }",
            "all workers at one address",
        ),
        (
            "ready = { tcp = true, port = 8100 }",
            "the old worker of the slot answers for the new one",
        ),
        ("ready = { tcp = true, prot = 1 }", "did you mean `port`?"),
        ("health = { tcp = true, port = 1, retries = 2 }", "failures"),
        ("hang_signal = \"ABORT\"", "is not a signal"),
        ("restart = \"sometimes\"", "is not a restart policy"),
        ("fatal_exit_codes = [256]", "out of range"),
        (
            "max_memory = { soft = 2, hard = 1 }",
            "`soft` is above `hard`",
        ),
        ("max_memory = {}", "there is no limit in it"),
        ("max_age = 5", "has no unit"),
        ("max_requests = -1", "out of range"),
        ("idle_timeout = 5", "has no unit"),
        ("cron = \"0 25 * * *\"", "is no cron expression"),
        ("cron = \"0 0 31 4 *\"", "never comes"),
        ("cron = true", "true can't stand here"),
        ("cron = { timezone = \"UTC\" }", "it doesn't say when"),
        (
            "cron = { at = \"0 4 * * *\", timezone = \"Mars/Utopia\" }",
            "knows no time zone \"Mars/Utopia\"",
        ),
        ("cron_restart = \"0 4 * * *\"", "did you mean `cron`?"),
        ("max_memroy = 5", "did you mean `max_memory`?"),
    ] {
        let faults = fault(keys);
        assert!(faults.contains(told), "{keys}: {faults}");
    }
}

#[test]
fn workers_are_recycled_by_what_they_count_and_by_the_hour() {
    let text = "[defaults]\nmax_requests = 1000\nidle_timeout = \"10m\"\n\
         cron = { at = \"0 4 * * MON\", timezone = \"Europe/Helsinki\" }\n\
         [app.a]\ncommand = \"a\"\n\
         [app.b]\ncommand = \"b\"\nmax_requests = 0\nidle_timeout = \"0\"\ncron = false\n";
    let file = good(text);
    let (a, b) = (&file.apps[0].recycle, &file.apps[1].recycle);
    assert_eq!(a.max_requests, Some(1000));
    assert_eq!(a.idle_timeout, Some(Duration::from_secs(600)));
    let cron = a.cron.as_ref().map(ToString::to_string);
    assert_eq!(cron.as_deref(), Some("0 4 * * MON Europe/Helsinki"));
    assert_eq!(*b, Default::default());
    assert!(file.warnings.is_empty(), "{:?}", file.warnings);
}

#[test]
fn a_program_that_shows_no_sdk_is_warned_of_when_it_should_count() {
    let warnings = |keys: &str| good(&format!("[app.a]\ncommand = \"a\"\n{keys}\n")).warnings;
    let told = warnings("max_requests = 5\nready = \"notify\"");
    assert!(
        told[0].starts_with("app.a.max_requests: requests are counted by workers themselves"),
        "{told:?}"
    );
    assert_eq!(
        warnings("idle_timeout = \"5s\"\nready = \"delay(2s)\"").len(),
        1
    );
    assert!(warnings("max_requests = 5").is_empty());
    assert!(warnings("ready = \"notify\"\nmax_age = \"1h\"").is_empty());
}
