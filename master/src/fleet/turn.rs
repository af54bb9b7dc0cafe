//! What one step of the fleet may use: the time it happens at, the numbers it hands out, and the list of what it wants
//! done. Lent to every part of the core, so that the order of actions is the order of decisions.

use ostler_bus::WorkerId;

use super::{Action, FleetEvent, Moment, mutation::Mutation, operations::Operations, rng::Rng};

/// Numbers and randomness that outlive a step.
#[derive(Debug, Default)]
pub(super) struct Supplies {
    last_worker: u64,
    steps: u64,
    rng: Rng,
    operations: Operations,
    #[cfg(test)]
    mutation: Option<Mutation>,
}

impl Supplies {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            ..Self::default()
        }
    }

    #[cfg(test)]
    pub(super) fn mutate(&mut self, mutation: Mutation) {
        self.mutation = Some(mutation);
    }
}

/// One step in the making.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) now: Moment,
    supplies: Supplies,
    actions: Vec<Action>,
}

impl Turn {
    pub(super) fn begin(now: Moment, mut supplies: Supplies) -> Self {
        supplies.steps += 1;
        Self {
            now,
            supplies,
            actions: Vec::new(),
        }
    }

    /// What was decided; the supplies go back to where they came from.
    pub(super) fn end(self) -> (Supplies, Vec<Action>) {
        (self.supplies, self.actions)
    }

    /// Which step this is: tells what happened before a command from what happened after it at the same moment.
    pub(super) fn number(&self) -> u64 {
        self.supplies.steps
    }

    pub(super) fn next_worker(&mut self) -> WorkerId {
        self.supplies.last_worker += 1;
        WorkerId(self.supplies.last_worker)
    }

    pub(super) fn rng(&mut self) -> &mut Rng {
        &mut self.supplies.rng
    }

    pub(super) fn operations(&mut self) -> &mut Operations {
        &mut self.supplies.operations
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn publish(&mut self, event: FleetEvent) {
        self.actions.push(Action::Publish(Box::new(event)));
    }

    /// The place of what is wanted done next, for [`publish_at`](Self::publish_at).
    pub(super) fn place(&self) -> usize {
        self.actions.len()
    }

    /// Tells of something before what came of it: an exit is told with what was decided about it.
    pub(super) fn publish_at(&mut self, place: usize, event: FleetEvent) {
        self.actions.insert(place, Action::Publish(Box::new(event)));
    }

    /// Whether a test has put this fault in.
    #[cfg(test)]
    pub(super) fn mutated(&self, mutation: Mutation) -> bool {
        self.supplies.mutation == Some(mutation)
    }

    /// Whether a test has put this fault in: never, here.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the test build asks self")]
    pub(super) const fn mutated(&self, _: Mutation) -> bool {
        false
    }
}
