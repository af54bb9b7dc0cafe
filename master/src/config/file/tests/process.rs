//! As whom an app's processes run and what they may use.

use super::{faults, good};
use crate::config::app::process::{Affinity, Limit, LimitKind};

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
