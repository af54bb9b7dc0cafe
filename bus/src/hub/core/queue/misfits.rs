//! Misfits that wait: one after another of the same topic and reason are told as one.

use std::rc::Rc;

use super::Outbox;
use crate::{Topic, hub::core::item::Item};

impl Outbox {
    /// Counts a misfit into those that wait last, if those are the same; whether it was one of them.
    pub(super) fn joins_last_misfit(&mut self, sub: u32, item: &Item) -> bool {
        match item {
            Item::Misfit {
                missed,
                last_seq,
                topic,
                reason,
            } => self.adds_to_last_misfit(sub, (*missed, *last_seq), topic, reason),
            Item::Run(_) | Item::Whole(_) | Item::Gap => false,
        }
    }

    /// Counts misfits into those that wait last, if those are the same.
    fn adds_to_last_misfit(
        &mut self,
        sub: u32,
        (more, seq): (u64, u64),
        topic: &Topic,
        reason: &Rc<str>,
    ) -> bool {
        let Some(queue) = self.subs.get_mut(&sub) else {
            return false;
        };
        let list = self.lists.of_mut(queue);
        let Some(last) = queue.tail.map(|key| &mut list.get_mut(key).item) else {
            return false;
        };
        let told = &queue.told;
        match last {
            Item::Misfit {
                missed,
                last_seq,
                topic: t,
                reason: r,
            } if t == topic
                && (Rc::ptr_eq(r, reason) || r == reason)
                && told.is_past(*last_seq) == told.is_past(seq) =>
            {
                *missed += more;
                *last_seq = seq;
                queue.counts.matched += more;
                true
            }
            Item::Misfit { .. } | Item::Run(_) | Item::Whole(_) | Item::Gap => false,
        }
    }
}
