//! As whom a worker runs and how much it may use: asked of the worker itself.

use std::path::Path;

use ostler::{
    config::app::process::{CgroupLimits, Credentials, Limit, LimitKind},
    process::{Attributes, Cgroups, SpawnSpec},
    sys,
};

use super::support::{alive, gone, identity, run, sh, spawner, start, within};

/// The user and group that nobody has files of.
const NOBODY: u32 = 65_534;

fn with(script: &str, attributes: Attributes) -> SpawnSpec {
    SpawnSpec {
        attributes,
        ..sh(script)
    }
}

async fn says(script: &str, attributes: Attributes) -> String {
    let ended = run(with(script, attributes), vec![]).await;
    assert_eq!(ended.stderr, "", "{}", ended.stdout);
    ended.stdout.trim().to_owned()
}

async fn refused(attributes: Attributes) -> (String, String) {
    let error = within(spawner().spawn(&with("true", attributes), vec![]))
        .await
        .expect_err("refused");
    (error.to_string(), error.hint().unwrap_or_default())
}

fn nobody() -> Credentials {
    Credentials {
        uid: Some(NOBODY),
        gid: NOBODY,
        groups: vec![NOBODY, 12_345],
    }
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can start a process as another user");
    }
    root
}

#[tokio::test]
async fn another_user_with_its_groups_and_no_way_back() {
    if !is_root() {
        return;
    }
    let script = "id -u; id -g; id -G; grep -E '^(Uid|Gid):' /proc/self/status | tr '\\t' ' '; \
                  echo seen > /dev/stdout; umask; cat /proc/self/status | grep CapEff";
    let attributes = Attributes {
        credentials: Some(nobody()),
        umask: Some(0o077),
        ..Attributes::default()
    };
    let said = says(script, attributes).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "65534",
            "65534",
            "65534 12345",
            "Uid: 65534 65534 65534 65534",
            "Gid: 65534 65534 65534 65534",
            "seen"
        ]
    );
    assert_eq!(lines[6], "0077");
    assert!(lines[7].ends_with("0000000000000000"), "{}", lines[7]);
}

#[tokio::test]
async fn rights_are_given_up_last() {
    if !is_root() {
        return;
    }
    // Only root may lower the niceness (where it may).
    let attributes = Attributes {
        credentials: Some(nobody()),
        nice: Some(-3),
        cwd: Some("/".into()),
        ..Attributes::default()
    };
    let lowered = std::process::Command::new("nice")
        .args(["-n", "-3", "nice"])
        .output();
    if lowered.is_ok_and(|output| output.stdout == b"-3\n") {
        assert_eq!(says("nice", attributes).await, "-3");
    }
    // And what only root may read is not to be read, the directory it is to begin in included.
    let attributes = Attributes {
        credentials: Some(nobody()),
        cwd: Some("/root".into()),
        ..Attributes::default()
    };
    let closed = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata("/root").expect("root's"));
    if closed & 0o001 == 0 {
        let (error, _) = refused(attributes).await;
        assert_eq!(error, "change directory to \"/root\": Permission denied");
    }
}

#[tokio::test]
async fn limits_hold_softly_and_hard_even_if_they_are_narrow() {
    let both = |value| Limit {
        soft: Some(value),
        hard: Some(value),
    };
    let attributes = Attributes {
        limits: vec![
            (LimitKind::Nofile, both(20)),
            (LimitKind::Nproc, both(20)),
            (LimitKind::Core, both(0)),
            (
                LimitKind::Cpu,
                Limit {
                    soft: Some(3),
                    hard: Some(5),
                },
            ),
        ],
        ..Attributes::default()
    };
    let said = says("cat /proc/self/limits", attributes).await;
    let limit = |name: &str| {
        let line = said.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {said}"));
        let words: Vec<&str> = line[name.len()..].split_whitespace().collect();
        format!("{} {}", words[0], words[1])
    };
    assert_eq!(limit("Max open files"), "20 20");
    assert_eq!(limit("Max processes"), "20 20");
    assert_eq!(limit("Max core file size"), "0 0");
    assert_eq!(limit("Max cpu time"), "3 5");
}

#[tokio::test]
async fn cores_and_niceness() {
    let core = *sys::allowed_cores().last().expect("at least one");
    let attributes = Attributes {
        cores: vec![core],
        nice: Some(7),
        ..Attributes::default()
    };
    let said = says("nice; grep Cpus_allowed_list /proc/self/status", attributes).await;
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words, ["7", "Cpus_allowed_list:", &core.to_string()]);
}

#[tokio::test]
async fn what_can_t_be_had_is_told() {
    let attributes = Attributes {
        cores: vec![1023],
        ..Attributes::default()
    };
    let (error, hint) = refused(attributes).await;
    assert_eq!(error, "keep to the cores [1023]: Invalid argument");
    assert!(hint.contains("none of them is there"), "{hint}");
    let attributes = Attributes {
        cgroup: Some("/no/such/group".into()),
        ..Attributes::default()
    };
    let (error, _) = refused(attributes).await;
    assert_eq!(
        error,
        "join the control group /no/such/group: No such file or directory"
    );
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if !uid.is_root() {
        let root = Credentials {
            uid: Some(0),
            gid: 0,
            groups: vec![0],
        };
        let attributes = Attributes {
            credentials: Some(root),
            ..Attributes::default()
        };
        let (error, hint) = refused(attributes).await;
        assert!(error.ends_with("Operation not permitted"), "{error}");
        assert!(hint.contains("run it as root"), "{hint}");
    }
    // To be oneself needs no rights.
    let oneself = Credentials {
        uid: Some(uid.as_raw()),
        gid: gid.as_raw(),
        groups: vec![gid.as_raw()],
    };
    let attributes = Attributes {
        credentials: Some(oneself),
        ..Attributes::default()
    };
    assert_eq!(says("id -u", attributes).await, uid.as_raw().to_string());
}

/// Where a hierarchy of version 2 can be written here.
fn groups() -> Option<Cgroups> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (mount, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then_some(mount)
    });
    let found = mount
        .ok_or_else(|| "no hierarchy of version 2".to_owned())
        .and_then(|mount| Cgroups::below(Path::new(mount)));
    found.map_err(|why| eprintln!("skipped: {why}")).ok()
}

#[tokio::test]
async fn what_is_left_in_a_control_group_ends_with_its_worker() {
    let Some(groups) = groups() else { return };
    let limits = CgroupLimits::default();
    let made = groups.make(&identity(), &limits).expect("made");
    let group = made.expect("a base");
    let dir = group.dir().to_owned();
    let attributes = Attributes {
        cgroup: Some(dir.clone()),
        ..Attributes::default()
    };
    // A session of its own: no process group reaches it, nor its parent's end.
    let script = "setsid sh -c 'echo $$; exec sleep 60' & read wait";
    let mut worker = start(&spawner(), with(script, attributes), vec![]).await;
    let grandchild = worker.line().await;
    let procs = std::fs::read_to_string(dir.join("cgroup.procs")).expect("a group");
    if !procs.lines().any(|pid| pid == grandchild) {
        // In a PID namespace the group shows other numbers, yet the count tells.
        assert_eq!(procs.lines().count(), 1, "{procs}");
    }
    let ended = worker.ended().await;
    assert_eq!(ended.stdout, "");
    assert!(alive(&grandchild), "its process group is another");
    group.end().await;
    gone(&grandchild).await;
    assert!(!dir.exists());
}
