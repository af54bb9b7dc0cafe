//! Reading a run, event by event.

use std::sync::Arc;

use bytes::Bytes;

use super::{Delivery, Received};
use crate::{
    Topic,
    client::{payload::Encoded, publishers::PublishedType, queue::RunItem},
    wire::{self, HEADER_BYTES, data},
};

/// How a payload becomes an item.
pub(in crate::client) type Decode<T> = fn(&Encoded<'_>, &mut Fits) -> Result<T, String>;

/// The publisher's type that was last found to be the reader's: events in a row are of the same one.
#[derive(Debug, Default)]
pub(in crate::client) struct Fits(Option<Arc<PublishedType>>);

impl Fits {
    /// Whether `published` is the type found last.
    pub(in crate::client) fn last_was(&self, published: &Arc<PublishedType>) -> bool {
        self.0
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, published))
    }

    pub(in crate::client) fn found(&mut self, published: &Arc<PublishedType>) {
        self.0 = Some(Arc::clone(published));
    }
}

/// A run that is being read.
#[derive(Debug)]
pub(super) struct Cursor {
    run: RunItem,
    at: usize,
    read: u32,
}

impl Cursor {
    pub(super) fn new(run: RunItem) -> Self {
        Self {
            run,
            at: 0,
            read: 0,
        }
    }

    /// Whether every event was read.
    pub(super) fn is_over(&self) -> bool {
        self.read >= self.run.count
    }

    /// How many events were read.
    pub(super) fn read(&self) -> u32 {
        self.read
    }

    /// The number of the connection it came by.
    pub(super) fn epoch(&self) -> u32 {
        self.run.epoch
    }

    /// Reads the next event of the run; there must be one.
    pub(super) fn next<T>(
        &mut self,
        decode: Decode<T>,
        fits: &mut Fits,
        last_topic: &mut Option<Topic>,
    ) -> Delivery<T> {
        let Some((frame_flags, from, to)) = self.frame() else {
            return self.broken("the run ends before its last event");
        };
        let body = &self.run.frames[from..to];
        let Ok(head) = data::emit(body, frame_flags) else {
            return self.broken("an event's header is malformed");
        };
        let (kind, payload_at) = (head.kind, from + head.payload_at);
        let headers = match head.headers {
            [] => Bytes::new(),
            some => self.run.frames.slice_ref(some),
        };
        let encoded = Encoded {
            at: payload_at,
            end: to,
            ..Encoded::new(&self.run.publisher, kind, &self.run.frames)
        };
        let Some(topic) = topic(head.topic, encoded.published, last_topic) else {
            return self.broken("an event's topic is malformed, or was never announced");
        };
        let seq = self.run.first_seq.wrapping_add(u64::from(self.read));
        let decoded = decode(&encoded, fits);
        let origin = Arc::clone(&self.run.publisher.origin);
        (self.at, self.read) = (to, self.read + 1);
        match decoded {
            Ok(event) => Delivery::Event(Received {
                event,
                origin,
                topic,
                seq,
                run_flags: self.run.flags,
                headers,
            }),
            Err(reason) => Delivery::Misfit {
                missed: 1,
                topic: topic.as_str().into(),
                reason,
            },
        }
    }

    /// Flags, and where the body of the next frame begins and ends.
    fn frame(&self) -> Option<(u8, usize, usize)> {
        let rest = &self.run.frames[self.at..];
        let size = wire::frame::peek(rest, rest.len()).ok().flatten()?;
        let flags = *rest.get(..size)?.get(HEADER_BYTES - 1)?;
        Some((flags, self.at + HEADER_BYTES, self.at + size))
    }

    /// Gives the rest of the run up.
    fn broken<T>(&mut self, reason: &str) -> Delivery<T> {
        let missed = u64::from(self.run.count - self.read);
        self.read = self.run.count;
        Delivery::Misfit {
            missed,
            topic: String::new(),
            reason: format!("the hub sent what is no run: {reason}"),
        }
    }
}

/// The topic of an event: by name, or the one announced with its type.
fn topic(
    named: &[u8],
    published: Option<&Arc<PublishedType>>,
    last: &mut Option<Topic>,
) -> Option<Topic> {
    if named.is_empty() {
        return published?.topic.clone();
    }
    if let Some(last) = last
        && last.as_str().as_bytes() == named
    {
        return Some(last.clone());
    }
    let topic = Topic::new(std::str::from_utf8(named).ok()?).ok()?;
    *last = Some(topic.clone());
    Some(topic)
}
