//! What an app is: everything the fleet needs to know to keep its workers running. Parsed once, at the edge.

mod differences;
mod inheritance;
mod socket_mode;
mod start_order;

pub use inheritance::Inheritance;
pub use socket_mode::{ProxyHeader, SocketMode};
pub use start_order::StartOrder;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

pub mod given;
pub mod hooks;
pub mod life;
pub mod log;
pub mod overlay;
pub mod places;
pub mod probe;
pub mod process;
pub mod recycle;
pub mod schedule;
pub mod socket;
pub mod stop;
pub mod update;

use self::{
    given::Given,
    hooks::Hooks,
    life::Life,
    log::LogSettings,
    overlay::Overlay,
    places::Places,
    probe::Probe,
    process::ProcessAttributes,
    recycle::Recycle,
    socket::{SocketOptions, StarterSocket},
    stop::Stop,
    update::UpdateRules,
};
use super::bus_rights::BusRights;

/// An app's definition. One is kept per generation: a crash respawn uses its own generation's.
#[derive(Clone, Debug, PartialEq)]
pub struct AppDefinition {
    /// Its name: one topic token.
    pub name: AppName,
    /// Program and arguments. The program is looked up in `PATH` anew for each generation.
    pub command: Vec<String>,
    /// Working directory; `None` is the master's at its start.
    pub cwd: Option<PathBuf>,
    /// Variables added to what workers inherit from the master's own environment.
    pub env: BTreeMap<String, String>,
    /// Which of the master's own variables its workers see.
    pub inherits: Inheritance,
    /// What it belongs to: commands take it for all of its apps. Default none.
    pub namespace: Option<AppName>,
    /// How many workers; 0 is a parked app.
    pub instances: u32,
    /// When it starts.
    pub start: StartOrder,
    /// Sockets, in the order in which workers inherit them from descriptor 3.
    pub listen: Vec<SocketDeclaration>,
    /// How a worker is found ready.
    pub ready: Readiness,
    /// A worker not ready after this long has failed to start. Default 30 s.
    pub start_timeout: Duration,
    /// How long a new worker must stay up before its predecessor drains; `None`: 1 s, or 5 s if its readiness is assumed.
    pub min_healthy: Option<Duration>,
    /// The same for the first new worker of an update; `None`: twice `min_healthy`.
    pub canary_healthy: Option<Duration>,
    /// A worker up this long has not crashed early. Default 5 s.
    pub min_uptime: Duration,
    /// How many workers may drain at once; `None`: max(2, 25 %).
    pub max_draining: Option<u32>,
    /// What a worker that must go is told, and for how long each time. Default `TERM:30s`, `KILL`.
    pub kill_ladder: Vec<Rung>,
    /// How long to wait before a crashed slot is tried again.
    pub backoff: Backoff,
    /// After this many failed starts or early crashes within `restart_window` a slot is failed. Default 16.
    pub max_restarts: u32,
    /// Default 10 min.
    pub restart_window: Duration,
    /// Exit codes that end a worker for good.
    pub stop_exit_codes: Vec<i32>,
    /// Set `LISTEN_PID` (wrappers change pids: then leave it out). Default true.
    pub listen_pid: bool,
    /// Watch these and roll when they change; `None` is off.
    pub auto_reload: Option<Watch>,
    /// How its workers are looked after while they run.
    pub life: Life,
    /// When they are replaced although they serve.
    pub recycle: Recycle,
    /// How they are told to go, besides `kill_ladder`.
    pub stop: Stop,
    /// What is run beside them.
    pub hooks: Hooks,
    /// How they are replaced.
    pub update: UpdateRules,
    /// What its workers may do on the bus, beyond what the fleet's own rules say. Default: nothing is said.
    pub bus: BusRights,
    /// As whom its workers run, and how much of the machine they may use. Default: as the master does.
    pub process: ProcessAttributes,
    /// What its workers find open besides sockets.
    pub given: Given,
    /// Where its workers' lines go.
    pub log: LogSettings,
    /// What the reload that made this generation brought. No process file says it.
    pub overlay: Overlay,
    /// Where it was said.
    pub places: Places,
}

impl AppDefinition {
    /// Where its program is looked up: its own `PATH`, or the one that it inherits.
    #[must_use]
    pub fn search_path(&self) -> Option<OsString> {
        let own = self.overlay.extra.get("PATH").or(self.env.get("PATH"));
        let inherits = self.inherits.passes("PATH".as_ref());
        let inherited = || match &self.overlay.inherited {
            Some(variables) => variables.get("PATH").map(Into::into),
            None => std::env::var_os("PATH"),
        };
        own.map(Into::into)
            .or_else(|| inherited().filter(|_| inherits))
    }
}

/// An app's name: one topic token (`[A-Za-z0-9_-]`, 1 to 64 bytes).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppName(std::sync::Arc<str>);

impl AppName {
    /// Checks a name.
    ///
    /// # Errors
    /// If it is not one topic token of 1 to 64 bytes.
    pub fn new(name: &str) -> Result<Self, String> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
            return Err(format!(
                "{name:?} is not an app name: use 1 to 64 of A-Z a-z 0-9 _ -"
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for AppName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A socket that the master binds and workers inherit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketDeclaration {
    /// Its name (`LISTEN_FDNAMES`): one topic token.
    pub name: String,
    /// Where.
    pub address: SocketAddress,
    /// Pending connections kept by the kernel. Default 1024.
    pub backlog: u32,
    /// O_NONBLOCK on the shared description. Default false.
    pub nonblocking: bool,
    /// What else was said of it.
    pub options: SocketOptions,
}

/// Where a socket is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SocketAddress {
    /// TCP; port 0 is any free one.
    Tcp(std::net::SocketAddr),
    /// UDP; port 0 is any free one.
    Udp(std::net::SocketAddr),
    /// A Unix socket at a path.
    Unix(PathBuf),
    /// Bound by the master's own starter.
    Starter(StarterSocket),
}

/// How a worker is found ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// By its explicit word once it has connected to the bus or sent a notification; else assumed after 1 s alive.
    Auto,
    /// By `READY=1` on `NOTIFY_SOCKET`.
    Notify,
    /// By the SDK.
    Sdk,
    /// When it has been alive this long.
    Delay(Duration),
    /// When it answers, asked from outside.
    Probe(Probe),
}

/// One rung of the kill ladder: a signal, and how long to wait for it to work. The last rung has no wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Signal number.
    pub signal: i32,
    /// How long until the next rung; `None` on the last.
    pub wait: Option<Duration>,
}

/// Exponential back-off with jitter.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// The first delay. Default 100 ms.
    pub first: Duration,
    /// The longest delay. Default 30 s.
    pub max: Duration,
    /// Each delay is this many times the one before. Default 1.5.
    pub factor: f64,
}

/// What `--auto-reload` watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Files and directories; empty: the working directory.
    pub paths: Vec<PathBuf>,
    /// gitignore patterns left out besides `.gitignore`, `.git`, `node_modules` and editors' droppings.
    pub ignore: Vec<String>,
    /// gitignore patterns of what counts alone, in these directories; empty: everything.
    pub include: Vec<String>,
    /// Look so often, instead of being told by the kernel: for file systems that others write to. Default: be told.
    pub poll: Option<Duration>,
}
