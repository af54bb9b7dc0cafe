//! What operations wait for: each names a goal, and ends when its app has reached that, or when a later command overtakes it.

use std::ops::Range;

use ostler_bus::{OpId, Slot as SlotNumber, vocab::control::Outcome};

use super::{app::App, operations::pay, slot::SlotState, turn::Turn};

/// An operation that waits for something to have come about.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) op: OpId,
    pub(super) errand: Errand,
    pub(super) goal: Goal,
}

/// Which command an operation comes from: decides what overtakes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Overtaken by a stop.
    Start,
    /// Overtaken by a start.
    Stop,
    /// Overtaken by a stop, and by another change of size.
    Scale,
}

/// What an operation waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Each of these slots is ready, has ended for good, or has failed in or after this step.
    Started {
        /// Which slots.
        slots: Range<u32>,
        /// Since which step a failure counts.
        since: u64,
    },
    /// No worker holds a slot beyond the app's size.
    Shrunk,
    /// No worker of this slot is left.
    Vacated(SlotNumber),
    /// No worker is left.
    Stopped,
}

impl App {
    /// Ends the waits on these errands as overtaken.
    pub(super) fn overtake_waits(&mut self, by: &str, errands: &[Errand], turn: &mut Turn) {
        self.overtake(by, |wait| errands.contains(&wait.errand), turn);
    }

    /// Ends such waits as overtaken.
    pub(super) fn overtake(&mut self, by: &str, which: impl Fn(&Wait) -> bool, turn: &mut Turn) {
        for wait in self.waits.extract_if(.., |wait| which(wait)) {
            pay(wait.op, Outcome::Superseded(by.to_owned()), turn);
        }
    }

    /// Whether this goal has been reached; if so, with what went wrong on the way.
    pub(super) fn reached(&self, goal: &Goal) -> Option<Outcome> {
        match goal {
            Goal::Started { slots, since } => {
                let mut failed = Vec::new();
                for number in slots.start..slots.end.min(self.size) {
                    if let Err(why) = self.started(SlotNumber(number), *since)? {
                        failed.push(why);
                    }
                }
                Some(if failed.is_empty() {
                    Outcome::Done
                } else {
                    Outcome::Failed(failed.join("; "))
                })
            }
            Goal::Shrunk => {
                let beyond = self
                    .slots
                    .range(SlotNumber(self.size)..)
                    .any(|(_, slot)| slot.holder().is_some());
                let cleaned = self.remains.values().all(|left| left.slot().0 < self.size);
                (!beyond && cleaned).then_some(Outcome::Done)
            }
            Goal::Vacated(slot) => {
                let left = self.workers.values().any(|worker| worker.slot == *slot);
                (!left && self.remains_in(*slot).is_none()).then_some(Outcome::Done)
            }
            Goal::Stopped => self.is_empty().then_some(Outcome::Done),
        }
    }

    /// How the start of a slot went; `None` while it is under way.
    fn started(&self, number: SlotNumber, since: u64) -> Option<Result<(), String>> {
        if self.parked.contains(&number) {
            return Some(Ok(()));
        }
        let slot = self.slots.get(&number)?;
        if let Some((step, why)) = &slot.last_failure
            && *step >= since
        {
            return Some(Err(why.clone()));
        }
        match slot.state {
            SlotState::Held(id) => self.workers.get(&id)?.is_ready().then_some(Ok(())),
            SlotState::Ended { well: true } => Some(Ok(())),
            SlotState::Ended { well: false } => {
                let why = slot.last_failure.as_ref().map(|(_, why)| why.clone());
                Some(Err(why.unwrap_or_default()))
            }
            SlotState::Vacant
            | SlotState::Backoff { .. }
            | SlotState::Failed { .. }
            | SlotState::Stopped => None,
        }
    }
}
