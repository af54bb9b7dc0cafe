//! From the queue to the wire, each event behind what must be known of its publisher.

use std::{collections::HashSet, rc::Rc, time::Instant};

use super::{Known, Loss, Outbox, Waiting};
use crate::{
    Topic,
    hub::core::{
        item::{Announced, Card, Item, Run},
        list::{Key, List},
        output::Output,
    },
    wire::{
        control::HubOp,
        data::{self, RUN_BYTES},
        frame::FrameType,
        hello::Codec,
    },
};

impl Outbox {
    /// Moves what may be written now into `out`.
    pub(in crate::hub::core) fn take(&mut self, now: Instant, out: &mut Output) {
        while !out.is_full() {
            if let Some(ask) = self.take_ask() {
                out.put_control(self.codec, ask);
                continue;
            }
            if let Some((sub, missed)) = self.urgent_lost.pop_first() {
                out.put_control(self.codec, HubOp::Lagged { sub, missed });
                if let Some(queue) = self.subs.get_mut(&sub) {
                    queue.told.lose(&Loss::of(missed));
                }
            }
            if let Some(urgent) = self.urgent.pop_front() {
                self.own -= usize::from(urgent.from.is_none());
                self.release(&urgent.item);
                if let Some(sub) = urgent.sub {
                    self.count_written(now, sub, &Loss::default(), &urgent.item);
                }
                self.write(now, urgent.sub, Loss::default(), urgent.item, out);
                continue;
            }
            self.write_goners(out);
            let front = self.lists.data.front();
            let order = front.map(|key| self.lists.data.get(key).order);
            if let Some(&(ready, sub)) = self.ready.first()
                && order.is_none_or(|order| ready < order)
            {
                self.take_parked(now, sub, out);
                continue;
            }
            let Some(key) = front else { break };
            let waiting = self.take_front(now, key);
            self.write(now, waiting.sub, waiting.loss, waiting.item, out);
        }
        if self.urgent.is_empty() {
            self.urgent.shrink_to(4);
        }
    }

    fn take_front(&mut self, now: Instant, key: Key) -> Waiting {
        let Some(sub) = self.lists.data.get(key).sub else {
            let waiting = self.lists.data.remove(key);
            self.release(&waiting.item);
            self.unowned.0 -= 1;
            self.unowned.1 -= waiting.item.bytes();
            return waiting;
        };
        match self.subs.get_mut(&sub) {
            // The common case: the first of the queue is the first of its subscription.
            Some(queue) if queue.care.is_none() => {
                let waiting = self.lists.data.remove(key);
                queue.head = waiting.next_of_sub;
                if queue.head.is_none() {
                    queue.tail = None;
                }
                queue.messages -= waiting.item.messages();
                queue.bytes -= waiting.item.bytes();
                queue.write(now, &waiting.loss, &waiting.item);
                self.release(&waiting.item);
                waiting
            }
            Some(_) | None => {
                let waiting = self.take_out(sub, key);
                self.count_written(now, sub, &waiting.loss, &waiting.item);
                self.ease(now, sub);
                waiting
            }
        }
    }

    /// Counts what is about to be written for `sub`.
    pub(super) fn count_written(&mut self, now: Instant, sub: u32, loss: &Loss, item: &Item) {
        if let Some(queue) = self.subs.get_mut(&sub) {
            queue.write(now, loss, item);
        }
    }

    /// Writes what was counted: the loss, and the item unless it is late.
    pub(super) fn write(
        &mut self,
        now: Instant,
        sub: Option<u32>,
        loss: Loss,
        item: Item,
        out: &mut Output,
    ) {
        let sub = sub.unwrap_or_default();
        if loss.events > 0 {
            let missed = loss.events;
            out.put_control(self.codec, HubOp::Lagged { sub, missed });
        }
        if item.is_late(now) {
            return;
        }
        match item {
            Item::Run(run) => self.write_run(sub, run, out),
            Item::Whole(whole) => {
                if let Some(card) = &whole.card {
                    self.introduce(card, whole.ty.as_ref(), out);
                }
                out.put_bytes(&whole.head);
                out.put_tail(whole.payload);
            }
            Item::Misfit {
                missed,
                last_seq: _,
                topic,
                reason,
            } => {
                let (topic, reason) = (topic.to_string(), reason.to_string());
                out.put_control(
                    self.codec,
                    HubOp::Misfit {
                        sub,
                        missed,
                        topic,
                        reason,
                    },
                );
            }
            Item::Gap => {}
        }
    }

    fn write_run(&mut self, sub: u32, run: Run, out: &mut Output) {
        self.introduce(&run.card, None, out);
        for ty in run.types.iter() {
            self.introduce(&run.card, Some(ty), out);
        }
        out.put_head(FrameType::Run, run.flags, RUN_BYTES + run.frames.len());
        data::put_run(
            out.end(),
            data::Run {
                conn: run.card.conn,
                first_seq: run.first_seq,
                sub,
                count: run.count,
            },
        );
        out.put_tail(run.frames);
    }

    /// Tells of a publisher and its type, unless that was told before.
    fn introduce(&mut self, card: &Rc<Card>, ty: Option<&Rc<Announced>>, out: &mut Output) {
        if self.codec == Codec::Json {
            return;
        }
        let conn = card.conn;
        let known = self.known.entry(conn).or_insert_with(|| {
            let origin = card.origin.clone();
            out.put_control(self.codec, HubOp::OriginIs { conn, origin });
            card.known_to.borrow_mut().insert(self.conn);
            if card.gone.get() {
                self.goners.push_back((self.order, conn));
            }
            Known {
                card: Rc::clone(card),
                types: HashSet::new(),
            }
        });
        if let Some(ty) = ty
            && known.types.insert(ty.index)
        {
            let topic = ty.topic.as_ref().map(Topic::to_string).unwrap_or_default();
            let op = HubOp::TypeIs {
                conn,
                index: ty.index,
                topic,
                schema: ty.schema.encoded().to_vec(),
            };
            out.put_control(self.codec, op);
        }
    }

    /// Tells of publishers that have gone and have nothing left here.
    fn write_goners(&mut self, out: &mut Output) {
        while let Some(&(last, conn)) = self.goners.front() {
            let first = |list: &List<Waiting>| list.front().map(|key| list.get(key).order);
            let waits = [first(&self.lists.data), first(&self.lists.parked)];
            if waits.iter().flatten().any(|order| *order <= last) {
                return;
            }
            self.goners.pop_front();
            if let Some(known) = self.known.remove(&conn) {
                known.card.known_to.borrow_mut().remove(&self.conn);
                out.put_control(self.codec, HubOp::Forget { conn });
            }
        }
    }
}
