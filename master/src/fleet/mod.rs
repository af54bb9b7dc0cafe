//! The fleet core: decides, and does nothing.
//!
//! [`Fleet::step`] takes what happened and returns what is to be done; [`Fleet::next_deadline`] says when it wants to
//! be woken. No I/O, no clock, no randomness but a given seed: the shell around it builds inputs, performs actions, and
//! feeds back what became of them. That is why the whole fleet can be run through thousands of lives in virtual time.

mod action;
mod input;
mod moment;
mod rng;
mod snapshot;

pub use action::{Action, FleetEvent, SignalTarget, SpawnOrder};
pub use input::{Command, Exit, Input, Notification, RequestToken, Requester, WorkerNews};
pub use moment::Moment;
pub use snapshot::Snapshot;

use rng::Rng;

/// The most workers an app can have. Slots are kept one by one; a slip of the keyboard must not make billions.
pub const MAX_INSTANCES: u32 = 4096;

/// All apps and their workers.
#[derive(Debug)]
pub struct Fleet {
    rng: Rng,
}

impl Fleet {
    /// An empty fleet. The seed only decides by how much retries are spread out.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
        }
    }

    /// Takes in what happened and decides what is to be done, in this order.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Action> {
        let _ = (now, input, self.rng.unit());
        Vec::new()
    }

    /// When to call [`step`](Self::step) with a [`Tick`](Input::Tick) if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    /// The state of all apps and workers, for status.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let _ = now;
        Snapshot::default()
    }
}
