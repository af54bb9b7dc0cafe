//! This build's master, with one app whose workers share a socket in one of its modes.

use std::{net::SocketAddr, process::Command};

use ostler_bus::vocab::status::StatusReport;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Absent, cluster, owned::asked};
use crate::{
    bench::{fleet::Process, roles, system::found},
    harness::{App, Fleet, Master, PrivateDir},
};

/// A running master and its workers. Ended on drop.
#[derive(Debug)]
pub struct Ours {
    /// The master, and a connection to its bus.
    pub fleet: Fleet,
    /// Where its workers serve.
    pub address: SocketAddr,
    workers: usize,
    _script: Option<PrivateDir>,
}

/// An app of so many workers of the service, which share a socket in this mode.
///
/// # Errors
/// If the system doesn't say where this program is.
pub fn app(mode: &str, workers: u32) -> Result<App, String> {
    let mut words = roles::command("service")?;
    words.extend(["0".into(), "1".into()]);
    let app = App::new("web", words).set("ready", "sdk");
    Ok(common(app, mode, workers))
}

/// The same of Node's: the directory holds its program.
///
/// # Errors
/// If Node isn't installed.
fn node_app(mode: &str, workers: u32) -> Result<(App, PrivateDir), Absent> {
    let (dir, script) = cluster::script();
    let app = App::new("web", [&*found("node")?, &*script.to_string_lossy()]);
    Ok((common(app, mode, workers), dir))
}

/// Newcomers are not watched once they are ready; one that is killed is replaced at once, as one that had long served would be.
fn common(app: App, mode: &str, workers: u32) -> App {
    let socket = json!({"http": {"address": "127.0.0.1:0", "mode": mode}});
    app.set("listen", socket)
        .instances(workers)
        .set("start_parallel", workers)
        .set("min_uptime", "1ms")
        .set("backoff", json!({"first": "1ms"}))
        .unwatched()
}

impl Ours {
    /// Starts `ostler` with an app, and waits until all its workers take connections.
    ///
    /// # Errors
    /// If its process file is refused, as one with a mode is that this build doesn't have.
    pub fn start(runtime: &Runtime, ostler: &str, app: &App, workers: u32) -> Result<Self, Absent> {
        accepted(ostler, app)?;
        let fleet = runtime.block_on(async {
            let master = Master::builder(ostler).apps(std::slice::from_ref(app));
            Fleet::ready(master, workers as usize).await
        });
        let address = runtime.block_on(fleet.address());
        // Workers join in a hand-over with their first wait for a connection.
        for _ in 0..4 * workers {
            // There are those that crash as planned.
            asked(address).ok();
        }
        let taking = |status: &StatusReport| {
            let socket = &status.apps[0].sockets[0];
            let balance = socket.balance.as_ref();
            balance.is_none_or(|balance| balance.workers.len() == workers as usize)
        };
        runtime.block_on(fleet.until("all workers to take connections", taking));
        Ok(Self {
            fleet,
            address,
            workers: workers as usize,
            _script: None,
        })
    }

    /// The same with Node's program as the app, and these other settings of it.
    ///
    /// # Errors
    /// If Node isn't installed.
    pub fn start_node(
        runtime: &Runtime,
        ostler: &str,
        mode: &str,
        workers: u32,
        set: impl Fn(App) -> App,
    ) -> Result<Self, Absent> {
        let (app, dir) = node_app(mode, workers)?;
        let ours = Self::start(runtime, ostler, &set(app), workers)?;
        let _script = Some(dir);
        Ok(Self { _script, ..ours })
    }

    /// The master's process.
    #[must_use]
    pub fn master(&self) -> Process {
        Process(self.fleet.process.id())
    }

    /// The process ids of its workers that are ready.
    pub fn pids(&self, runtime: &Runtime) -> Vec<u32> {
        let workers = runtime.block_on(self.fleet.until_ready(self.workers));
        workers
            .into_iter()
            .filter_map(|worker| worker.pid)
            .collect()
    }

    /// Waits until all workers are ready, and none of these lives.
    pub fn until_replaced(&self, runtime: &Runtime, gone: &[u32]) {
        let lives = |status: &StatusReport| {
            let mut pids = status.workers.iter().filter_map(|worker| worker.pid);
            pids.any(|pid| gone.contains(&pid))
        };
        runtime.block_on(
            self.fleet
                .until("workers to be gone", |status| !lives(status)),
        );
        runtime.block_on(self.fleet.until_ready(self.workers));
    }

    /// Replaces all workers one by one.
    pub fn update(&self, runtime: &Runtime) {
        runtime.block_on(self.fleet.ostler(["reload"]).success());
    }
}

/// Signals a process of a benchmark's own.
///
/// # Errors
/// If it is gone.
pub fn signal(pid: u32, signal: Signal) -> Result<(), String> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or("no process id")?;
    kill_process(pid, signal).map_err(|e| e.to_string())
}

fn accepted(ostler: &str, app: &App) -> Result<(), Absent> {
    let dir = PrivateDir::new();
    let file = dir.write("ostler.toml", &App::file(std::slice::from_ref(app)));
    let output = Command::new(ostler)
        .arg("validate")
        .arg(file)
        .env("OSTLER_HOME", dir.at("home"))
        .output()
        .map_err(|e| format!("{ostler}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(why.lines().next().unwrap_or("it is refused").to_owned())
}
