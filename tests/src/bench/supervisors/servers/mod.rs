//! Fleets that serve HTTP, each updated the way its users do it.

mod command;

use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread::park_timeout,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Absent, Readiness,
    rival::end,
    site::{self, Version},
};
use crate::{
    bench::{fleet::Process, system::found},
    harness::PrivateDir,
    load::Plan,
};
use command::command;

/// How long a fleet may take until it answers, or is updated.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often that is looked at: not all of them say.
const LOOK: Duration = Duration::from_millis(10);

/// How often a command is looked at.
const BRIEF: Duration = Duration::from_millis(1);

/// The file that says which version of the site is served.
const VERSION: &str = "site.version";

/// Our master's name.
const MASTER: &str = "bench";

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This build's master, with workers that use the SDK.
    Ostler {
        /// The path of its program.
        program: &'static str,
        /// How long an update watches a new worker; `None`: as by default.
        min_healthy: Option<&'static str>,
    },
    /// Gunicorn with its own workers, updated by SIGHUP.
    Gunicorn,
    /// nginx with its own workers, updated by SIGHUP.
    Nginx,
    /// PM2 in cluster mode with Node, updated by `pm2 reload`.
    Pm2,
}

/// A running fleet. Ended on drop.
#[derive(Debug)]
pub struct Fleet {
    kind: Kind,
    child: Child,
    size: usize,
    /// Where it serves.
    pub address: SocketAddr,
    dir: PrivateDir,
}

impl Fleet {
    /// Starts so many workers of the good version and waits until they are there and answer.
    ///
    /// # Errors
    /// If it isn't installed, or doesn't answer.
    pub fn start(kind: Kind, size: usize) -> Result<Self, Absent> {
        let dir = PrivateDir::new();
        dir.write(VERSION, Version::Good.name());
        // Free a moment ago: nobody else on this machine is asked for ports meanwhile.
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| e.to_string())?;
        let mut command = command(kind, &dir, address.port(), size)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let child = command.spawn().map_err(|e| format!("{kind:?}: {e}"))?;
        let mut fleet = Self {
            kind,
            child,
            size,
            address,
            dir,
        };
        fleet.wait(PATIENCE, |fleet| {
            Ok(fleet.workers()?.len() == size && fleet.answers())
        })?;
        Ok(fleet)
    }

    /// A plan of load on it.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::to(self.address)
    }

    /// The supervisor's process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Whether the supervisor still runs.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Who tells how many of our workers are ready; the others don't tell.
    ///
    /// # Errors
    /// If the master can't be reached.
    pub fn readiness(&self) -> Result<Option<Readiness>, String> {
        match self.kind {
            Kind::Ostler { .. } => {
                let socket = self.dir.at("home").join(MASTER).join("bus.sock");
                Readiness::of(&socket, self.size).map(Some)
            }
            Kind::Gunicorn | Kind::Nginx | Kind::Pm2 => Ok(None),
        }
    }

    /// Updates all workers to the good version; gives how long that took, until only new ones are left.
    ///
    /// # Errors
    /// If that fails, or takes longer than `within`.
    pub fn update(&mut self, within: Duration) -> Result<Duration, String> {
        self.dir.write(VERSION, Version::Good.name());
        let old = self.workers()?;
        let began = Instant::now();
        self.ask()?;
        self.wait(within, |fleet| {
            let now = fleet.workers()?;
            Ok(now.len() == fleet.size && now.iter().all(|pid| !old.contains(pid)))
        })?;
        Ok(began.elapsed())
    }

    /// Asks for an update to a bad version, and looks on for `watch` at least; gives how many such workers were born.
    /// That the update fails is as it should be, and not told of by all.
    ///
    /// # Errors
    /// If it can't be asked for.
    pub fn spoil(&self, version: Version, watch: Duration) -> Result<usize, String> {
        let births = site::births(&self.dir.at(VERSION));
        // None yet, if this is the first.
        std::fs::remove_file(&births).ok();
        self.dir.write(VERSION, version.name());
        let until = Instant::now() + watch;
        // Refused, or given up.
        self.ask().ok();
        while Instant::now() < until {
            park_timeout(until - Instant::now());
        }
        let lines = std::fs::read_to_string(births).unwrap_or_default();
        Ok(lines.lines().count())
    }

    /// Asks for an update, and waits until it is done where that is told.
    fn ask(&self) -> Result<(), String> {
        match self.kind {
            Kind::Ostler { program, .. } => {
                let mut command = Command::new(program);
                command
                    .arg("reload")
                    .env("OSTLER_HOME", self.dir.at("home"));
                succeed(command)
            }
            Kind::Pm2 => {
                let mut command = Command::new(found("pm2")?);
                command
                    .args(["reload", "all"])
                    .env("PM2_HOME", self.dir.at("pm2"));
                succeed(command)
            }
            Kind::Gunicorn | Kind::Nginx => {
                let pid = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process id")?;
                kill_process(pid, Signal::HUP).map_err(|e| e.to_string())
            }
        }
    }

    fn wait(
        &mut self,
        within: Duration,
        is_so: impl Fn(&Self) -> Result<bool, String>,
    ) -> Result<(), String> {
        let until = Instant::now() + within;
        loop {
            // Before its children are looked for: they are nobody's when it has ended.
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{:?} has ended: {status}", self.kind));
            }
            if is_so(self)? {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{:?} was not done in {within:?}", self.kind));
            }
            park_timeout(LOOK);
        }
    }

    fn answers(&self) -> bool {
        std::net::TcpStream::connect(self.address).is_ok()
    }

    /// Its workers' process ids: children of the supervisor, or of PM2's own, without Ostler's zygote.
    ///
    /// # Errors
    /// If the supervisor has gone.
    pub fn workers(&self) -> Result<Vec<u32>, String> {
        let children = children(self.child.id())?;
        let named = |pid: &u32, name: &str| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(name)
        };
        Ok(match self.kind {
            Kind::Ostler { .. } => {
                let workers = children.into_iter();
                workers.filter(|pid| !named(pid, "__zygote")).collect()
            }
            // The worker's name is its script's; pm2-runtime is the god itself.
            Kind::Pm2 => {
                let workers = children.into_iter();
                workers.filter(|pid| named(pid, "server.js")).collect()
            }
            Kind::Gunicorn | Kind::Nginx => children,
        })
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The children of a process, of all its threads.
pub fn children(pid: u32) -> Result<Vec<u32>, String> {
    let tasks = format!("/proc/{pid}/task");
    let mut all = Vec::new();
    for task in std::fs::read_dir(&tasks).map_err(|e| format!("{tasks}: {e}"))? {
        let path = task.map_err(|e| e.to_string())?.path().join("children");
        // Threads end meanwhile.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        all.extend(
            text.split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    Ok(all)
}

/// Runs a command, which must succeed in time.
fn succeed(mut command: Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let failed = |why: &dyn std::fmt::Display| format!("{shown}: {why}");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(&e))?;
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| failed(&e))? {
            break status;
        }
        if Instant::now() > until {
            end(&mut child);
            return Err(failed(&format!("not done in {PATIENCE:?}")));
        }
        park_timeout(BRIEF);
    };
    if status.success() {
        return Ok(());
    }
    let mut why = String::new();
    // What it said is told as far as it can be read.
    child.stderr.take().map(|mut e| e.read_to_string(&mut why));
    Err(failed(&format!("{status}: {why}")))
}
