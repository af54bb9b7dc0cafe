//! How a worker is looked after while it runs: whether it still lives, and what becomes of its slot when it ends.

use std::time::Duration;

use super::probe::Probe;

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
        }
    }

    /// With defaults.
    #[must_use]
    pub fn define(self) -> Life {
        Life {
            watchdog: self.watchdog.filter(|time| !time.is_zero()),
            health: match self.health {
                Some(Checks::On(health)) => Some(health),
                Some(Checks::Off) | None => None,
            },
            hang_signal: self.hang_signal.unwrap_or(libc::SIGABRT),
            hang_grace: self.hang_grace.unwrap_or(Duration::from_secs(5)),
        }
    }
}

impl Default for Life {
    fn default() -> Self {
        LifeSettings::default().define()
    }
}
