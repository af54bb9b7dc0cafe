//! Events that outlive their way to whoever was there: retained values, histories, and mail for those who are still to
//! subscribe. Each is in memory of its own, so that it keeps no read buffer alive, and counts in the hub's memory.

use std::{rc::Rc, time::Instant};

use bytes::Bytes;

use super::{
    item::{Announced, Card, Run, RunTypes},
    memory::{Charge, Tally},
    queue::copied,
};
use crate::{
    Topic,
    limits::KEPT_BYTES,
    wire::data::{self, Payload},
};

/// An event that is kept: one EMIT frame.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) topic: Topic,
    pub(super) card: Rc<Card>,
    pub(super) seq: u64,
    pub(super) kind: Payload,
    pub(super) ty: Option<Rc<Announced>>,
    pub(super) frame: Bytes,
    /// When nobody wants it any more.
    pub(super) until: Option<Instant>,
    charge: Charge,
}

/// What is known of an event that is to be kept.
pub(super) struct Event<'a> {
    pub(super) topic: &'a Topic,
    pub(super) card: &'a Rc<Card>,
    pub(super) seq: u64,
    pub(super) kind: Payload,
    pub(super) ty: Option<&'a Rc<Announced>>,
    /// The whole frame.
    pub(super) frame: &'a Bytes,
    pub(super) until: Option<Instant>,
}

impl Kept {
    pub(super) fn new(event: &Event<'_>, tally: &Tally) -> Self {
        Self {
            topic: event.topic.clone(),
            card: Rc::clone(event.card),
            seq: event.seq,
            kind: event.kind,
            ty: event.ty.cloned(),
            frame: copied(event.frame),
            until: event.until,
            charge: tally.charge(event.frame.len() + KEPT_BYTES),
        }
    }

    /// The events of a run, one by one.
    pub(super) fn each(run: &Run, tally: &Tally) -> Vec<Rc<Self>> {
        let mut rest = run.frames.clone();
        let mut kept = Vec::with_capacity(run.count as usize);
        for ((flags, body), seq) in data::frames(run.frames.clone()).zip(run.first_seq..) {
            let frame = rest.split_to(rest.len().min(body.len() + crate::wire::HEADER_BYTES));
            let Ok(head) = data::emit(&body, flags) else {
                continue;
            };
            let ty = match head.kind {
                Payload::Postcard(index) => run.types.iter().find(|ty| ty.index == index),
                Payload::Json | Payload::Bytes => None,
            };
            let sent = std::str::from_utf8(head.topic).unwrap_or_default();
            let topic = match sent {
                "" => ty.and_then(|ty| ty.topic.clone()),
                sent => Topic::new(sent).ok(),
            };
            let Some(topic) = topic else { continue };
            let event = Self::new(
                &Event {
                    topic: &topic,
                    card: &run.card,
                    seq,
                    kind: head.kind,
                    ty,
                    frame: &frame,
                    until: run.until,
                },
                tally,
            );
            kept.push(Rc::new(event));
        }
        kept
    }

    /// Bytes of memory it takes.
    pub(super) fn held(&self) -> usize {
        self.charge.bytes()
    }

    /// Whether nobody wants it any more.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// As a run with these flags.
    pub(super) fn run(&self, flags: u8) -> Run {
        Run {
            card: Rc::clone(&self.card),
            first_seq: self.seq,
            count: 1,
            flags,
            frames: self.frame.clone(),
            types: RunTypes::from(self.ty.clone()),
            pins: None,
            until: self.until,
        }
    }
}
