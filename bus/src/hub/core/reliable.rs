//! Events that are taken once, however often they are sent: a publisher that lost its connection sends again what was not
//! acknowledged, and gets the same answer for what was taken already.

use std::collections::VecDeque;

use super::Core;
use crate::wire::control::{HubOp, Refusal, RefusalKind};

/// Outcomes remembered of each client: as many as it may have without an answer.
const OUTCOMES: usize = 1024;

/// What became of a reliable event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken, and matched so many subscriptions.
    Taken(u64),
    /// It was refused.
    Refused(RefusalKind),
}

/// What became of a client's last reliable events, by their numbers, which ascend.
#[derive(Debug, Default)]
pub(super) struct Reliable {
    outcomes: VecDeque<(u64, Outcome)>,
}

impl Reliable {
    pub(super) fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// Bytes of memory it takes, beside itself.
    pub(super) fn held(&self) -> usize {
        self.outcomes.capacity() * size_of::<(u64, Outcome)>()
    }

    /// Remembers one more; beyond as many as a client may have without an answer, the oldest is forgotten.
    fn keep(&mut self, number: u64, outcome: Outcome) {
        if self.outcomes.len() == OUTCOMES {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((number, outcome));
    }

    /// The answer to one that came before; `None` if it is new.
    fn answer(&self, number: u64) -> Option<HubOp> {
        let (last, _) = self.outcomes.back()?;
        if number > *last {
            return None;
        }
        let known = self.outcomes.binary_search_by_key(&number, |(n, _)| *n);
        let refused = |kind, reason: String| HubOp::Refused(Refusal { kind, reason });
        Some(match known.map(|at| self.outcomes[at].1) {
            Ok(Outcome::Taken(count)) => HubOp::Done { count },
            Ok(Outcome::Refused(kind)) => refused(
                kind,
                format!("reliable event {number} was refused when it first came"),
            ),
            Err(_) => refused(
                RefusalKind::Malformed,
                format!(
                    "reliable event {number} comes after {last}, and is none of the last {OUTCOMES}: their numbers ascend"
                ),
            ),
        })
    }
}

impl Core {
    /// Whether a reliable event is new. If it is not, it has been answered.
    pub(super) fn is_new(&mut self, id: u64, number: u64) -> bool {
        let session = self.conn(id).and_then(|c| c.session);
        let Some(session) = session.and_then(|s| self.sessions.get_mut(s)) else {
            let kind = RefusalKind::Malformed;
            let reason = "reliable events need the client's instance in HELLO".into();
            self.answer(id, number, HubOp::Refused(Refusal { kind, reason }));
            return false;
        };
        match session.reliable.answer(number) {
            Some(op) => {
                self.answer(id, number, op);
                false
            }
            None => true,
        }
    }

    /// Remembers what became of a reliable event.
    pub(super) fn settled(&mut self, id: u64, number: u64, outcome: Outcome) {
        let session = self.conn(id).and_then(|c| c.session);
        if let Some(session) = session.and_then(|s| self.sessions.get_mut(s)) {
            session.reliable.keep(number, outcome);
            session.recharge();
        }
    }
}
