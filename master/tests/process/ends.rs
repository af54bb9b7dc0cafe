//! How a worker's end is told, and what is left of it: nothing.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use ostler_bus::{WorkerId, vocab::worker::ExitStatus};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::support::{by_copy, gone, run, sh, spawner, spec, start, within};

#[tokio::test]
async fn codes_and_signals_are_told_and_no_zombie_is_left() {
    let ended = run(sh("exit 42"), vec![]).await;
    assert_eq!(ended.status, ExitStatus::Code(42));
    for (number, name) in [
        (15, "SIGTERM"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (35, "SIG35"),
    ] {
        let worker = start(&spawner(), spec(&["sleep", "60"]), vec![]).await;
        let pid = worker.child.pid();
        worker.child.signal(number).expect("sent");
        let ended = worker.ended().await;
        assert_eq!(ended.status, ExitStatus::Signal(name.into()));
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "a zombie");
    }
}

#[tokio::test]
async fn after_the_end_nobody_is_signalled_and_the_end_is_told_again() {
    let worker = start(&spawner(), sh("exit 3"), vec![]).await;
    assert_eq!(within(worker.child.exited()).await, ExitStatus::Code(3));
    assert_eq!(within(worker.child.exited()).await, ExitStatus::Code(3));
    let errors = [worker.child.signal(15), worker.child.signal_group(15)];
    for error in errors {
        let error = error.expect_err("nobody there");
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
    let error = worker.child.signal(99).expect_err("no signal");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn stragglers_of_the_group_are_killed() {
    let script = "sleep 60 & echo $!; (trap '' TERM HUP; sleep 60) & echo $!";
    let ended = run(sh(script), vec![]).await;
    let pids: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        gone(pid).await;
    }
}

#[tokio::test]
async fn a_signal_to_the_group_reaches_all_of_it() {
    let script = "trap 'echo parent; wait; exit 5' USR1; \
                  sh -c 'trap \"echo child; exit\" USR1; echo up; while :; do sleep 0.02; done' & wait";
    let mut worker = start(&spawner(), sh(script), vec![]).await;
    assert_eq!(worker.line().await, "up");
    worker.child.signal_group(10).expect("sent");
    let ended = worker.ended().await;
    let mut said: Vec<&str> = ended.stdout.lines().collect();
    said.sort_unstable();
    assert_eq!(said, ["child", "parent"], "{}", ended.stderr);
    assert_eq!(ended.status, ExitStatus::Code(5));
}

#[tokio::test]
async fn a_worker_reaped_by_another_has_an_unknown_end() {
    let mut worker = start(&spawner(), sh("echo up; read wait; exit 7"), vec![]).await;
    assert_eq!(worker.line().await, "up");
    // The pidfd's task has not run yet when this thread takes the zombie from it.
    let pid = i32::try_from(worker.child.pid()).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid);
    let taken = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
    let (_, status) = taken.expect("reaped").expect("an end");
    assert_eq!(status.exit_status(), Some(7));
    assert_eq!(within(worker.child.exited()).await, ExitStatus::Unknown);
    let error = worker.child.signal_group(9).expect_err("not ours any more");
    assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
}

/// In a process of its own, which may adopt orphans without disturbing the other tests.
#[test]
fn orphans_are_reaped_and_workers_are_left_to_their_watchers() {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--ignored",
            "--exact",
            "ends::adopting_orphans",
            "--nocapture",
        ])
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "makes its process a subreaper: run by the test above in a process of its own"]
async fn adopting_orphans() {
    ostler::sys::adopt_orphans().expect("adopting");
    let spawner = spawner();
    // A grandchild in a session of its own outlives its group, is adopted here, and ends.
    let script = "echo $(setsid sh -c 'echo $$; exec >&2; read x < $0' $FIFO &)";
    let dir = tempfile::tempdir().expect("a directory");
    let fifo = dir.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .expect("run")
            .success()
    );
    let mut order = sh(script);
    order.env.push(("FIFO".into(), fifo.clone().into()));
    let mut worker = start(&spawner, order, vec![]).await;
    let orphan = worker.line().await;
    drop(worker.ended().await);
    let ended_child = start(&spawner, sh("exit 9"), vec![]).await;
    gone(&ended_child.child.pid().to_string()).await;
    // Nobody claims it: it has no mark of a worker.
    let left = within(spawner.clear(WorkerId(7), None)).await;
    assert_eq!((left.count, left.all), (0, true));
    std::fs::write(&fifo, "go\n").expect("written");
    gone(&orphan).await;
    assert!(Path::new(&format!("/proc/{orphan}")).exists(), "a zombie");
    assert_eq!(spawner.reap_orphans().expect("reaped"), 1);
    assert!(!Path::new(&format!("/proc/{orphan}")).exists());
    assert_eq!(ended_child.ended().await.status, ExitStatus::Code(9));
    a_worker_that_has_ended_before_it_is_known().await;
    a_worker_that_can_t_be_watched().await;
    leaving_processes_behind().await;
}

