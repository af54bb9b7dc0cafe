//! When workers are replaced although nothing is wrong with them yet: they grow, grow old, have served enough, have nothing
//! to do, or it is the hour for it.

use std::time::Duration;

use super::schedule::Schedule;

/// When workers are replaced although they serve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recycle {
    /// How much memory one may have. Default: any amount.
    pub max_memory: Option<MemoryLimit>,
    /// How old one may get; up to a fifth is added at random, so that workers that began together don't go together.
    /// Default: any age.
    pub max_age: Option<Duration>,
    /// How many requests one may serve, as it counts them itself; up to a fifth is added at random. Default: any number.
    pub max_requests: Option<u64>,
    /// For how long one that has served something may then serve nothing, as it counts itself. Default: for ever.
    pub idle_timeout: Option<Duration>,
    /// When all are replaced. Default: never.
    pub cron: Option<Schedule>,
}

impl Recycle {
    /// Whether workers are to tell how many requests they have served.
    #[must_use]
    pub fn counts_requests(&self) -> bool {
        self.counted_by().is_some()
    }

    /// The key that needs workers that count.
    #[must_use]
    pub fn counted_by(&self) -> Option<&'static str> {
        match (self.max_requests, self.idle_timeout) {
            (Some(_), _) => Some("max_requests"),
            (None, Some(_)) => Some("idle_timeout"),
            (None, None) => None,
        }
    }
}

/// How much resident memory a worker's own process may have, in bytes. It is looked at each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Above it a worker is replaced like in an update.
    pub soft: u64,
    /// Above it a worker is killed. Default: never.
    pub hard: Option<u64>,
}

/// What was said about it; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecycleSettings {
    /// A soft limit of 0 is none, even where the defaults have one.
    pub max_memory: Option<MemoryLimit>,
    /// Zero is any age.
    pub max_age: Option<Duration>,
    /// Zero is any number.
    pub max_requests: Option<u64>,
    /// Zero is for ever.
    pub idle_timeout: Option<Duration>,
    /// When all are replaced.
    pub cron: Option<Cron>,
}

/// What was said about the hour.
#[derive(Clone, Debug, PartialEq)]
pub enum Cron {
    /// Never, even where the defaults say otherwise.
    Off,
    /// Then.
    On(Schedule),
}

impl RecycleSettings {
    /// These, and `base` where they say nothing.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            max_memory: self.max_memory.or(base.max_memory),
            max_age: self.max_age.or(base.max_age),
            max_requests: self.max_requests.or(base.max_requests),
            idle_timeout: self.idle_timeout.or(base.idle_timeout),
            cron: self.cron.or(base.cron),
        }
    }

    /// With defaults.
    #[must_use]
    pub fn define(self) -> Recycle {
        Recycle {
            max_memory: self.max_memory.filter(|limit| limit.soft > 0),
            max_age: self.max_age.filter(|age| !age.is_zero()),
            max_requests: self.max_requests.filter(|requests| *requests > 0),
            idle_timeout: self.idle_timeout.filter(|time| !time.is_zero()),
            cron: match self.cron {
                Some(Cron::On(schedule)) => Some(schedule),
                Some(Cron::Off) | None => None,
            },
        }
    }
}
