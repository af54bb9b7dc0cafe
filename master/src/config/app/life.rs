//! How a worker is looked after while it runs: whether it still lives, and what becomes of its slot when it ends.

use std::{str::FromStr, time::Duration};

use super::probe::Probe;
use crate::config::errors::Wrong;

/// How an app's workers are looked after.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// A ready worker that has not been heard of for so long (`WATCHDOG=1`, or the SDK's heartbeat) is hung. Default: off.
    pub watchdog: Option<Duration>,
    /// Ready workers are asked whether they are well. Default: off.
    pub health: Option<Health>,
    /// What a hung worker is sent first, so that it can leave a trace or a core. Default ABRT.
    pub hang_signal: i32,
    /// How long it has to leave them; then it is killed. Default 5 s.
    pub hang_grace: Duration,
    /// After which ends of its worker a slot gets another. Default: always, or `on_crash` for a `oneshot`.
    pub restart: Restart,
    /// Exit codes that mean: it can't boot. Then a master in the foreground stops with this code, and one in the background
    /// fails the slot at once. During an update they fail the update and no more.
    pub fatal_exit_codes: Vec<i32>,
    /// How long a failed slot rests before it is tried once more; `None`: until somebody says so. Default 5 min.
    pub retry_failed: Option<Duration>,
    /// Its workers do something and end: one has started well when it has exited with 0. Default false.
    pub oneshot: bool,
}

/// After which ends of its worker a slot gets another. What was asked for (a stop, an update) is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Whatever its end was, but for `stop_exit_codes`.
    Always,
    /// If it was a crash: not after an exit with 0, nor if it said that it goes.
    OnCrash,
    /// After none.
    Never,
}

impl FromStr for Restart {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "always" => Ok(Self::Always),
            "on_crash" => Ok(Self::OnCrash),
            "never" => Ok(Self::Never),
            _ => Err(Wrong::new(
                format!("{text:?} is not a restart policy"),
                "use \"always\", \"on_crash\" or \"never\"",
            )),
        }
    }
}

/// Asking ready workers whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How they are asked. Default interval 10 s.
    pub probe: Probe,
    /// After so many failures in a row a worker is hung. Default 3.
    pub failures: u32,
}

/// What was said about it; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each is the field of Life of the same name")]
pub struct LifeSettings {
    /// Zero is off, even where the defaults say on.
    pub watchdog: Option<Duration>,
    pub health: Option<Checks>,
    pub hang_signal: Option<i32>,
    pub hang_grace: Option<Duration>,
    pub restart: Option<Restart>,
    pub fatal_exit_codes: Option<Vec<i32>>,
    /// Zero is never.
    pub retry_failed: Option<Duration>,
    pub oneshot: Option<bool>,
}

/// Whether workers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Not, even where the defaults say so.
    Off,
    /// Like this.
    On(Health),
}

impl LifeSettings {
    /// These, and `base` where they say nothing.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            watchdog: self.watchdog.or(base.watchdog),
            health: self.health.or(base.health),
            hang_signal: self.hang_signal.or(base.hang_signal),
            hang_grace: self.hang_grace.or(base.hang_grace),
            restart: self.restart.or(base.restart),
            fatal_exit_codes: self.fatal_exit_codes.or(base.fatal_exit_codes),
            retry_failed: self.retry_failed.or(base.retry_failed),
            oneshot: self.oneshot.or(base.oneshot),
        }
    }

    /// With defaults.
    #[must_use]
    pub fn define(self) -> Life {
        let oneshot = self.oneshot.unwrap_or(false);
        let restart = match oneshot {
            true => Restart::OnCrash,
            false => Restart::Always,
        };
        let retry_failed = self.retry_failed.unwrap_or(Duration::from_secs(300));
        Life {
            watchdog: self.watchdog.filter(|time| !time.is_zero()),
            health: match self.health {
                Some(Checks::On(health)) => Some(health),
                Some(Checks::Off) | None => None,
            },
            hang_signal: self.hang_signal.unwrap_or(libc::SIGABRT),
            hang_grace: self.hang_grace.unwrap_or(Duration::from_secs(5)),
            restart: self.restart.unwrap_or(restart),
            fatal_exit_codes: self.fatal_exit_codes.unwrap_or_default(),
            retry_failed: Some(retry_failed).filter(|time| !time.is_zero()),
            oneshot,
        }
    }
}

impl Default for Life {
    fn default() -> Self {
        LifeSettings::default().define()
    }
}
