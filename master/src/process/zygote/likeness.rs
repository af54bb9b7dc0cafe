//! What a process takes over from its parent when it begins, and others may change afterwards: `prlimit`, `taskset`, `renice`,
//! `chrt`, `ionice`, `choom`, a control group to which the master is moved.

use std::{
    fs::File,
    io::{self, Read as _},
};

use rustix::{process::Pid, thread::CpuSet};

use crate::sys::{self, Scheduling};

/// Each of these tells one of them.
const FILES: [&str; 4] = ["limits", "oom_score_adj", "coredump_filter", "cgroup"];

/// The longest of them has some 1,400 bytes; a control group's path may be long.
const FILE_BYTES: usize = 4096;

/// All of it, of one process. What can't be read is `None`.
#[derive(Debug)]
pub(super) struct Likeness {
    files: [Option<String>; FILES.len()],
    cores: Option<CpuSet>,
    scheduling: Option<Scheduling>,
    io_priority: Option<libc::c_long>,
}

impl Likeness {
    pub(super) fn of(pid: Pid) -> Self {
        let directory = format!("/proc/{pid}");
        Self {
            files: FILES.map(|name| text(&format!("{directory}/{name}")).ok()),
            cores: rustix::thread::sched_getaffinity(Some(pid)).ok(),
            scheduling: sys::scheduling(pid).ok(),
            io_priority: sys::io_priority(pid).ok(),
        }
    }

    /// Whether nothing is known to differ.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let mut files = self.files.iter().zip(&other.files);
        files.all(|(own, others)| agree(own.as_ref(), others.as_ref()))
            && agree(self.cores.as_ref(), other.cores.as_ref())
            && agree(self.scheduling, other.scheduling)
            && agree(self.io_priority, other.io_priority)
    }
}

/// Read at once: such a file tells no size, and would else be read by a few bytes more each time.
fn text(path: &str) -> io::Result<String> {
    let mut text = String::with_capacity(FILE_BYTES);
    let length = u64::try_from(FILE_BYTES).unwrap_or(u64::MAX);
    File::open(path)?.take(length).read_to_string(&mut text)?;
    Ok(text)
}

fn agree<T: PartialEq>(own: Option<T>, other: Option<T>) -> bool {
    own.zip(other).is_none_or(|(own, other)| own == other)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A process that begins with this and then waits.
    fn after(command: &str) -> (std::process::Child, Likeness) {
        let script = format!("{command}; echo; exec sleep 60");
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let stdout = child.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(stdout, &mut [0]).expect("it has begun");
        let likeness = Likeness::of(Pid::from_child(&child));
        (child, likeness)
    }

    #[test]
    fn children_are_like_their_parent_until_something_changes() {
        let own = Likeness::of(rustix::process::getpid());
        for (command, alike) in [
            (":", true),
            ("ulimit -n 77", false),
            ("renice -n 3 -p $$ >/dev/null 2>&1", false),
            ("echo 500 > /proc/$$/oom_score_adj", false),
            ("echo 0x7 > /proc/$$/coredump_filter", false),
            ("chrt --batch -p 0 $$ >/dev/null 2>&1", false),
            ("ionice -c 3 -p $$ >/dev/null 2>&1", false),
            (
                "taskset -p 1 $$ >/dev/null 2>&1",
                rustix::thread::sched_getaffinity(None).is_ok_and(|set| set.count() == 1),
            ),
        ] {
            let (mut child, likeness) = after(command);
            child.kill().and_then(|()| child.wait()).expect("ended");
            assert_eq!(likeness.is_like(&own), alike, "{command}: {likeness:?}");
        }
    }
}
