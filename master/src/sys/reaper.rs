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
    let children = children(std::process::id())?.into_iter();
    Ok(children.filter(|pid| !ours(*pid) && reap_one(*pid)).count())
}

/// The children of a process, those that have ended and are not reaped among them.
///
/// # Errors
/// If there is no such process.
pub fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(children) = std::fs::read_to_string(task?.path().join("children")) else {
            continue; // the thread has ended meanwhile
        };
        let pids = children.split_ascii_whitespace();
        found.extend(pids.filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}

fn reap_one(pid: u32) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    Pid::from_raw(pid.cast_signed())
        .and_then(|pid| rustix::process::waitid(WaitId::Pid(pid), options).ok())
        .flatten()
        .is_some()
}
