//! What PID 1 owes its children: orphans become ours, and somebody must reap them.

use std::io;

use rustix::process::{Pid, WaitId, WaitIdOptions};

/// Makes orphaned descendants this process's children, wherever it stands in the process tree.
///
/// # Errors
/// If the kernel refuses.
pub fn adopt_orphans() -> io::Result<()> {
    // Any pid switches it on; the kernel takes a flag.
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

/// Reaps children that have ended and are not `ours` (those are reaped by whoever watches them). Returns how many.
/// Call it on SIGCHLD, if this is PID 1 or adopts orphans.
///
/// # Errors
/// If `/proc` can't be read.
pub fn reap_children(ours: impl Fn(u32) -> bool) -> io::Result<usize> {
    let mut reaped = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let Ok(children) = std::fs::read_to_string(task?.path().join("children")) else {
            continue; // the thread has ended meanwhile
        };
        for pid in children.split_ascii_whitespace() {
            let Ok(pid) = pid.parse::<i32>() else {
                continue;
            };
            if !ours(pid.unsigned_abs()) && reap_one(pid) {
                reaped += 1;
            }
        }
    }
    Ok(reaped)
}

fn reap_one(pid: i32) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    Pid::from_raw(pid)
        .and_then(|pid| rustix::process::waitid(WaitId::Pid(pid), options).ok())
        .flatten()
        .is_some()
}