/// It has become the worker when the master can't take its pidfd, as it may have no more files open.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime must not hear of anything meanwhile"
)]
async fn a_worker_that_can_t_be_watched() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawner = by_copy(dir.path());
    let told = dir.path().join("pids");
    let starting = spawner.begin(
        &sh(&format!("echo $$ >> {}; exec sleep 60", told.display())),
        vec![],
    );
    let began = Instant::now();
    let pids = || std::fs::read_to_string(&told).unwrap_or_default();
    while !pids().ends_with('\n') {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(64),
        ..before
    };
    setrlimit(Resource::Nofile, few).expect("set");
    let all: Vec<_> = std::iter::repeat_with(|| std::fs::File::open("/dev/null"))
        .map_while(Result::ok)
        .collect();
    let error = within(starting).await.expect_err("it can't be watched");
    drop(all);
    setrlimit(Resource::Nofile, before).expect("set");
    assert!(error.to_string().contains("Too many open files"), "{error}");
    let pids = pids();
    assert_eq!(pids.lines().count(), 1, "it was not started again: {pids}");
    gone(pids.trim()).await;
    spawner.reap_orphans().expect("reaped");
    assert!(!Path::new("/proc").join(pids.trim()).exists());
}

/// It was begun ahead of the word that says who it is: nobody takes it for an orphan. Those wait for that long.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime must not hear of anything meanwhile"
)]
async fn a_worker_that_has_ended_before_it_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let spawner = by_copy(dir.path());
    let orphan = "echo $(setsid -f sh -c 'echo $$; sleep 0.1')";
    let mut worker = start(&spawner, sh(orphan), vec![]).await;
    let orphan = worker.line().await;
    drop(worker.ended().await);
    let told = dir.path().join("pid");
    let order = sh(&format!(
        "echo $$ > {}.new; mv {0}.new {0}; exit 3",
        told.display()
    ));
    let starting = spawner.begin(&order, vec![]);
    let began = Instant::now();
    let is_zombie = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    };
    let pid = loop {
        let pid = std::fs::read_to_string(&told).unwrap_or_default();
        if is_zombie(&pid) && is_zombie(&orphan) {
            break pid;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{pid} {orphan}");
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(spawner.reap_orphans().expect("looked"), 0, "not yet");
    assert!(is_zombie(&pid) && is_zombie(&orphan));
    let spawned = within(starting).await.expect("begun");
    assert_eq!(spawned.child.pid().to_string(), pid.trim());
    assert!(!is_zombie(&orphan), "its turn has come");
    assert_eq!(within(spawned.child.exited()).await, ExitStatus::Code(3));
}

/// A worker's own are ended with it, wherever they went; another worker's are not.
async fn leaving_processes_behind() {
    let spawner = spawner();
    let script = "setsid -f sh -c 'echo $$; setsid -f sh -c \"echo \\$\\$; exec sleep 60\"; exec sleep 60'; \
                  OSTLER_WORKER_ID=8 setsid -f sh -c 'echo $$; exec sleep 60'; exec sleep 60";
    let mut order = sh(script);
    let master = std::process::id().to_string();
    order.env.push(("OSTLER_MASTER_PID".into(), master.into()));
    order.env.push(("OSTLER_WORKER_ID".into(), "7".into()));
    let mut worker = start(&spawner, order, vec![]).await;
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(worker.line().await);
    }
    worker.child.signal_group(libc::SIGKILL).expect("sent");
    within(worker.child.exited()).await;
    let left = within(spawner.clear(WorkerId(7), Some(&worker.child))).await;
    assert!(left.all && left.count >= 2, "{left:?}");
    let mark = |pid: &String| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut pairs = environment.split(|byte| *byte == 0);
        pairs.find_map(|pair| pair.strip_prefix(b"OSTLER_WORKER_ID=").map(<[u8]>::to_vec))
    };
    let left: Vec<_> = pids.iter().filter_map(mark).collect();
    assert_eq!(left, [b"8".to_vec()], "the other worker's alone");
    let other = within(spawner.clear(WorkerId(8), None)).await;
    assert_eq!((other.count, other.all), (1, true));
    assert_eq!(pids.iter().filter_map(mark).count(), 0);
}
