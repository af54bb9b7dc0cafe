//! The verbs for a fleet as operators use them: restarting, stopping single workers, deleting, letting go, signalling; a
//! master in the background; and one that ends when its work is done.

mod background;
mod done;
mod signalling;
mod together;
mod verbs;
mod words;

use std::path::Path;

use ostler_tests::harness::{App, Fleet, PATIENCE, Programs, eventually};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A worker that does nothing, and goes when it is told to.
fn idle(name: &str) -> App {
    App::new(name, ["sleep", "600"]).set("ready", "delay(0s)")
}

/// A fleet of these apps, once so many workers are ready.
async fn fleet(apps: &[App], workers: usize) -> Fleet {
    Fleet::ready(PROGRAMS.master().apps(apps), workers).await
}

/// The processes of an app's current workers, by slot.
async fn pids(fleet: &Fleet, app: &str) -> Vec<u32> {
    let workers = fleet.status().await.workers;
    let of = workers.iter().filter(|worker| worker.app == app);
    of.filter_map(|worker| worker.pid).collect()
}

/// Whether a process lives: one that has ended and was not reaped doesn't.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
        !matches!(state, Some(b'Z' | b'X'))
    })
}

/// Waits for a file to hold so many lines; what they are.
async fn lines_of(path: &Path, count: usize) -> Vec<String> {
    eventually("lines in a file", PATIENCE, || {
        let text = std::fs::read_to_string(path).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}
