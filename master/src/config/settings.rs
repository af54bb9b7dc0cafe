//! What was said about an app, and what holds where nothing was said.
//!
//! A file's `[defaults]`, each of its apps, and the flags of `ostler run` all fill one of these; [`Settings::or`] lays
//! them over each other and [`Settings::define`] is the only place that knows a default.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use glob::Pattern;

use super::{
    app::{
        AppDefinition, AppName, Backoff, Inheritance, Readiness, Rung, SocketDeclaration,
        StartOrder, Watch,
        given::{Given, Stdin},
        hooks::HookSettings,
        life::LifeSettings,
        log::LogSettings,
        overlay::Overlay,
        places::Places,
        process::ProcessAttributes,
        recycle::RecycleSettings,
        stop::{self, StopSettings},
        update::UpdateSettings,
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
    /// As many, but for so many cores left to others; at least one.
    AllBut(u32),
}

impl Instances {
    /// What a number says; `None` if it is out of range.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        let count = u32::try_from(number.unsigned_abs()).ok();
        let count = count.filter(|count| *count <= MOST_INSTANCES)?;
        Some(if number < 0 {
            Self::AllBut(count)
        } else {
            Self::Exactly(count)
        })
    }

    /// How many that is with so many cores.
    #[must_use]
    pub fn count(self, cores: u32) -> u32 {
        match self {
            Self::Exactly(count) => count,
            Self::Auto => cores.clamp(1, MOST_INSTANCES),
            Self::AllBut(left) => cores.saturating_sub(left).clamp(1, MOST_INSTANCES),
        }
    }
}

impl std::str::FromStr for Instances {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text.trim() {
            "auto" | "max" => Ok(Self::Auto),
            number => match number.parse::<i64>().ok().and_then(Self::of) {
                Some(instances) => Ok(instances),
                None => Err(Wrong::new(
                    format!("{text:?} is not a number of workers"),
                    format!(
                        "use a number from 0 to {MOST_INSTANCES}, \"auto\" for one per core, or -1 for one fewer"
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
    pub env_clear: Option<bool>,
    pub env_allow: Option<Vec<Pattern>>,
    pub env_deny: Option<Vec<Pattern>>,
    /// What holds instead in a named environment, by name.
    pub environments: BTreeMap<String, Self>,
    pub namespace: Option<AppName>,
    pub instances: Option<Instances>,
    pub autostart: Option<bool>,
    pub start_parallel: Option<u32>,
    pub priority: Option<i32>,
    pub depends_on: Option<Vec<AppName>>,
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
    pub stop: StopSettings,
    pub hooks: HookSettings,
    pub update: UpdateSettings,
    pub bus: BusRights,
    pub process: ProcessAttributes,
    pub given: Given,
    pub log: LogSettings,
    pub places: Places,
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
        let mut environments = base.environments;
        for (name, own) in self.environments {
            let base = environments.remove(&name).unwrap_or_default();
            environments.insert(name, own.or(&base));
        }
        Self {
            command: self.command.or(base.command),
            cwd: self.cwd.or(base.cwd),
            env,
            env_clear: self.env_clear.or(base.env_clear),
            env_allow: self.env_allow.or(base.env_allow),
            env_deny: self.env_deny.or(base.env_deny),
            environments,
            namespace: self.namespace.or(base.namespace),
            instances: self.instances.or(base.instances),
            autostart: self.autostart.or(base.autostart),
            start_parallel: self.start_parallel.or(base.start_parallel),
            priority: self.priority.or(base.priority),
            depends_on: self.depends_on.or(base.depends_on),
            listen: self.listen.or(base.listen),
            ready: self.ready.or(base.ready),
            start_timeout: self.start_timeout.or(base.start_timeout),
            min_healthy: self.min_healthy.or(base.min_healthy),
            canary_healthy: self.canary_healthy.or(base.canary_healthy),
            min_uptime: self.min_uptime.or(base.min_uptime),
            max_draining: self.max_draining.or(base.max_draining),
            stop: self.stop.or(base.stop, self.kill_ladder.is_some()),
            hooks: self.hooks.or(base.hooks),
            kill_ladder: self.kill_ladder.or(base.kill_ladder),
            backoff: self.backoff.or(base.backoff),
            max_restarts: self.max_restarts.or(base.max_restarts),
            restart_window: self.restart_window.or(base.restart_window),
            stop_exit_codes: self.stop_exit_codes.or(base.stop_exit_codes),
            listen_pid: self.listen_pid.or(base.listen_pid),
            auto_reload: self.auto_reload.or(base.auto_reload),
            life: self.life.or(base.life),
            recycle: self.recycle.or(base.recycle),
            update: self.update.or(base.update),
            bus: over(self.bus, base.bus),
            process: self.process.or(base.process),
            given: self.given.or(base.given),
            log: self.log.or(base.log),
            places: self.places.or(base.places),
        }
    }

    /// What holds in this environment: what is said for it, over what is said for all.
    #[must_use]
    pub fn chosen(mut self, environment: Option<&str>) -> Self {
        let named = environment.and_then(|name| self.environments.remove(name));
        named.unwrap_or_default().or(&self)
    }

    /// The definition, with defaults. `cores` is what `instances = "auto"` means.
    #[must_use]
    pub fn define(self, name: AppName, command: Vec<String>, cores: u32) -> AppDefinition {
        let instances = self.instances.unwrap_or(Instances::Auto).count(cores);
        let start = StartOrder::default();
        let ladder = stop::ladder(self.kill_ladder, self.stop.signal);
        let stop = self.stop.define();
        let mut given = self.given;
        if stop.message.is_some() {
            given.stdin.get_or_insert(Stdin::Lines);
        }
        AppDefinition {
            name,
            command,
            cwd: self.cwd,
            env: self.env,
            inherits: Inheritance {
                clear: self.env_clear.unwrap_or(false),
                allow: self.env_allow,
                deny: self.env_deny.unwrap_or_default(),
            },
            namespace: self.namespace,
            instances,
            start: StartOrder {
                autostart: self.autostart.unwrap_or(start.autostart),
                parallel: self.start_parallel.unwrap_or(start.parallel),
                priority: self.priority.unwrap_or(start.priority),
                depends_on: self.depends_on.unwrap_or(start.depends_on),
            },
            listen: self.listen.unwrap_or_default(),
            ready: self.ready.unwrap_or(Readiness::Auto),
            start_timeout: self.start_timeout.unwrap_or(Duration::from_secs(30)),
            min_healthy: self.min_healthy,
            canary_healthy: self.canary_healthy,
            min_uptime: self.min_uptime.unwrap_or(Duration::from_secs(5)),
            max_draining: self.max_draining,
            kill_ladder: ladder,
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
            stop,
            hooks: self.hooks.define(),
            update: self.update.define(),
            bus: self.bus,
            process: self.process,
            given,
            log: self.log,
            overlay: Overlay::default(),
            places: self.places,
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
