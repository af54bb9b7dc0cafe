//! When workers are replaced although nothing is wrong with them yet: they grow, or grow old.

use std::time::Duration;

/// When workers are replaced although they serve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recycle {
    /// How much memory one may have. Default: any amount.
    pub max_memory: Option<MemoryLimit>,
    /// How old one may get; up to a fifth is added at random, so that workers that began together don't go together.
    /// Default: any age.
    pub max_age: Option<Duration>,
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
}

impl RecycleSettings {
    /// These, and `base` where they say nothing.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            max_memory: self.max_memory.or(base.max_memory),
            max_age: self.max_age.or(base.max_age),
        }
    }

    /// With defaults.
    #[must_use]
    pub fn define(self) -> Recycle {
        Recycle {
            max_memory: self.max_memory.filter(|limit| limit.soft > 0),
            max_age: self.max_age.filter(|age| !age.is_zero()),
        }
    }
}
