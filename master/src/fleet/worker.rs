//! A worker's life, from the order to spawn it to its exit.
//!
//! ```text
//!   order ──► starting ──ready──► ready ──► leaving (draining, then stopping) ──► exited: forgotten
//!                │  ▲               │            ▲
//!                │  └─ assumption ──┘            │
//!                │     withdrawn                 │
//!                └── told to go, goes by itself, or not ready in time
//! ```
//! It can exit from any of them. What its exit means for its slot is decided in `exits`.

use std::{sync::Arc, time::Duration};

use ostler_bus::{
    Generation, Slot, WorkerId,
    vocab::worker::{Holding, WorkerRef},
};

use super::{
    Moment, SpawnOrder, drain::Leaving, hooks::Running, probing::Probing, recycle::Due,
    wear::Served,
};
use crate::config::app::{AppDefinition, AppName};

/// A worker that has been ordered and has not exited.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) slot: Slot,
    pub(super) generation: Generation,
    pub(super) definition: Arc<AppDefinition>,
    pub(super) occasion: Occasion,
    /// What it was started for, in words.
    pub(super) trigger: String,
    pub(super) pid: Option<u32>,
    pub(super) ordered_at: Moment,
    pub(super) spawned_at: Option<Moment>,
    pub(super) phase: Phase,
    pub(super) bus: Bus,
    /// It has connected to the bus or sent a notification.
    pub(super) takes_part: bool,
    /// It was told that it is slow to say that it is ready.
    pub(super) told_slow: bool,
    pub(super) main_pid: Option<u32>,
    pub(super) status_text: Option<String>,
    pub(super) probing: Probing,
    /// When it last said that it lives.
    pub(super) heard_at: Option<Moment>,
    /// When it last answered well.
    pub(super) heard_well_at: Option<Moment>,
    /// Until when the master stood still last, and heard nobody.
    pub(super) deaf_until: Option<Moment>,
    /// Why it was taken for hung, or killed for its size.
    pub(super) hung: Option<String>,
    /// How much it has served, if it counts.
    pub(super) served: Option<Served>,
    /// It serves, but is to be replaced.
    pub(super) due: Option<Due>,
    /// Why the update came that has replaced it, in words.
    pub(super) outdated: Option<String>,
    /// The command that runs beside it.
    pub(super) hook: Option<Running>,
    /// It has been ready, and `after_ready` was begun, if there is one.
    pub(super) greeted: bool,
    /// It took over from one that was recycled: for so long it is left alone, whatever its size.
    pub(super) respite: Duration,
    /// How much it still has to finish.
    pub(super) held: Option<Held>,
    /// From 0 up to 1: spreads out what comes to workers with age.
    pub(super) luck: f64,
}

/// What a worker still has to finish, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It does.
    Told(Holding),
    /// The master counts its connections: it has never told.
    Counted {
        /// How many there were; `None` if that could not be found out.
        connections: Option<u64>,
        /// How many there were when they could be counted last, and when that was heard.
        last: Option<(u64, Moment)>,
    },
}

impl Held {
    /// The same, when it could not be counted this time.
    pub(super) fn unknown(self) -> Self {
        match self {
            Self::Told(_) => self,
            Self::Counted { last, .. } => Self::Counted {
                connections: None,
                last,
            },
        }
    }
}

/// Why a worker was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Its slot was vacant: these start one after the other.
    Fill,
    /// Its predecessor in the slot ended unplanned: capacity is missing, so it waits for nobody.
    Respawn,
    /// An update brings it up beside its predecessor.
    Successor,
}

/// Where in its life a worker is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Not ready yet.
    Starting {
        /// It has failed to start if it is not ready by then. Unset until it is spawned.
        deadline: Option<Moment>,
    },
    /// Serving.
    Ready {
        /// Since when.
        since: Moment,
        /// It never said so.
        assumed: bool,
    },
    /// On its way out.
    Leaving(Leaving),
}

/// The state of a worker's bus connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bus {
    /// It never said hello.
    Unseen,
    /// Open.
    Connected,
    /// Ended.
    Closed,
}

impl Worker {
    pub(super) fn reference(&self, app: &AppName) -> WorkerRef {
        WorkerRef {
            app: app.as_str().to_owned(),
            slot: self.slot,
            id: self.id,
            generation: self.generation,
            pid: self.pid,
        }
    }

    /// How many connections it still has to finish, and how many requests.
    pub(super) fn held(&self) -> (Option<u64>, Option<u64>) {
        match self.held {
            Some(Held::Told(told)) => (Some(told.held), told.requests),
            Some(Held::Counted { connections, .. }) => (connections, None),
            None => (None, None),
        }
    }

    /// As it is started.
    pub(super) fn order(&self, app: &AppName) -> SpawnOrder {
        SpawnOrder {
            id: self.id,
            app: app.clone(),
            slot: self.slot,
            generation: self.generation,
            definition: Arc::clone(&self.definition),
        }
    }

    /// How long it has been up.
    pub(super) fn uptime(&self, now: Moment) -> Duration {
        self.spawned_at
            .map_or(Duration::ZERO, |spawned| now - spawned)
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. })
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    pub(super) fn leaving(&self) -> Option<&Leaving> {
        match &self.phase {
            Phase::Leaving(leaving) => Some(leaving),
            Phase::Starting { .. } | Phase::Ready { .. } => None,
        }
    }

    /// "worker 7 (slot 2, generation 3)".
    pub(super) fn describe(&self) -> String {
        format!(
            "worker {} (slot {}, generation {})",
            self.id, self.slot, self.generation
        )
    }
}

/// A duration in whole milliseconds, for events.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
