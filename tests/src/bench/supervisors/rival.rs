//! A supervisor, ours or another, that keeps a number of the same workers running.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::json;

use super::{Absent, births::Births};
use crate::{
    bench::{fleet::Process, system::found},
    harness::PrivateDir,
};

/// How long a supervisor may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a supervisor may take to go.
const FAREWELL: Duration = Duration::from_secs(5);

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This build's master; its program's path is given.
    Ostler(&'static str),
    /// PM2, in fork mode, as `pm2-runtime`.
    Pm2,
    /// supervisord.
    Supervisord,
}

/// A running supervisor and its workers. Ended on drop.
#[derive(Debug)]
pub struct Rival {
    child: Child,
    births: Births,
    workers: Vec<u32>,
    next: usize,
    /// From its own start to its last worker's word.
    pub took: Duration,
    _dir: PrivateDir,
}

impl Rival {
    /// Starts it with so many workers, which are `program` (`misbehave`), and waits until all are there. `parallel`: as many
    /// at once as it can.
    ///
    /// # Errors
    /// If it isn't installed, or doesn't start them.
    pub fn start(
        kind: Kind,
        program: &'static str,
        workers: usize,
        parallel: bool,
    ) -> Result<Self, Absent> {
        let dir = PrivateDir::new();
        let births = Births::at(dir.at("births"), program)?;
        let mut command = command(kind, &dir, &births.worker(), workers, parallel)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let began = Instant::now();
        let child = command.spawn().map_err(|e| format!("{kind:?}: {e}"))?;
        let mut rival = Self {
            child,
            births,
            workers: Vec::new(),
            next: 0,
            took: Duration::ZERO,
            _dir: dir,
        };
        for _ in 0..workers {
            let pid = rival.births.next(PATIENCE)?;
            rival.workers.push(pid);
        }
        rival.took = began.elapsed();
        Ok(rival)
    }

    /// The supervisor's process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Kills a worker, each in its turn; gives the time until its successor is there.
    ///
    /// # Errors
    /// If none comes.
    pub fn kill_one(&mut self) -> Result<Duration, String> {
        let which = self.next % self.workers.len();
        self.next += 1;
        let pid = Pid::from_raw(self.workers[which].cast_signed()).ok_or("no process id")?;
        let began = Instant::now();
        kill_process(pid, Signal::KILL).map_err(|e| e.to_string())?;
        self.workers[which] = self.births.next(PATIENCE)?;
        Ok(began.elapsed())
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a process that leads its group: asked first, then killed with whatever it left there.
pub(super) fn end(child: &mut Child) {
    let Some(pid) = Pid::from_raw(child.id().cast_signed()) else {
        return;
    };
    // It may have ended by itself.
    kill_process(pid, Signal::TERM).ok();
    let until = Instant::now() + FAREWELL;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    kill_process_group(pid, Signal::KILL).ok();
    child.kill().ok();
    child.wait().ok();
}

fn command(
    kind: Kind,
    dir: &PrivateDir,
    worker: &[String],
    workers: usize,
    parallel: bool,
) -> Result<Command, Absent> {
    match kind {
        Kind::Ostler(program) => {
            let words = serde_json::to_string(worker).map_err(|e| e.to_string())?;
            let at_once = if parallel { workers } else { 1 };
            // One that dies after `min_uptime` is replaced at once, as one that had long served would be.
            let file = format!(
                "name = \"bench\"\n[app.beat]\ncommand = {words}\ninstances = {workers}\nstart_parallel = {at_once}\n\
                 ready = \"notify\"\nmin_uptime = \"1ms\"\nbackoff = {{ first = \"1ms\" }}\n"
            );
            let mut command = Command::new(program);
            command
                .arg("run")
                .arg(dir.write("ostler.toml", &file))
                .env("OSTLER_HOME", dir.at("home"));
            Ok(command)
        }
        Kind::Pm2 => {
            let app = json!({
                "name": "beat", "script": worker[0], "args": worker[1..], "interpreter": "none",
                "exec_mode": "fork", "instances": workers, "max_restarts": 1_000_000, "min_uptime": 100,
            });
            let file = dir.write("pm2.json", &json!({ "apps": [app] }).to_string());
            let mut command = Command::new(found("pm2-runtime")?);
            command
                .arg("start")
                .arg(file)
                .env("PM2_HOME", dir.at("pm2"));
            Ok(command)
        }
        Kind::Supervisord => {
            let file = format!(
                "[supervisord]\nnodaemon = true\nlogfile = /dev/null\nlogfile_maxbytes = 0\npidfile = {}\n\
                 [program:beat]\ncommand = {}\nnumprocs = {workers}\nprocess_name = %(process_num)d\nautorestart = true\n\
                 startsecs = 0\nstartretries = 1000000\n",
                dir.at("pid").display(),
                worker.join(" "),
            );
            let mut command = Command::new(found("supervisord")?);
            command.arg("-c").arg(dir.write("supervisord.conf", &file));
            Ok(command)
        }
    }
}
