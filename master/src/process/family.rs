//! The processes that descend from one, as `/proc` tells it.
//!
//! A number can be another process's by the time a signal is sent: so a member is opened first, and then asked again whose
//! child it is.

use std::{collections::BTreeMap, io, os::fd::AsFd};

use crate::sys;

/// The most processes that are looked for below one.
const MOST: usize = 10_000;

/// A process with its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub pid: u32,
    parent: u32,
}

impl Member {
    /// Sends it a signal, by number; false if it has gone meanwhile.
    ///
    /// # Errors
    /// `EPERM`, `EINVAL` for a number that is no signal.
    pub fn signal(&self, signal: i32) -> io::Result<bool> {
        let Ok(process) = sys::pidfd_open(self.pid) else {
            return Ok(false);
        };
        // From here on the number can't become another process's.
        if parent_of(self.pid) != Some(self.parent) {
            return Ok(false);
        }
        match sys::send_signal(process.as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            sent => sent.map(|()| true),
        }
    }
}

/// The direct children of a process.
#[must_use]
pub fn children(of: u32) -> Vec<Member> {
    let mut all = processes();
    all.retain(|member| member.parent == of);
    all
}

/// All that descend from a process: parents before their children.
#[must_use]
pub fn descendants(of: u32) -> Vec<Member> {
    let mut by_parent: BTreeMap<u32, Vec<Member>> = BTreeMap::new();
    for member in processes() {
        by_parent.entry(member.parent).or_default().push(member);
    }
    let mut found = by_parent.remove(&of).unwrap_or_default();
    let mut next = 0;
    while let Some(member) = found.get(next).copied() {
        next += 1;
        if found.len() < MOST {
            found.extend(by_parent.remove(&member.pid).unwrap_or_default());
        }
    }
    found
}

fn processes() -> Vec<Member> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| {
        let parent = parent_of(pid)?;
        Some(Member { pid, parent })
    })
    .collect()
}

/// `pid (name) state ppid …`: the name may hold anything, parentheses among it.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, after) = stat.rsplit_once(") ")?;
    after.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn the_children_of_a_process_and_theirs() {
        // A shell, that has a child, that has one; the innermost says when all are there.
        let script = "sh -c 'sh -c \"echo there; read _\"; true'; true";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let out = shell.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line, "there\n");
        let (near, all) = (children(shell.id()), descendants(shell.id()));
        assert_eq!(near.len(), 1, "{near:?}");
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[0], near[0], "parents come first");
        assert_eq!(all[1].parent, near[0].pid);
        let stranger = Member {
            pid: all[1].pid,
            parent: 1 << 30,
        };
        assert!(
            !stranger.signal(libc::SIGKILL).expect("not sent"),
            "not its child"
        );
        assert!(all[1].signal(libc::SIGTERM).expect("sent"));
        shell.wait().expect("ended");
        assert!(
            !all[1].signal(libc::SIGTERM).expect("not sent"),
            "it has gone"
        );
        assert_eq!(descendants(shell.id()), []);
    }
}
