//! Windows: so much is sent and no more until the reader has confirmed some; and what a group's member was sent and has
//! not confirmed is kept, for another.

use std::{collections::VecDeque, time::Instant};

use super::{Load, Outbox, Waiting};
use crate::{
    hub::core::{
        item::{ITEM_BYTES, Item, Run},
        output::Output,
    },
    wire::flags,
};

/// What may be sent to a reader.
#[derive(Debug)]
pub(super) struct Window {
    size: u64,
    /// Sent, and not confirmed.
    unconfirmed: u64,
    /// Those events, if they are kept.
    kept: Option<Kept>,
    /// Under which order the subscription is among those that may be written.
    pub(super) ready: Option<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    runs: VecDeque<Run>,
    bytes: usize,
}

impl Window {
    pub(super) fn new(size: u32, keeps: bool) -> Self {
        Self {
            size: u64::from(size.max(1)),
            unconfirmed: 0,
            kept: keeps.then(Kept::default),
            ready: None,
        }
    }

    /// How many events may be sent. What is kept is bounded in bytes too.
    fn credit(&self, max_bytes: usize) -> u64 {
        match &self.kept {
            Some(kept) if kept.bytes >= max_bytes => 0,
            Some(_) | None => self.size.saturating_sub(self.unconfirmed),
        }
    }
}

impl Outbox {
    /// Enters `sub` among those that something may be written for, or takes it out.
    pub(super) fn make_ready(&mut self, sub: u32) {
        let Some(queue) = self.subs.get_mut(&sub) else {
            return;
        };
        let (head, max_bytes) = (queue.head, queue.bounds.bytes);
        let Some(window) = queue.window_mut() else {
            return;
        };
        let ready = head
            .map(|key| self.lists.parked.get(key))
            .filter(|first| first.item.to_confirm() == 0 || window.credit(max_bytes) > 0)
            .map(|first| first.order);
        let was = std::mem::replace(&mut window.ready, ready);
        if was != ready {
            if let Some(order) = was {
                self.ready.remove(&(order, sub));
            }
            if let Some(order) = ready {
                self.ready.insert((order, sub));
            }
        }
    }

    /// Writes what waits first for `sub`, as far as its window allows.
    pub(super) fn take_parked(&mut self, now: Instant, sub: u32, out: &mut Output) {
        let Some(first) = self.take_within_window(now, sub) else {
            return;
        };
        if first.item.to_confirm() > 0 && !first.item.is_late(now) {
            self.await_confirmation(sub, &first);
        }
        self.make_ready(sub);
        self.ease(now, sub);
        self.write(now, first.sub, first.loss, first.item, out);
    }

    fn take_within_window(&mut self, now: Instant, sub: u32) -> Option<Waiting> {
        let queue = self.subs.get_mut(&sub)?;
        let key = queue.head?;
        let max_bytes = queue.bounds.bytes;
        let credit = queue.window()?.credit(max_bytes);
        let first = self.lists.parked.get_mut(key);
        let run = match &mut first.item {
            Item::Run(run) if first.extra.is_none() && credit > 0 && !run.is_late(now) => run,
            Item::Run(_) | Item::Whole(_) | Item::Misfit { .. } | Item::Gap => {
                return self.take_counted(now, sub);
            }
        };
        let Some(n) = u32::try_from(credit).ok().filter(|n| *n < run.count) else {
            return self.take_counted(now, sub);
        };
        let front = run.split(n);
        let loss = std::mem::take(&mut first.loss);
        let order = first.order;
        let item = Item::Run(front);
        queue.messages -= item.messages();
        queue.bytes -= item.bytes();
        queue.write(now, &loss, &item);
        self.charge.sub(item.bytes());
        Some(Waiting {
            sub: Some(sub),
            loss,
            item,
            order,
            next_of_sub: None,
            before_of_sub: None,
            extra: None,
        })
    }

    /// Takes out the first item of `sub`, to be written.
    fn take_counted(&mut self, now: Instant, sub: u32) -> Option<Waiting> {
        let waiting = self.take_head(sub)?;
        self.count_written(now, sub, &waiting.loss, &waiting.item);
        Some(waiting)
    }

    /// Counts an item of `sub` as sent, and keeps it if its group may need it again.
    fn await_confirmation(&mut self, sub: u32, sent: &Waiting) {
        let Some(window) = self.subs.get_mut(&sub).and_then(|q| q.window_mut()) else {
            return;
        };
        window.unconfirmed += sent.item.to_confirm();
        let Some(kept) = &mut window.kept else { return };
        let source = sent.extra.as_ref().and_then(|e| e.source.as_ref());
        let run = match (source, &sent.item) {
            (Some(source), _) => source.clone(),
            (None, Item::Run(run)) => run.clone(),
            (None, Item::Whole(_) | Item::Misfit { .. } | Item::Gap) => return,
        };
        kept.bytes += run.frames.len();
        self.charge.add(run.frames.len() + ITEM_BYTES);
        self.pinning.0 += usize::from(run.pins.is_some());
        kept.runs.push_back(run);
    }

