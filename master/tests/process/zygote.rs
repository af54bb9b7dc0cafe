//! The process that copies itself for each worker: what workers get of it, and what becomes of them without it.

use std::{
    collections::BTreeSet,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use ostler::process::Spawner;
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::{Pid, Signal, kill_process},
};

use super::support::{by_copy, gone, script, sh, shim, spawner, start, within};

fn proc_of(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    kill_process(pid, signal).expect("signalled");
}

async fn until(is_so: impl Fn() -> bool) {
    within(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// What it has open, by number.
fn descriptors(pid: u32) -> BTreeSet<(String, PathBuf)> {
    let listed = std::fs::read_dir(proc_of(pid).join("fd")).expect("a living process");
    listed
        .map(|entry| {
            let entry = entry.expect("a descriptor");
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            (entry.file_name().into_string().expect("a number"), target)
        })
        .collect()
}

#[tokio::test]
async fn a_copy_is_the_masters_own_child_and_has_nothing_of_the_zygote() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawner = by_copy(dir.path());
    assert_eq!(spawner.zygote(), None);
    spawner.warm_up();
    let zygote = spawner.zygote().expect("started");
    let own = std::process::id();
    let tell = "echo $$ $PPID; ls /proc/self/fd; cat; exit 3";
    let ended = start(&spawner, sh(tell), vec![]).await.ended().await;
    let said: Vec<&str> = ended.stdout.split_whitespace().collect();
    assert_eq!(said[1], own.to_string(), "its parent: {said:?}");
    assert_ne!(said[0], zygote.to_string());
    // The last is the directory being listed. And its standard input ends at once.
    assert_eq!(said[2..], ["0", "1", "2", "3"]);
    assert_eq!(
        ended.status,
        ostler_bus::vocab::worker::ExitStatus::Code(3),
        "{}",
        ended.stderr
    );
    assert_eq!(spawner.zygote(), Some(zygote), "one serves all");
}

#[tokio::test]
async fn many_are_started_at_once_and_the_zygote_keeps_nothing_of_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawner = by_copy(dir.path());
    // More than it is asked for at once.
    let round = async || {
        let starts = (0..100).map(|number| {
            let order = sh(&format!("echo {number}; read never"));
            start(&spawner, order, vec![])
        });
        let mut workers = futures::future::join_all(starts).await;
        let mut said = BTreeSet::new();
        for worker in &mut workers {
            said.insert(worker.line().await);
        }
        assert_eq!(said.len(), 100);
    };
    round().await;
    let zygote = spawner.zygote().expect("started");
    let before = descriptors(zygote);
    assert_eq!(before.len(), 3, "{before:?}");
    round().await;
    assert_eq!(spawner.zygote(), Some(zygote));
    until(|| descriptors(zygote) == before).await;
}

#[tokio::test]
async fn an_order_too_large_to_go_ahead_follows() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawner = by_copy(dir.path());
    let null = || OwnedFd::from(std::fs::File::open("/dev/null").expect("/dev/null"));
    // Neither fits a socket's buffer, nor one message.
    let long = "x".repeat(100_000);
    for (text, count) in [("x", 8), ("x", 9), (long.as_str(), 0), (long.as_str(), 300)] {
        let mut order = sh("echo $# ${#1}; ls /proc/self/fd | wc -l");
        order.args.push("sh".into());
        order.args.extend(std::iter::repeat_n(text.into(), 10));
        let fds = (0..count).map(|_| null()).collect();
        let said = start(&spawner, order, fds).await.ended().await;
        // The last is the directory being listed.
        let expected = format!("10 {}\n{}", text.len(), count + 4);
        assert_eq!(said.stdout.trim(), expected, "{}", said.stderr);
    }
}

#[tokio::test]
async fn one_that_is_killed_is_reaped_and_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawner = by_copy(dir.path());
    spawner.warm_up();
    let first = spawner.zygote().expect("started");
    send(first, Signal::KILL);
    until(|| spawner.zygote().is_none()).await;
    assert!(!proc_of(first).exists(), "it is no zombie");
    let mut worker = start(&spawner, sh("echo started; read never"), vec![]).await;
    assert_eq!(worker.line().await, "started");
    assert_ne!(spawner.zygote(), Some(first));
}

#[tokio::test]
async fn starts_during_which_it_is_killed_succeed() {
    let spawner = spawner();
    spawner.warm_up();
    let starts = (0..50).map(|number| {
        let (spawner, order) = (spawner.clone(), sh("echo started; read never"));
        async move {
            if let (0, Some(zygote)) = (number % 10, spawner.zygote()) {
                send(zygote, Signal::KILL);
            }
            start(&spawner, order, vec![]).await
        }
    });
    for mut worker in futures::future::join_all(starts).await {
        assert_eq!(worker.line().await, "started");
    }
}

