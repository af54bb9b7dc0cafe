//! Workers that are killed while they serve, and exactly what that may cost: what a worker had in its hands is counted while it
//! stands still, just before it is killed.

use std::{collections::BTreeSet, fs};

use rustix::process::{Pid, Signal, kill_process};

use ostler_bus::vocab::status::StatusReport;

use super::{Fleet, PATIENCE, eventually};
use crate::load::{Load, Plan};

/// How many are killed.
const KILLS: u64 = 20;

/// So many connect at once while nobody lives.
const CLIENTS: usize = 48;

/// A table that changes while it is read may leave something out: it is read so many times.
const READINGS: usize = 3;

/// Kills the only app's workers under this load, one after the other, each time the one in the slot that `victim` names; no connection
/// is lost but those that they had accepted.
///
/// # Panics
/// If others are, or requests come to any other end.
pub async fn kills_lose_only_what_is_in_service(
    fleet: &Fleet,
    plan: Plan,
    victim: impl Fn(u64) -> u32,
) {
    let status = fleet.status().await;
    let app = &status.apps[0];
    // As long as it takes: on a busy machine that is more than a minute.
    let plan = plan.duration(Plan::MAX_DURATION);
    let load = fleet.load_with(plan).await;
    let mut in_hands = 0;
    for kill in 0..KILLS {
        fleet.until_ready(app.instances as usize).await;
        let worker = fleet.worker(&app.name, victim(kill)).await;
        let pid = worker.pid.expect("a living worker");
        stand_still(pid).await;
        in_hands += in_service(pid);
        send(pid, Signal::KILL);
        let gone = |status: &StatusReport| status.workers.iter().all(|it| it.id != worker.id);
        fleet.until("it to be gone", gone).await;
        load.answers(20, PATIENCE).await.expect("answers");
    }
    let tally = load.stop().await;
    let others = tally.refused + tally.timed_out + tally.wrong;
    assert_eq!((others, &tally.fault), (0, &None), "{tally}");
    assert!(tally.reset <= in_hands, "{in_hands} in service: {tally}");
    assert!(tally.answered > 20 * KILLS, "{tally}");
}

/// Kills all of the only app's workers, which have nothing in their hands, and connects while none lives: nobody is refused or
/// reset, all wait in the kernel's queues, and the workers that come answer all. The app's `backoff` is to be two seconds.
///
/// # Panics
/// If anybody is lost, or doesn't wait.
pub async fn while_all_are_dead_clients_wait(fleet: &Fleet, plan: Plan) {
    let workers = fleet.status().await.apps[0].instances as usize;
    for worker in fleet.until_ready(workers).await {
        send(worker.pid.expect("a living worker"), Signal::KILL);
    }
    let dead = |status: &StatusReport| status.workers.iter().all(|it| it.pid.is_none());
    fleet.until("all to be dead", dead).await;
    let plan = plan.connections(CLIENTS).requests(CLIENTS as u64);
    let load = Load::start(plan).expect("a plan that can be run");
    let wait = |status: &StatusReport| {
        let queues = status.apps[0].sockets.iter().filter_map(|it| it.queue);
        dead(status) && queues.map(|it| it.waiting as usize).sum::<usize>() == CLIENTS
    };
    fleet.until("all to wait while nobody lives", wait).await;
    let tally = load.finish().await;
    assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
    assert_eq!(tally.answered, CLIENTS as u64, "{tally}");
    fleet.until_ready(workers).await;
}

/// Has a process stand still: nothing of it runs any more when this returns.
///
/// # Panics
/// If it doesn't live, or goes on.
pub async fn stand_still(pid: u32) {
    send(pid, Signal::STOP);
    let tasks = format!("/proc/{pid}/task");
    eventually("all its threads to stand still", PATIENCE, || {
        let mut threads = fs::read_dir(&tasks).ok()?.flatten();
        let stands = |thread: fs::DirEntry| {
            let status = fs::read_to_string(thread.path().join("status"));
            status.is_ok_and(|status| status.contains("State:\tT"))
        };
        threads.all(stands).then_some(())
    })
    .await;
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a pid"), signal).expect("a living process");
}

/// How many connections of TCP a process has that stands still, and that neither side has ended.
fn in_service(pid: u32) -> u64 {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).expect("a living process");
    let own: BTreeSet<String> = fds
        .flatten()
        .filter_map(|fd| {
            let to = fs::read_link(fd.path()).ok()?;
            let inode = to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let mut seen = BTreeSet::new();
    for _ in 0..READINGS {
        seen.extend(established().into_iter().filter(|it| own.contains(it)));
    }
    seen.len() as u64
}

/// The inodes of all connections.
fn established() -> Vec<String> {
    const ESTABLISHED: &str = "01";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.iter().filter_map(|it| fs::read_to_string(it).ok());
    let mut inodes = Vec::new();
    for table in tables {
        inodes.extend(table.lines().skip(1).filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let state = fields.nth(3)?;
            let inode = fields.nth(5)?;
            (state == ESTABLISHED).then(|| inode.to_owned())
        }));
    }
    inodes
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn what_was_accepted_is_in_service_until_either_side_ends_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        let inode = |it: &TcpStream| rustix::fs::fstat(it).expect("told").st_ino.to_string();
        let client = TcpStream::connect(address).expect("connected");
        let _waits = TcpStream::connect(address).expect("connected");
        let (accepted, _) = listener.accept().expect("accepted");
        let before = in_service(std::process::id());
        assert!(established().contains(&inode(&accepted)));
        // Both ends of the one, and the client's of the one that waits; other tests may have more.
        assert!(before >= 3, "{before}");
        drop(client);
        let inode = inode(&accepted);
        let ended = || (!established().contains(&inode)).then_some(());
        eventually("it to be ended", PATIENCE, ended).await;
    }
}
