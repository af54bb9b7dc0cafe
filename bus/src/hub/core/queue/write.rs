//! From the queue to the wire, each event behind what must be known of its publisher.

use std::{collections::HashSet, rc::Rc};

use super::{Known, Outbox, Waiting};
use crate::{
    Topic,
    hub::core::{
        item::{Announced, Card, Item, Run},
        list::Key,
        output::Output,
        stats,
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
    pub(in crate::hub::core) fn take(&mut self, out: &mut Output) {
        while !out.is_full() {
            if let Some(urgent) = self.urgent.pop_front() {
                self.own -= usize::from(urgent.from.is_none());
                self.release(&urgent.item);
                if let Some(sub) = urgent.sub {
                    stats::hand_over(self.counts(sub), &urgent.item);
                }
                self.write(urgent.sub, 0, urgent.item, out);
                continue;
            }
            self.write_goners(out);
            let Some(key) = self.data.front() else { break };
            let waiting = self.take_front(key);
            self.write(waiting.sub, waiting.lagged, waiting.item, out);
        }
        if self.urgent.is_empty() {
            self.urgent.shrink_to(4);
        }
    }

    fn take_front(&mut self, key: Key) -> Waiting {
        let waiting = self.data.remove(key);
        self.release(&waiting.item);
        match waiting.sub {
            Some(sub) => {
                if let Some(queue) = self.subs.get_mut(&sub) {
                    queue.head = waiting.next_of_sub;
                    if queue.head.is_none() {
                        queue.tail = None;
                    }
                    queue.messages -= waiting.item.messages();
                    queue.bytes -= waiting.item.bytes();
                    stats::hand_over(&mut queue.counts, &waiting.item);
                }
            }
            None => {
                self.unowned.0 -= 1;
                self.unowned.1 -= waiting.item.bytes();
            }
        }
        waiting
    }

    fn write(&mut self, sub: Option<u32>, lagged: u64, item: Item, out: &mut Output) {
        let sub = sub.unwrap_or_default();
        if lagged > 0 {
            let missed = lagged;
            out.put_control(self.codec, HubOp::Lagged { sub, missed });
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
            let waits = self.data.front().map(|key| self.data.get(key).order);
            if waits.is_some_and(|order| order <= last) {
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
