//! Fleets of four that serve HTTP, each updated the way its users do it.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread::park_timeout,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Absent, rival::end};
use crate::{bench::system::found, harness::PrivateDir, load::Plan};

const WORKERS: u32 = 4;

/// How long a fleet may take until it answers, or is updated.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often that is looked at: not all of them say.
const LOOK: Duration = Duration::from_millis(10);

const GUNICORN: &str = "
import os
def app(environ, start):
    body = str(os.getpid()).encode()
    start('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

const NODE: &str = "
const server = require('http').createServer((_, answer) => answer.end(String(process.pid)));
process.on('SIGINT', () => server.close(() => process.exit(0)));
server.listen(Number(process.env.PORT), '127.0.0.1');
";

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This build's master, and its worker that uses the SDK: the programs' paths, and `min_healthy`.
    Ostler(&'static str, &'static str, &'static str),
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
    /// Where it serves.
    pub address: SocketAddr,
    dir: PrivateDir,
}

impl Fleet {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// If it isn't installed, or doesn't answer.
    pub fn start(kind: Kind) -> Result<Self, Absent> {
        let dir = PrivateDir::new();
        // Free a moment ago: nobody else on this machine is asked for ports meanwhile.
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| e.to_string())?;
        let mut command = command(kind, &dir, address.port())?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let child = command.spawn().map_err(|e| format!("{kind:?}: {e}"))?;
        let mut fleet = Self {
            kind,
            child,
            address,
            dir,
        };
        fleet.wait(|fleet| Ok(fleet.workers()?.len() == WORKERS as usize && fleet.answers()))?;
        Ok(fleet)
    }

    /// A plan of load on it.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::to(self.address)
    }

    /// Updates all workers; gives how long that took, until only new ones are left.
    ///
    /// # Errors
    /// If that fails.
    pub fn update(&mut self) -> Result<Duration, String> {
        let old = self.workers()?;
        let began = Instant::now();
        match self.kind {
            Kind::Ostler(program, ..) => {
                let mut command = Command::new(program);
                command
                    .arg("reload")
                    .env("OSTLER_HOME", self.dir.at("home"));
                succeed(command)?;
            }
            Kind::Pm2 => {
                let mut command = Command::new(found("pm2")?);
                command
                    .args(["reload", "all"])
                    .env("PM2_HOME", self.dir.at("pm2"));
                succeed(command)?;
            }
            Kind::Gunicorn | Kind::Nginx => {
                let pid = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process id")?;
                kill_process(pid, Signal::HUP).map_err(|e| e.to_string())?;
            }
        }
        self.wait(|fleet| {
            let now = fleet.workers()?;
            Ok(now.len() == WORKERS as usize && now.iter().all(|pid| !old.contains(pid)))
        })?;
        Ok(began.elapsed())
    }

    fn wait(&mut self, is_so: impl Fn(&Self) -> Result<bool, String>) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while !is_so(self)? {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{:?} has ended: {status}", self.kind));
            }
            if Instant::now() > until {
                return Err(format!("{:?} was not done in {PATIENCE:?}", self.kind));
            }
            park_timeout(LOOK);
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        std::net::TcpStream::connect(self.address).is_ok()
    }

    /// Its workers: children of the supervisor, or of PM2's own, without Ostler's shim.
    fn workers(&self) -> Result<Vec<u32>, String> {
        let children = children(self.child.id())?;
        let named = |pid: &u32, name: &str| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(name)
        };
        Ok(match self.kind {
            Kind::Ostler(..) => {
                let workers = children.into_iter();
                workers.filter(|pid| !named(pid, "__exec")).collect()
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

fn succeed(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}: {why}", output.status))
}

fn command(kind: Kind, dir: &PrivateDir, port: u16) -> Result<Command, Absent> {
    match kind {
        Kind::Ostler(program, worker, min_healthy) => {
            let file = format!(
                "name = \"bench\"\n[app.web]\ncommand = [{worker:?}, \"serve\"]\ninstances = {WORKERS}\nready = \"sdk\"\n\
                 min_healthy = {min_healthy:?}\nlisten = {{ http = \"127.0.0.1:{port}\" }}\n"
            );
            let mut command = Command::new(program);
            command
                .arg("run")
                .arg(dir.write("ostler.toml", &file))
                .env("OSTLER_HOME", dir.at("home"));
            Ok(command)
        }
        Kind::Gunicorn => {
            dir.write("service.py", GUNICORN);
            let mut command = Command::new(found("gunicorn")?);
            command
                .args(["--workers", &WORKERS.to_string()])
                .args(["--bind", &format!("127.0.0.1:{port}"), "service:app"])
                .current_dir(dir.path());
            Ok(command)
        }
        Kind::Nginx => {
            let home = dir.path().display();
            let file = format!(
                "daemon off;\npid {home}/pid;\nerror_log /dev/null;\nworker_processes {WORKERS};\nevents {{}}\n\
                 http {{\n access_log off;\n client_body_temp_path {home}/body;\n proxy_temp_path {home}/proxy;\n\
                  fastcgi_temp_path {home}/fastcgi;\n uwsgi_temp_path {home}/uwsgi;\n scgi_temp_path {home}/scgi;\n\
                  server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"$pid\"; }} }}\n}}\n"
            );
            let mut command = Command::new(found("nginx")?);
            command.arg("-c").arg(dir.write("nginx.conf", &file));
            Ok(command)
        }
        Kind::Pm2 => {
            found("node")?;
            let script = dir.write("server.js", NODE);
            let app = json!({
                "name": "web", "script": script, "exec_mode": "cluster", "instances": WORKERS,
                "env": { "PORT": port.to_string() },
            });
            let file = dir.write("pm2.json", &json!({ "apps": [app] }).to_string());
            let mut command = Command::new(found("pm2-runtime")?);
            command
                .arg("start")
                .arg(file)
                .env("PM2_HOME", dir.at("pm2"));
            Ok(command)
        }
    }
}

/// nginx started with so many workers: the time from its own start until all of them are there.
///
/// # Errors
/// If it isn't installed, or doesn't start.
pub fn nginx_start(workers: usize) -> Result<Duration, Absent> {
    let dir = PrivateDir::new();
    let home = dir.path().display();
    let file = format!(
        "daemon off;\npid {home}/pid;\nerror_log /dev/null;\nworker_processes {workers};\nevents {{}}\n"
    );
    let file = dir.write("nginx.conf", &file);
    let mut command = Command::new(found("nginx")?);
    command
        .arg("-c")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let began = Instant::now();
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let there = loop {
        let count = children(child.id()).map(|children| children.len());
        let took = began.elapsed();
        match count {
            Ok(count) if count >= workers => break Ok(took),
            Ok(_) if took < PATIENCE => std::thread::yield_now(),
            Ok(count) => break Err(format!("nginx started {count} workers of {workers}")),
            Err(why) => break Err(why),
        }
    };
    end(&mut child);
    there
}
