//! The shim that is kept for the next worker.

use std::{path::PathBuf, time::Duration};

use super::support::{sh, spawner, start, within};

fn proc_of(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

async fn reaped(pid: u32) {
    within(async {
        while proc_of(pid).exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_shim_that_waits_becomes_the_next_worker() {
    let spawner = spawner();
    assert_eq!(spawner.spare(), None);
    spawner.keep_spare();
    let spare = spawner.spare().expect("kept");
    spawner.keep_spare();
    assert_eq!(spawner.spare(), Some(spare), "one is enough");
    let mut worker = start(&spawner, sh("echo $$; read never"), vec![]).await;
    assert_eq!(worker.child.pid(), spare);
    assert_eq!(worker.line().await, spare.to_string());
    assert_eq!(spawner.spare(), None);
}

#[tokio::test]
async fn a_shim_that_was_killed_while_it_waited_is_passed_over() {
    let spawner = spawner();
    spawner.keep_spare();
    let spare = spawner.spare().expect("kept");
    let pid = rustix::process::Pid::from_raw(spare.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("signalled");
    within(async {
        let status = proc_of(spare).join("status");
        while !std::fs::read_to_string(&status).is_ok_and(|text| text.contains("State:\tZ")) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let mut worker = start(&spawner, sh("echo started"), vec![]).await;
    assert_ne!(worker.child.pid(), spare);
    assert_eq!(worker.line().await, "started");
    reaped(spare).await;
}

#[tokio::test]
async fn the_last_spawner_takes_the_shim_that_waits_with_it() {
    let spawner = spawner();
    spawner.keep_spare();
    let spare = spawner.spare().expect("kept");
    let clone = spawner.clone();
    drop(spawner);
    assert_eq!(clone.spare(), Some(spare));
    drop(clone);
    reaped(spare).await;
}