#[tokio::test]
async fn one_that_is_stopped_holds_up_a_start_for_no_longer_than_it_may() {
    let spawner = spawner();
    spawner.warm_up();
    let first = spawner.zygote().expect("started");
    send(first, Signal::STOP);
    let mut worker = start(&spawner, sh("echo started; read never"), vec![]).await;
    assert_eq!(worker.line().await, "started");
    until(|| !proc_of(first).exists()).await;
    let _next = start(&spawner, sh("read never"), vec![]).await;
    assert!(spawner.zygote().is_some_and(|next| next != first));
}

#[tokio::test]
async fn a_start_that_is_given_up_while_it_is_stopped_never_happens() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawner = by_copy(dir.path());
    // It serves, and is the same afterwards.
    drop(start(&spawner, sh("read never"), vec![]).await);
    let zygote = spawner.zygote().expect("started");
    send(zygote, Signal::STOP);
    let mark = dir.path().join("happened");
    let mut order = sh("touch \"$MARK\"");
    order.env.push(("MARK".into(), mark.clone().into()));
    let given_up = spawner.begin(&order, vec![]);
    let soon = Duration::from_millis(50);
    let started = tokio::time::timeout(soon, given_up).await;
    assert!(started.is_err(), "it is stopped, yet {started:?}");
    send(zygote, Signal::CONT);
    // It does one after the other: what was asked for before this is done, or never will be.
    let next = start(&spawner, sh("exit 0"), vec![]).await;
    next.ended().await;
    assert_eq!(spawner.zygote(), Some(zygote));
    assert!(!mark.exists());
}

#[tokio::test]
async fn the_last_spawner_takes_it_along_even_if_it_is_stopped() {
    let spawner = spawner();
    spawner.warm_up();
    let zygote = spawner.zygote().expect("started");
    send(zygote, Signal::STOP);
    let clone = spawner.clone();
    drop(spawner);
    assert_eq!(clone.zygote(), Some(zygote));
    drop(clone);
    until(|| !proc_of(zygote).exists()).await;
}

#[tokio::test]
async fn it_ends_with_its_socket() {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .expect("a pair");
    let mut zygote = Command::new(shim())
        .arg("__zygote")
        .stdin(theirs)
        .stdout(Stdio::null())
        .spawn()
        .expect("run");
    drop(ours);
    gone(&zygote.id().to_string()).await;
    let status = zygote.wait().expect("reaped");
    assert_eq!((status.code(), status.signal()), (Some(0), None));
}

#[tokio::test]
async fn where_there_can_be_none_workers_start_all_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    // The first process of a namespace may have no siblings: it is refused what every other is allowed.
    let unshare = match rustix::process::geteuid().is_root() {
        true => "unshare -pf",
        false => "unshare -Urpf",
    };
    let mut words = unshare.split(' ');
    let tried = Command::new(words.next().expect("a word"))
        .args(words)
        .args(["--kill-child", "true"])
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        return eprintln!("not run: no namespace of processes can be had here");
    }
    let tries = dir.path().join("tries");
    let program = script(
        dir.path(),
        "first",
        &format!(
            "#!/bin/sh\n[ \"$1\" = __zygote ] || exec {0} \"$@\"\necho >> {1}\n\
             exec {unshare} --kill-child {0} \"$@\"\n",
            shim().display(),
            tries.display()
        ),
    );
    let spawner = Spawner::new(&program);
    spawner.warm_up();
    let first = spawner.zygote().expect("started");
    for _ in 0..3 {
        let mut worker = start(&spawner, sh("echo $PPID; read never"), vec![]).await;
        assert_eq!(worker.line().await, std::process::id().to_string());
        assert_eq!(spawner.zygote(), None);
    }
    assert!(
        proc_of(first).exists(),
        "a namespace would end with its first process"
    );
    let tries = std::fs::read_to_string(tries).expect("tried");
    assert_eq!(tries.lines().count(), 1, "and it is not tried again");
}

#[tokio::test]
async fn one_after_the_other_that_does_not_serve_is_not_replaced_for_ever() {
    let dir = tempfile::tempdir().expect("a directory");
    // Gone at once; and never like its master.
    for (number, end) in ["exit 1", "ulimit -c 0; ulimit -Sn 99"].iter().enumerate() {
        let tries = dir.path().join(format!("tries{number}"));
        let program = script(
            dir.path(),
            &format!("in_vain{number}"),
            &format!(
                "#!/bin/sh\n[ \"$1\" = __zygote ] && {{ echo >> {1}; {end}; }}\nexec {0} \"$@\"\n",
                shim().display(),
                tries.display()
            ),
        );
        let spawner = Spawner::new(&program);
        for _ in 0..8 {
            let mut worker = start(&spawner, sh("echo started; read never"), vec![]).await;
            assert_eq!(worker.line().await, "started");
        }
        let tries = std::fs::read_to_string(tries).expect("tried");
        assert_eq!(tries.lines().count(), 3, "{end}");
        assert_eq!(spawner.zygote(), None);
    }
}

#[test]
fn the_zygote_by_hand_does_nothing() {
    let output = Command::new(shim())
        .arg("__zygote")
        .stdin(Stdio::null())
        .output()
        .expect("run");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("for the master alone"), "{said}");
}
