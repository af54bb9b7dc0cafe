//! Writing what changes its form only then: event by event, each counted as what it became.

use std::time::Instant;

use super::{Key, Loss, Outbox};
use crate::hub::core::{
    item::{Item, Run},
    later::{Recent, Workshop},
    output::Output,
    thrift::Share,
};

/// Events that change their form for one write at most: misfits take next to no room in what is written.
pub(super) const AT_ONCE: usize = 1024;

/// One event, taken out of its run.
struct Taken {
    sub: u32,
    /// Lost just before it.
    loss: Loss,
    run: Run,
    /// Events of the run that still wait.
    left: u32,
}

impl Outbox {
    /// Whether the events at `key` are still to change their form. Those that nobody wants any more don't.
    pub(super) fn is_later(&self, now: Instant, key: Key) -> bool {
        match &self.lists.data.get(key).item {
            Item::Run(run) => run.later.is_some() && !run.is_late(now),
            Item::Whole(_) | Item::Misfit { .. } | Item::Gap => false,
        }
    }

    /// Whether the events at `key` may change their form now.
    pub(super) fn may_make(&mut self, now: Instant, key: Key, workshop: &mut Workshop) -> bool {
        let order = self.lists.data.get(key).order;
        order <= self.hurried || workshop.thrift.allows(now, self.conn, &mut self.share)
    }

    /// All that waits now is written without regard to what it takes: the connection is about to end, or asked to be
    /// told when it is done.
    pub(in crate::hub::core) fn hurry(&mut self) {
        self.hurried = self.order;
    }

    /// It waits for its share no longer.
    pub(in crate::hub::core) fn woken(&mut self) {
        self.share = Share::default();
    }

    /// Writes the events at `key`, as far as there is room and `most` of them: what is left stays where it is. Says how
    /// many it were.
    pub(super) fn take_later(
        &mut self,
        now: Instant,
        key: Key,
        most: usize,
        recent: &mut Recent,
        out: &mut Output,
    ) -> usize {
        // Misfits one after another are told as one. Anything else is written at once, as nothing may come behind a
        // large part of the output.
        let mut misfit: Option<(u32, Loss, Item)> = None;
        let mut made = 0;
        while made < most {
            let Some(Taken {
                sub,
                loss,
                run,
                left,
            }) = self.take_event(key)
            else {
                break;
            };
            let Some(later) = &run.later else { break };
            let item = later.make(sub, &run, recent);
            made += 1;
            let joins = match &mut misfit {
                Some((_, _, told)) if loss.events == 0 => self.joins_misfit(sub, told, &item),
                Some(_) | None => false,
            };
            if !joins {
                self.put(now, misfit.take(), out);
                match &item {
                    Item::Misfit { .. } => misfit = Some((sub, loss, item)),
                    Item::Run(_) | Item::Whole(_) | Item::Gap => {
                        self.put(now, Some((sub, loss, item)), out);
                    }
                }
            }
            if left == 0 || out.is_full() {
                break;
            }
        }
        self.put(now, misfit, out);
        made
    }

    fn put(&mut self, now: Instant, made: Option<(u32, Loss, Item)>, out: &mut Output) {
        if let Some((sub, loss, item)) = made {
            self.count_written(now, sub, &loss, &item);
            self.write(now, Some(sub), loss, item, out);
        }
    }

    /// Takes out the first of the events at `key`, with the loss before it.
    fn take_event(&mut self, key: Key) -> Option<Taken> {
        let waiting = self.lists.data.get_mut(key);
        let sub = waiting.sub?;
        if let Item::Run(run) = &mut waiting.item
            && run.count > 1
            && let Some(queue) = self.subs.get_mut(&sub)
        {
            let first = run.split(1);
            queue.messages -= 1;
            queue.bytes -= first.frames.len();
            self.charge.sub(first.frames.len());
            return Some(Taken {
                sub,
                loss: std::mem::take(&mut waiting.loss),
                left: run.count,
                run: first,
            });
        }
        let waiting = self.take_out(sub, key);
        match waiting.item {
            Item::Run(run) => Some(Taken {
                sub,
                loss: waiting.loss,
                run,
                left: 0,
            }),
            Item::Whole(_) | Item::Misfit { .. } | Item::Gap => None,
        }
    }
}
