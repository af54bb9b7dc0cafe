//! Events that change their form only when they are written.
//!
//! Where some readers of an event take it as it is and others don't, it waits for all of them as it was published: what waits for
//! a reader that doesn't read, or falls out of its queue, is never converted.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;

use super::{
    Core,
    edge::{Converted, Forms, How, Making, Text},
    item::{Announced, Item, Run},
    parcel::{misfit, text_item, typed_item},
    thrift::Thrift,
};
use crate::{Topic, TypeKey, wire::data};

/// What all events of a run are, which several subscriptions may want in other forms.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) topic: Topic,
    pub(super) ty: Option<Rc<Announced>>,
    /// What any payload may have, in bytes.
    pub(super) most: usize,
}

/// How the events of a run change their form for one subscription.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) subject: Rc<Subject>,
    pub(super) how: How,
}

impl Later {
    /// What `run`, of one event, becomes for subscription `sub`.
    pub(super) fn make(&self, sub: u32, run: &Run, recent: &mut Recent) -> Item {
        let (topic, seq) = (&self.subject.topic, run.first_seq);
        let Some((forms, headers)) = self.event(run) else {
            return misfit(run, topic, seq, "it is no event".into());
        };
        // Nobody else may be going to ask for it.
        let is_shared = Rc::strong_count(&self.subject) > 1;
        match &self.how {
            How::AsIs => Item::Run(Run {
                later: None,
                ..run.clone()
            }),
            How::Misfit(reason) => misfit(run, topic, seq, Rc::clone(reason)),
            How::Typed(making) => {
                let made = recent.typed(seq, making, forms, is_shared);
                typed_item(run, seq, topic, &headers, made)
            }
            How::Text(making) => {
                let made = recent.text(seq, making.as_ref(), forms, is_shared);
                text_item(sub, run, seq, topic, &headers, made)
            }
        }
    }

    /// The event by itself, and its headers.
    fn event(&self, run: &Run) -> Option<(Forms, Bytes)> {
        let (flags, body) = data::frames(run.frames.clone()).next()?;
        let head = data::emit(&body, flags).ok()?;
        let headers = body.slice_ref(head.headers);
        let payload = body.slice(head.payload_at..);
        let (ty, most) = (self.subject.ty.clone(), self.subject.most);
        Some((Forms::new(head.kind, payload, ty, most), headers))
    }
}

/// What it takes to change forms when events are written.
#[derive(Debug)]
pub(super) struct Workshop {
    pub(super) thrift: Thrift,
    pub(super) recent: Recent,
}

impl Core {
    /// The hub's thread has slept so long in all.
    pub(in crate::hub) fn rested(&mut self, total: Duration) {
        self.workshop.thrift.rest(total);
    }

    /// Changing forms took so long.
    pub(in crate::hub) fn spent(&mut self, time: Duration) {
        self.workshop.thrift.spend(time);
    }

    /// Connections that found no time for it look again.
    pub(super) fn wake_waiting(&mut self) {
        for id in self.workshop.thrift.wake() {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.outbox.woken();
                self.mark(id);
            }
        }
    }
}

/// Bytes of what was made last.
const RECENT_BYTES: usize = 1 << 20;

/// What a place in the table takes, beside what was made.
const PLACE_BYTES: usize = 128;

/// What was made last of events that others may want too: once per event and form for readers that are about level, and
/// little memory whatever the others do.
#[derive(Debug, Default)]
pub(super) struct Recent {
    texts: HashMap<(u64, Option<TypeKey>), Converted<Rc<Text>>>,
    typed: HashMap<(u64, TypeKey), Converted<Bytes>>,
    /// Oldest first, with their bytes.
    order: VecDeque<(Made, usize)>,
    bytes: usize,
}

/// Where something made is.
#[derive(Clone, Copy, Debug)]
enum Made {
    Text(u64, Option<TypeKey>),
    Typed(u64, TypeKey),
}

impl Recent {
    fn typed(
        &mut self,
        seq: u64,
        making: &Making,
        mut forms: Forms,
        is_shared: bool,
    ) -> Converted<Bytes> {
        if !is_shared {
            return forms.typed(making);
        }
        let key = making.reader().key();
        if let Some(done) = self.typed.get(&(seq, key)) {
            return done.clone();
        }
        let done = forms.typed(making);
        let bytes = done.as_ref().map_or_else(|e| e.len(), Bytes::len);
        self.typed.insert((seq, key), done.clone());
        self.keep(Made::Typed(seq, key), bytes);
        done
    }

    fn text(
        &mut self,
        seq: u64,
        making: Option<&Making>,
        mut forms: Forms,
        is_shared: bool,
    ) -> Converted<Rc<Text>> {
        if !is_shared {
            return forms.text(making);
        }
        let key = making.map(|making| making.reader().key());
        if let Some(done) = self.texts.get(&(seq, key)) {
            return done.clone();
        }
        let done = forms.text(making);
        let bytes = done.as_ref().map_or_else(|e| e.len(), |text| text.len());
        self.texts.insert((seq, key), done.clone());
        self.keep(Made::Text(seq, key), bytes);
        done
    }

    /// Remembers where something is, and forgets the oldest that is too much.
    fn keep(&mut self, made: Made, bytes: usize) {
        self.order.push_back((made, bytes + PLACE_BYTES));
        self.bytes += bytes + PLACE_BYTES;
        while self.bytes > RECENT_BYTES
            && let Some((oldest, bytes)) = self.order.pop_front()
        {
            self.bytes -= bytes;
            match oldest {
                Made::Text(seq, key) => drop(self.texts.remove(&(seq, key))),
                Made::Typed(seq, key) => drop(self.typed.remove(&(seq, key))),
            }
        }
    }

    /// How many things were made and are remembered, and their bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.texts.len() + self.typed.len(), self.bytes)
    }
}
