//! Node's cluster module, in either of its modes.

use std::{
    fmt,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    thread::park_timeout,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Absent, owned::asked};
use crate::{
    bench::{roles::Role, supervisors::servers::children, system::found},
    harness::PrivateDir,
};

/// The program that all who run Node run: primary and worker in one.
const SCRIPT: &str = include_str!("service.cjs");

/// How long it may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the module's workers share a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The primary accepts, and hands over in turns: the default.
    RoundRobin,
    /// The workers accept on one shared socket.
    None,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "Node's cluster, SCHED_RR",
            Self::None => "Node's cluster, SCHED_NONE",
        })
    }
}

/// A running primary and its workers. Ended on drop.
#[derive(Debug)]
pub struct Cluster {
    role: Role,
    primary: u32,
    workers: usize,
    /// Where it serves.
    pub address: SocketAddr,
    _dir: PrivateDir,
}

impl Cluster {
    /// Starts so many workers, with these variables, and waits until all are there.
    ///
    /// # Errors
    /// If Node isn't installed, or doesn't answer.
    pub fn start(policy: Policy, workers: usize, variables: &[&str]) -> Result<Self, Absent> {
        let (dir, script) = script();
        let address = free_port()?;
        let policy = match policy {
            Policy::RoundRobin => "rr",
            Policy::None => "none",
        };
        let own = [
            format!("PORT={}", address.port()),
            format!("WORKERS={workers}"),
            format!("NODE_CLUSTER_SCHED_POLICY={policy}"),
        ];
        let node = found("node")?;
        let script = script.to_string_lossy();
        let mut words = vec!["env"];
        words.extend(own.iter().map(String::as_str));
        words.extend(variables);
        words.extend([&*node, &*script]);
        let mut role = Role::start("server", &words)?;
        let primary = role.line()?.parse().map_err(|_| "no process id")?;
        let cluster = Self {
            role,
            primary,
            workers,
            address,
            _dir: dir,
        };
        cluster.until("to answer", |cluster| {
            Ok(cluster.pids()?.len() == workers && asked(address).is_ok())
        })?;
        Ok(cluster)
    }

    /// The workers that live.
    ///
    /// # Errors
    /// If the primary is gone.
    pub fn pids(&self) -> Result<Vec<u32>, String> {
        children(self.primary)
    }

    /// The primary.
    #[must_use]
    pub fn primary(&self) -> u32 {
        self.primary
    }

    /// Waits until all workers live, and these don't.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn until_replaced(&self, gone: &[u32]) -> Result<(), String> {
        self.until("to be replaced", |cluster| {
            let now = cluster.pids()?;
            Ok(now.len() == cluster.workers && now.iter().all(|pid| !gone.contains(pid)))
        })
    }

    /// Replaces all workers one by one: the next one goes when its successor listens.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn update(&self) -> Result<(), String> {
        let old = self.pids()?;
        self.ask_for_update()?;
        self.until_replaced(&old)
    }

    /// The same, and waits for nothing.
    ///
    /// # Errors
    /// If the primary is gone.
    pub fn ask_for_update(&self) -> Result<(), String> {
        let pid = Pid::from_raw(self.primary.cast_signed()).ok_or("no process id")?;
        kill_process(pid, Signal::USR2).map_err(|e| e.to_string())
    }

    fn until(
        &self,
        what: &str,
        is_so: impl Fn(&Self) -> Result<bool, String>,
    ) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while !is_so(self)? {
            if Instant::now() > until {
                let id = self.role.id();
                return Err(format!(
                    "waited {PATIENCE:?} for Node's cluster {what} ({id})"
                ));
            }
            park_timeout(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// The program in a file, which is there as long as its directory is.
pub(super) fn script() -> (PrivateDir, PathBuf) {
    let dir = PrivateDir::new();
    let script = dir.write("service.cjs", SCRIPT);
    (dir, script)
}

/// Free a moment ago: nobody else on this machine is asked for ports meanwhile.
pub(super) fn free_port() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    listener.local_addr().map_err(|e| e.to_string())
}
