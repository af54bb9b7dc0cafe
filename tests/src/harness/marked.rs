//! Finds the processes of one test, however far down they were started.
//!
//! Workers lead process groups of their own and outlive a killed master by design, so killing the master's group is
//! not enough. A variable that nobody removes ([`Mark::VARIABLE`]) is in the environment of all that a test starts.

use std::{fs, path::Path};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The mark of one test.
#[derive(Clone, Debug)]
pub struct Mark {
    entry: String,
}

impl Mark {
    /// The variable that carries it.
    pub const VARIABLE: &'static str = "HARNESS_MARK";

    /// The mark of the test that owns `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            entry: format!("{}={}", Self::VARIABLE, dir.display()),
        }
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.entry[Self::VARIABLE.len() + 1..]
    }

    /// The living processes that carry it.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
        pids.filter(|&pid| pid != std::process::id() && self.is_on(pid))
            .collect()
    }

    fn is_on(&self, pid: u32) -> bool {
        // Zombies have no environment left, and are no concern.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|b| *b == 0)
            .any(|entry| entry == self.entry.as_bytes())
    }

    /// Kills all that carry it, again and again until none is left (each may start others meanwhile), 100 times at most.
    pub fn kill_all(&self) {
        for _ in 0..100 {
            let found = self.processes();
            if found.is_empty() {
                return;
            }
            for pid in found {
                self.kill(pid);
            }
        }
    }

    fn kill(&self, number: u32) {
        let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) else {
            return;
        };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        // The number may be a stranger's by now, the descriptor can't become one.
        if self.is_on(number) && pidfd_send_signal(&pidfd, Signal::KILL).is_ok() {
            super::process::gone(&pidfd, std::time::Duration::from_secs(1));
        }
    }
}
