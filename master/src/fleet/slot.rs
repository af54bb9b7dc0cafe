//! A slot: the place of a worker within its app, which outlives the workers that hold it one after the other.
//!
//! ```text
//!            spawn                exit: crash after min_uptime, or left by itself
//!  vacant ─────────► held ───────────────────────────────────────► backoff (due at once)
//!    ▲                 │ ├─ failed start or early crash ──────────► backoff ──due──► held
//!    │ app.start       │ ├─ too many of those ────────────────────► failed ──retry─► held
//!    │                 │ ├─ `stop_exit_codes`, `restart`, `oneshot` ► ended
//!    └── stopped ◄─────┘ └─ the app was stopped ──────────────────► stopped
//! ```
//! During an update the successor does not hold the slot until it has proved itself; then its predecessor lets go of
//! it and drains as nobody's holder. So a slot never has two current workers.

use std::sync::Arc;

use ostler_bus::{Generation, WorkerId};

use super::{Moment, backoff::Failures};
use crate::config::app::AppDefinition;

/// A slot.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: SlotState,
    /// The generation its worker is of; while it has none, the one it will be tried with.
    pub(super) generation: Generation,
    /// That generation's definition: a crash respawns what crashed, not what came after.
    pub(super) definition: Arc<AppDefinition>,
    pub(super) failures: Failures,
    /// The step and the text of its last failure.
    pub(super) last_failure: Option<(u64, String)>,
    pub(super) last_exit: Option<String>,
    /// Whose end has left it without a worker; `None` if a command wants one, or has sent it away.
    pub(super) last_worker: Option<WorkerId>,
    /// Unplanned restarts.
    pub(super) restarts: u32,
}

/// What a slot has or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// It wants a worker, when its turn comes.
    Vacant,
    /// It has one.
    Held(WorkerId),
    /// Its worker is tried again then.
    Backoff {
        /// When.
        until: Moment,
    },
    /// Its worker failed too often.
    Failed {
        /// When it is tried again all the same; `None`: when somebody says so.
        until: Option<Moment>,
    },
    /// Its worker ended for good.
    Ended {
        /// As it should: not by a crash that `restart` leaves at that. What depends on the app may begin then.
        well: bool,
    },
    /// Its app is stopped.
    Stopped,
}

impl Slot {
    pub(super) fn new(generation: Generation, definition: Arc<AppDefinition>) -> Self {
        Self {
            state: SlotState::Vacant,
            generation,
            definition,
            failures: Failures::default(),
            last_failure: None,
            last_exit: None,
            last_worker: None,
            restarts: 0,
        }
    }

    pub(super) fn holder(&self) -> Option<WorkerId> {
        match self.state {
            SlotState::Held(id) => Some(id),
            SlotState::Vacant
            | SlotState::Backoff { .. }
            | SlotState::Failed { .. }
            | SlotState::Ended { .. }
            | SlotState::Stopped => None,
        }
    }

    /// Whether it has a worker or may have another, without being started anew.
    pub(super) fn may_come(&self) -> bool {
        match self.state {
            SlotState::Vacant
            | SlotState::Held(_)
            | SlotState::Backoff { .. }
            | SlotState::Failed { .. } => true,
            SlotState::Ended { .. } | SlotState::Stopped => false,
        }
    }

    /// When it is tried again by itself.
    pub(super) fn retry_at(&self) -> Option<Moment> {
        match self.state {
            SlotState::Backoff { until } => Some(until),
            SlotState::Failed { until } => until,
            SlotState::Vacant
            | SlotState::Held(_)
            | SlotState::Ended { .. }
            | SlotState::Stopped => None,
        }
    }

    /// Forgets its failures and, if it has no worker, wants one now.
    pub(super) fn try_again(&mut self) {
        self.failures = Failures::default();
        self.last_worker = None;
        match self.state {
            SlotState::Held(_) | SlotState::Vacant => {}
            SlotState::Backoff { .. }
            | SlotState::Failed { .. }
            | SlotState::Ended { .. }
            | SlotState::Stopped => {
                self.state = SlotState::Vacant;
            }
        }
    }

    /// Forgets what it has counted.
    pub(super) fn reset(&mut self) {
        self.failures = Failures::default();
        self.restarts = 0;
    }

    /// Goes over to another generation, whose failures are its own.
    pub(super) fn adopt(&mut self, generation: Generation, definition: &Arc<AppDefinition>) {
        if self.generation != generation {
            self.failures = Failures::default();
            self.generation = generation;
        }
        self.definition = Arc::clone(definition);
    }
}
