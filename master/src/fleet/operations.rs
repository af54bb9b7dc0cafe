//! Accepted operations, each of which ends exactly once.
//!
//! An operation may concern several apps. Each of them owes it one outcome, and it has ended when the last has paid.
//! The number of an owed outcome lies where it will be decided (a wait, an update, the pending update) and is taken out
//! there when it is.

use std::collections::BTreeMap;

use ostler_bus::{
    OpId,
    vocab::control::{OperationFinished, Outcome},
};

use super::{FleetEvent, turn::Turn};

/// The operations that have not ended.
#[derive(Debug, Default)]
pub(super) struct Operations {
    last: u64,
    open: BTreeMap<OpId, Open>,
}

/// One that has not ended.
#[derive(Debug, Default)]
struct Open {
    owed: usize,
    failed: Vec<String>,
    superseded: Vec<String>,
}

impl Operations {
    /// Begins an operation to which `owed` outcomes are owed.
    pub(super) fn begin(&mut self, owed: usize) -> OpId {
        self.last += 1;
        let op = OpId(self.last);
        self.open.insert(
            op,
            Open {
                owed,
                ..Open::default()
            },
        );
        op
    }

    /// Pays one outcome; the sum of them if it was the last.
    fn pay(&mut self, op: OpId, outcome: Outcome) -> Option<Outcome> {
        let open = self.open.get_mut(&op)?;
        match outcome {
            Outcome::Done => {}
            Outcome::Failed(why) => open.failed.push(why),
            Outcome::Superseded(by) => open.superseded.push(by),
        }
        open.owed = open.owed.saturating_sub(1);
        if open.owed > 0 {
            return None;
        }
        let mut open = self.open.remove(&op)?;
        open.superseded.dedup();
        Some(if !open.failed.is_empty() {
            Outcome::Failed(open.failed.join("; "))
        } else if !open.superseded.is_empty() {
            Outcome::Superseded(open.superseded.join("; "))
        } else {
            Outcome::Done
        })
    }
}

/// Pays one outcome, and tells everyone if the operation has thereby ended.
pub(super) fn pay(op: OpId, outcome: Outcome, turn: &mut Turn) {
    if let Some(outcome) = turn.operations().pay(op, outcome) {
        turn.publish(FleetEvent::OperationFinished(OperationFinished {
            op,
            outcome,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_when_the_last_outcome_is_paid_and_only_then() {
        let mut operations = Operations::default();
        let op = operations.begin(2);
        assert_eq!(operations.pay(op, Outcome::Done), None);
        assert_eq!(operations.pay(op, Outcome::Done), Some(Outcome::Done));
        assert_eq!(operations.pay(op, Outcome::Done), None);
    }

    #[test]
    fn a_failure_outweighs_being_overtaken_and_that_outweighs_success() {
        let mut operations = Operations::default();
        let op = operations.begin(3);
        operations.pay(op, Outcome::Superseded("stop".into()));
        operations.pay(op, Outcome::Failed("a".into()));
        assert_eq!(
            operations.pay(op, Outcome::Done),
            Some(Outcome::Failed("a".into()))
        );
        let op = operations.begin(2);
        operations.pay(op, Outcome::Superseded("stop".into()));
        assert_eq!(
            operations.pay(op, Outcome::Done),
            Some(Outcome::Superseded("stop".into()))
        );
    }
}