    /// The reader of `sub` has taken so many more.
    pub(in crate::hub::core) fn took(&mut self, sub: u32, count: u64) {
        let Some(window) = self.subs.get_mut(&sub).and_then(|q| q.window_mut()) else {
            return;
        };
        let mut count = count.min(window.unconfirmed);
        window.unconfirmed -= count;
        if let Some(kept) = &mut window.kept {
            while count > 0
                && let Some(first) = kept.runs.front_mut()
            {
                let n = u32::try_from(count).unwrap_or(u32::MAX).min(first.count);
                count -= u64::from(n);
                if n < first.count {
                    let bytes = first.split(n).frames.len();
                    kept.bytes -= bytes;
                    self.charge.sub(bytes);
                } else if let Some(done) = kept.runs.pop_front() {
                    kept.bytes -= done.frames.len();
                    self.charge.sub(done.frames.len() + ITEM_BYTES);
                    self.pinning.0 -= usize::from(done.pins.is_some());
                }
            }
        }
        self.make_ready(sub);
    }

    /// What a group's member was given and nobody has confirmed, as it was published and in its order; what was sent is
    /// marked so.
    pub(in crate::hub::core) fn leave_to_others(&mut self, sub: u32) -> Vec<Run> {
        let Some(queue) = self.subs.get(&sub) else {
            return Vec::new();
        };
        let kept = queue.window().and_then(|w| w.kept.as_ref());
        let sent = kept.into_iter().flat_map(|kept| &kept.runs);
        let mut left: Vec<Run> = sent
            .map(|run| Run {
                flags: run.flags | flags::REDELIVERED,
                ..run.clone()
            })
            .collect();
        let mut next = queue.head;
        while let Some(key) = next {
            let waiting = self.lists.parked.get(key);
            next = waiting.next_of_sub;
            let source = waiting.extra.as_ref().and_then(|e| e.source.as_ref());
            match (source, &waiting.item) {
                (Some(run), _) | (None, Item::Run(run)) => left.push(run.clone()),
                (None, Item::Whole(_) | Item::Misfit { .. } | Item::Gap) => {}
            }
        }
        left
    }

    /// Nothing of `sub` is kept any longer.
    pub(super) fn forget_kept(&mut self, sub: u32) {
        let window = self.subs.get_mut(&sub).and_then(|q| q.window_mut());
        if let Some(kept) = window.and_then(|w| w.kept.as_mut()) {
            for run in kept.runs.drain(..) {
                self.charge.sub(run.frames.len() + ITEM_BYTES);
                self.pinning.0 -= usize::from(run.pins.is_some());
            }
            kept.bytes = 0;
        }
    }

    /// How busy `sub` is.
    pub(in crate::hub::core) fn load(&self, sub: u32) -> Option<Load> {
        let queue = self.subs.get(&sub)?;
        let room = match queue.bytes < queue.bounds.bytes {
            true => queue.bounds.messages.saturating_sub(queue.messages) as u64,
            false => 0,
        };
        Some(Load {
            is_full: room == 0,
            events: queue.messages as u64 + queue.window().map_or(0, |w| w.unconfirmed),
            turn: queue.care.as_ref().map_or(0, |c| c.turn),
            room,
        })
    }

    /// `sub` was given something, at this turn of its group.
    pub(in crate::hub::core) fn take_turn(&mut self, sub: u32, turn: u64) {
        if let Some(care) = self.subs.get_mut(&sub).and_then(|q| q.care.as_mut()) {
            care.turn = turn;
        }
    }

    /// Counts events among those that another member had been sent.
    pub(in crate::hub::core) fn count_redelivered(&mut self, sub: u32, events: u64) {
        if let Some(queue) = self.subs.get_mut(&sub) {
            queue.counts.redelivered += events;
        }
    }

    /// Puts what waits for `sub` in the order of sequence: what another member left comes before what is newer.
    pub(in crate::hub::core) fn sort(&mut self, sub: u32) {
        let mut keys = Vec::new();
        let mut next = self.subs.get(&sub).and_then(|q| q.head);
        let mut seq = 0;
        while let Some(key) = next {
            let waiting = self.lists.parked.get(key);
            next = waiting.next_of_sub;
            let source = waiting.extra.as_ref().and_then(|e| e.source.as_ref());
            match (source, &waiting.item) {
                (Some(run), _) | (None, Item::Run(run)) => seq = run.first_seq,
                // It stays behind what it stands behind.
                (None, Item::Whole(_) | Item::Misfit { .. } | Item::Gap) => {}
            }
            keys.push((seq, key));
        }
        keys.sort_by_key(|(seq, _)| *seq);
        for (at, (_, key)) in keys.iter().enumerate() {
            let waiting = self.lists.parked.get_mut(*key);
            waiting.next_of_sub = keys.get(at + 1).map(|(_, key)| *key);
            waiting.before_of_sub = at.checked_sub(1).map(|before| keys[before].1);
        }
        if let Some(queue) = self.subs.get_mut(&sub) {
            queue.head = keys.first().map(|(_, key)| *key);
            queue.tail = keys.last().map(|(_, key)| *key);
        }
        self.make_ready(sub);
    }
}
