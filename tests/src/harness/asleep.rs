//! That a thread of a master sleeps while it has nothing to do.

use std::{fs, time::Duration};

/// How long nothing may wake it.
const A_WHILE: Duration = Duration::from_secs(1);

/// What was begun before may still end in so many whiles.
const WHILES: usize = 6;

/// Waits until nothing wakes a thread for a second.
///
/// # Panics
/// If something does for six seconds, or if there is no such thread.
pub async fn falls_asleep(process: u32, thread: &str) {
    let mut seen = Vec::new();
    for _ in 0..WHILES {
        let before = wake_ups(process, thread);
        tokio::time::sleep(A_WHILE).await;
        let after = wake_ups(process, thread);
        if before == after {
            return;
        }
        seen.push(after - before);
    }
    panic!("the thread {thread:?} is woken again and again: {seen:?}");
}

/// How often it has begun to wait.
fn wake_ups(process: u32, thread: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a living process");
    let read = |task: &fs::DirEntry, what| fs::read_to_string(task.path().join(what));
    let mut tasks = tasks.flatten();
    let task = tasks.find(|task| read(task, "comm").is_ok_and(|name| name.trim() == thread));
    let status = read(&task.expect("its thread"), "status").expect("its status");
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.expect("a count").trim().parse().expect("a number")
}
