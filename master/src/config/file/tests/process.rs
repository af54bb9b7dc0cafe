//! As whom an app's processes run, what they may use and find open, and where their lines go.

use std::path::Path;

use super::{faults, good};
use crate::config::app::{
    given::{FileMode, Stdin},
    log::{LogField, LogFormat, LogTarget, Rotate},
    process::{Affinity, Limit, LimitKind},
};

#[test]
fn attributes_are_read_and_defaults_lie_under_them() {
    let file = good(
        r#"
[defaults]
user = "root"
limits = { core = 0, nofile = 100 }
nice = 5

[app.web]
command = ["a"]
group = 12
umask = "027"
limits = { nofile = { soft = 1024, hard = "unlimited" }, as = "2GiB", cpu = "90s", rttime = "5ms" }
cpu_affinity = "per-slot"
cgroup = { memory_max = "512MiB", cpu_max = 1.5, pids_max = 20 }

[app.job]
command = ["b"]
umask = 0o77
cpu_affinity = [0, 2]
nice = -1
"#,
    );
    let [job, web] = &file.apps[..] else {
        panic!("two apps");
    };
    let credentials = web.process.credentials().expect("a user");
    assert_eq!((credentials.uid, credentials.gid), (Some(0), 12));
    assert!(credentials.groups.contains(&12));
    let both = |value| Limit {
        soft: Some(value),
        hard: Some(value),
    };
    let limits: Vec<_> = web.process.limits.iter().map(|(k, v)| (*k, *v)).collect();
    let open = Limit {
        soft: Some(1024),
        hard: None,
    };
    assert_eq!(
        limits,
        [
            (LimitKind::As, both(2 << 30)),
            (LimitKind::Core, both(0)),
            (LimitKind::Cpu, both(90)),
            (LimitKind::Nofile, open),
            (LimitKind::Rttime, both(5_000)),
        ]
    );
    assert_eq!((web.process.nice, web.process.umask), (Some(5), Some(0o27)));
    assert_eq!(web.process.cpu_affinity, Some(Affinity::PerSlot));
    let cgroup = web.process.cgroup.as_ref().expect("a table");
    assert_eq!(
        (cgroup.memory_max, cgroup.cpu_max, cgroup.pids_max),
        (Some(512 << 20), Some(1.5), Some(20))
    );
    assert_eq!(
        (job.process.nice, job.process.umask),
        (Some(-1), Some(0o77))
    );
    assert_eq!(job.process.cpu_affinity, Some(Affinity::Cores(vec![0, 2])));
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    let told = faults(
        r#"[app.web]
command = ["a"]
user = "no-such-user"
umask = 27
nice = 20
limits = { nofiles = 3, cpu = 10, nproc = { soft = 9, hard = 3 } }
cpu_affinity = "slot"
cgroup = { memory = "1GiB", cpu_max = 0 }
"#,
    );
    let said = |text: &str| assert!(told.iter().any(|line| line.contains(text)), "{told:#?}");
    said("there is no user \"no-such-user\"");
    said("27 could be meant in octal or not");
    said("20 is out of range");
    said("did you mean `nofile`?");
    said("10 has no unit");
    said("the soft limit is above the hard one");
    said("\"per-slot\"");
    said("did you mean `memory_max`?");
    said("0 is out of range");
}

#[test]
fn descriptors_and_logs_are_read() {
    let file = good(
        r#"
[defaults]
log = { prefix = ["time"], rotate = { size = "1MiB" } }

[app.web]
command = ["a"]
listen = { http = ":0" }
fds = { words = "w", data = { path = "/d", mode = "append" } }
stdin = { socket = "http" }
log = { out = "logs/{app}-{slot}.out", err = "null", format = "json", compress = true }

[app.job]
command = ["b"]
stdin = "lines"
log = "job.log"

[app.own]
command = ["c"]
log = { rotate = false }
"#,
    );
    let [job, own, web] = &file.apps[..] else {
        panic!("three apps");
    };
    let files: Vec<_> = web
        .given
        .files()
        .iter()
        .map(|f| (f.name.as_str(), f.path.as_path(), f.mode))
        .collect();
    assert_eq!(
        files,
        [
            ("words", Path::new("/srv/shop/w"), FileMode::Read),
            ("data", Path::new("/d"), FileMode::Append)
        ]
    );
    assert_eq!(web.given.stdin, Some(Stdin::Socket("http".into())));
    assert_eq!(job.given.stdin, Some(Stdin::Lines));
    let logs = |name: &str| LogTarget::File(Path::new("/srv/shop").join(name));
    assert_eq!(
        web.log.targets(),
        [logs("logs/{app}-{slot}.out"), LogTarget::Null]
    );
    assert_eq!(job.log.targets(), [logs("job.log"), logs("job.log")]);
    assert_eq!(own.log.targets(), [LogTarget::Master, LogTarget::Master]);
    assert_eq!(
        (web.log.format, web.log.compress),
        (Some(LogFormat::Json), Some(true))
    );
    assert_eq!(web.log.prefix, Some(vec![LogField::Time]));
    let rotate = Rotate {
        size: 1 << 20,
        ..Rotate::default()
    };
    assert_eq!((web.log.rotate(), own.log.rotate()), (Some(rotate), None));
}

#[test]
fn descriptors_and_logs_that_make_no_sense_are_told() {
    let told = faults(
        r#"[app.web]
command = ["a"]
listen = { http = ":0" }
fds = { http = "w", "a b" = "x", data = { mode = "up" } }
stdin = { socket = "https" }
log = { out = "{slot}/a", format = "xml", prefix = ["when"], rotate = { size = "1MiB", keep_total = "5KiB", ages = "1d" }, error_file = "x" }

[app.job]
command = ["b"]
stdin = "keyboard"
log = { rotate = { age = 5, size = "1B" } }
"#,
    );
    let said = |text: &str| {
        assert!(
            told.iter().any(|line| line.contains(text)),
            "{text}: {told:#?}"
        );
    };
    said("\"a b\" is not a descriptor's name");
    said("\"up\" is not a mode");
    said("the descriptor has no file");
    said("no socket is named \"https\"");
    said("{slot} stands in a directory's name");
    said("\"xml\" is not a format");
    said("\"when\" is nothing that can stand there");
    said("keep_total is less than size");
    said("did you mean `age`?");
    said("did you mean `err`?");
    said("the string \"keyboard\" can't stand here");
    said("5 has no unit");
    said("\"1B\" is out of range");
}
