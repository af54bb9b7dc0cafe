//! What was said about an app, and what holds where nothing was said.
//!
//! A file's `[defaults]`, each of its apps, and the flags of `ostler run` all fill one of these; [`Settings::or`] lays
//! them over each other and [`Settings::define`] is the only place that knows a default.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    app::{
        AppDefinition, AppName, Backoff, Readiness, Rung, SocketDeclaration, Watch,
        life::LifeSettings, recycle::RecycleSettings,
    },
    bus_rights::BusRights,
    errors::Wrong,
};

/// The most workers an app may have: beyond it a typing error is likelier than a wish.
pub const MOST_INSTANCES: u32 = 4096;

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// This many; 0 is a parked app.
    Exactly(u32),
    /// One per core that the master may use.
    Auto,
}

impl std::str::FromStr for Instances {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text.trim() {
            "auto" | "max" => Ok(Self::Auto),
            number => match number.parse() {
                Ok(count) if count <= MOST_INSTANCES => Ok(Self::Exactly(count)),
                _ => Err(Wrong::new(
                    format!("{text:?} is not a number of workers"),
                    format!(
                        "use a number from 0 to {MOST_INSTANCES}, or \"auto\" for one per core"
                    ),
                )),
            },
        }
    }
}

/// What was said about an app; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "each is the field of AppDefinition of the same name"
)]
pub struct Settings {
    pub command: Option<Vec<String>>,
    pub cwd: Option<PathBuf>,
    pub env: BTreeMap<String, String>,
    pub instances: Option<Instances>,
    pub listen: Option<Vec<SocketDeclaration>>,
    pub ready: Option<Readiness>,
    pub start_timeout: Option<Duration>,
    pub min_healthy: Option<Duration>,
    pub canary_healthy: Option<Duration>,
    pub min_uptime: Option<Duration>,
    pub max_draining: Option<u32>,
    pub kill_ladder: Option<Vec<Rung>>,
    pub backoff: Option<Backoff>,
    pub max_restarts: Option<u32>,
    pub restart_window: Option<Duration>,
    pub stop_exit_codes: Option<Vec<i32>>,
    pub listen_pid: Option<bool>,
    pub auto_reload: Option<Reload>,
    pub life: LifeSettings,
    pub recycle: RecycleSettings,
    pub bus: BusRights,
}

/// Whether to watch files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Off, even where the defaults say on.
    Off,
    /// On.
    On(Watch),
}

impl Settings {
    /// These, and `base` where they say nothing. Environments are merged, variable by variable; rights, action by action.
    #[must_use]
    pub fn or(self, base: &Self) -> Self {
        let base = base.clone();
        let mut env = base.env;
        env.extend(self.env);
        Self {
            command: self.command.or(base.command),
            cwd: self.cwd.or(base.cwd),
            env,
            instances: self.instances.or(base.instances),
            listen: self.listen.or(base.listen),
            ready: self.ready.or(base.ready),
            start_timeout: self.start_timeout.or(base.start_timeout),
            min_healthy: self.min_healthy.or(base.min_healthy),
            canary_healthy: self.canary_healthy.or(base.canary_healthy),
            min_uptime: self.min_uptime.or(base.min_uptime),
            max_draining: self.max_draining.or(base.max_draining),
            kill_ladder: self.kill_ladder.or(base.kill_ladder),
            backoff: self.backoff.or(base.backoff),
            max_restarts: self.max_restarts.or(base.max_restarts),
            restart_window: self.restart_window.or(base.restart_window),
            stop_exit_codes: self.stop_exit_codes.or(base.stop_exit_codes),
            listen_pid: self.listen_pid.or(base.listen_pid),
            auto_reload: self.auto_reload.or(base.auto_reload),
            life: self.life.or(base.life),
            recycle: self.recycle.or(base.recycle),
            bus: over(self.bus, base.bus),
        }
    }

    /// The definition, with defaults. `cores` is what `instances = "auto"` means.
    #[must_use]
    pub fn define(self, name: AppName, command: Vec<String>, cores: u32) -> AppDefinition {
        let instances = match self.instances.unwrap_or(Instances::Auto) {
            Instances::Exactly(count) => count,
            Instances::Auto => cores.clamp(1, MOST_INSTANCES),
        };
        AppDefinition {
            name,
            command,
            cwd: self.cwd,
            env: self.env,
            instances,
            listen: self.listen.unwrap_or_default(),
            ready: self.ready.unwrap_or(Readiness::Auto),
            start_timeout: self.start_timeout.unwrap_or(Duration::from_secs(30)),
            min_healthy: self.min_healthy,
            canary_healthy: self.canary_healthy,
            min_uptime: self.min_uptime.unwrap_or(Duration::from_secs(5)),
            max_draining: self.max_draining,
            kill_ladder: self.kill_ladder.unwrap_or_else(default_ladder),
            backoff: self.backoff.unwrap_or_else(default_backoff),
            max_restarts: self.max_restarts.unwrap_or(16),
            restart_window: self.restart_window.unwrap_or(Duration::from_secs(600)),
            stop_exit_codes: self.stop_exit_codes.unwrap_or_default(),
            listen_pid: self.listen_pid.unwrap_or(true),
            auto_reload: match self.auto_reload {
                Some(Reload::On(watch)) => Some(watch),
                Some(Reload::Off) | None => None,
            },
            life: self.life.define(),
            recycle: self.recycle.define(),
            bus: self.bus,
        }
    }
}

/// Action by action: what an app says of one stands instead of what the defaults say of it.
fn over(mut rights: BusRights, base: BusRights) -> BusRights {
    for (action, said) in base {
        if rights.iter().all(|(known, _)| *known != action) {
            rights.push((action, said));
        }
    }
    rights
}

/// `["TERM:30s", "KILL"]`.
#[must_use]
pub fn default_ladder() -> Vec<Rung> {
    vec![
        Rung {
            signal: libc::SIGTERM,
            wait: Some(Duration::from_secs(30)),
        },
        Rung {
            signal: libc::SIGKILL,
            wait: None,
        },
    ]
}

/// `{ first = "100ms", max = "30s", factor = 1.5 }`.
#[must_use]
pub fn default_backoff() -> Backoff {
    Backoff {
        first: Duration::from_millis(100),
        max: Duration::from_secs(30),
        factor: 1.5,
    }
}
