//! Publishing: from an EMIT frame to the subscriptions that want it.
//!
//! What follows from publisher, topic and type alone is worked out once and remembered as a [`Path`]; consecutive frames
//! that go the same way are brought there as one [`Batch`].

use std::{rc::Rc, time::Instant};

use bytes::Bytes;

use super::{
    Core,
    alike::Head,
    conn::Peer,
    edge::{Forms, How},
    expiry::deadline,
    item::RunTypes,
    kept::{Event, Kept},
    path::Path,
    reliable::Outcome,
};
use crate::{
    hub::{Action, Role},
    wire::{
        HEADER_BYTES,
        control::{HubOp, Refusal, RefusalKind},
        data::{self, Payload},
        flags, headers,
    },
};

/// A run's longest length: subscribers read it into a buffer of this order. One event may be longer.
const RUN_BYTES: usize = 64 << 10;

/// Consecutive events that go the same way.
pub(super) struct Batch<'a> {
    pub(super) input: &'a Bytes,
    pub(super) path: Option<Rc<Path>>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) count: u32,
    pub(super) first_seq: u64,
    pub(super) types: RunTypes,
    /// When nobody wants them any more: all at the same time.
    pub(super) until: Option<Instant>,
    /// Of the last event, if those that begin alike may follow it without being looked at.
    head: Option<Head>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(input: &'a Bytes) -> Self {
        Self {
            input,
            path: None,
            start: 0,
            end: 0,
            count: 0,
            first_seq: 0,
            types: RunTypes::default(),
            until: None,
            head: None,
        }
    }

    /// Begins with one event; what was before must be on its way.
    fn begin(&mut self, path: Rc<Path>, frame: &EmitFrame, seq: u64, until: Option<Instant>) {
        self.start = frame.at;
        self.end = frame.end;
        self.count = 1;
        self.first_seq = seq;
        self.types = RunTypes::from(path.ty.clone());
        self.until = until;
        self.path = Some(path);
    }

    /// The last event's path, if this one has the same.
    fn same_path(&self, kind: Payload, topic: &[u8]) -> Option<Rc<Path>> {
        let path = self.path.as_ref()?;
        (path.kind == kind && *path.sent == *topic).then(|| Rc::clone(path))
    }

    /// Takes the frame up to `end` in, if it goes the same way and follows directly.
    fn extend(&mut self, path: &Rc<Path>, frame: &EmitFrame, until: Option<Instant>) -> bool {
        let (at, end) = (frame.at, frame.end);
        let Some(mine) = self.path.as_ref().filter(|_| self.count > 0) else {
            return false;
        };
        let same_way = Rc::ptr_eq(mine, path)
            || (mine.mixes && path.mixes && !mine.urgent && mine.targets == path.targets);
        // Where a payload changes its form, every event of the run must be of the one type that is at hand.
        let plain = Rc::ptr_eq(mine, path) || path.targets.iter().all(|t| t.how == How::AsIs);
        if !same_way
            || !plain
            || path.urgent
            || at != self.end
            || until != self.until
            || end - self.start > RUN_BYTES
            || !self.types.hold(path.ty.as_ref())
        {
            return false;
        }
        self.end = end;
        self.count += 1;
        // What comes next is most like what came last.
        if !Rc::ptr_eq(mine, path) {
            self.path = Some(Rc::clone(path));
        }
        true
    }
}

/// An EMIT frame within an input.
pub(super) struct EmitFrame {
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) flags: u8,
}

impl Core {
    /// Takes one EMIT frame. Whoever calls it brings the batch on its way afterwards.
    pub(super) fn emit(&mut self, id: u64, peer: &Peer, batch: &mut Batch<'_>, frame: &EmitFrame) {
        let input = batch.input;
        let body = &input[frame.at + HEADER_BYTES..frame.end];
        let head = match data::emit(body, frame.flags) {
            Ok(head) => head,
            Err(e) => {
                return self.refuse_unasked(id, "", RefusalKind::Malformed, e.to_string());
            }
        };
        let reliable = frame.flags & flags::RELIABLE != 0;
        let number = match (reliable, head.ack) {
            (true, None) => {
                let reason = "a reliable event needs a reference".into();
                return self.refuse_unasked(id, "", RefusalKind::Malformed, reason);
            }
            (true, number) => number,
            (false, _) => None,
        };
        if number.is_some_and(|number| !self.is_new(id, number)) {
            return;
        }
        let path = match self.admit(id, peer, batch, frame, &head) {
            Ok(path) => path,
            Err(refusal) => {
                if let Some(number) = number {
                    self.settled(id, number, Outcome::Refused(refusal.kind));
                }
                return self.refuse_emit(id, &head, refusal);
            }
        };
        let seq = self.next_seq(path.urgent);
        let count = path.matches();
        if let Some(number) = number {
            self.settled(id, number, Outcome::Taken(count));
        }
        let until = self.until(&head);
        if let Some(rule) = path.history {
            let slice = batch.input.slice(frame.at..frame.end);
            let kept = Kept::new(&event(peer, &path, seq, &slice, until), &self.tally);
            self.history.keep(rule, kept, self.now);
            self.relieve();
        }
        if !batch.extend(&path, frame, until) {
            self.bring(id, peer, batch);
            batch.begin(Rc::clone(&path), frame, seq, until);
        }
        // What is kept, answered or looked into is so for each event.
        let is_plain =
            frame.flags == 0 && path.builtin.is_none() && path.history.is_none() && !path.urgent;
        batch.head = is_plain.then(|| Head::of(frame.at, head.payload_at));
        if let Some(r#ref) = head.ack {
            self.answer(id, r#ref, HubOp::Done { count });
        }
    }

    /// Takes in the frames from `at` on that are published exactly as the last one was; gives where they end.
    pub(super) fn emit_alike(&mut self, batch: &mut Batch<'_>, at: usize) -> usize {
        let Some(head) = batch.head.filter(|_| batch.count > 0 && at == batch.end) else {
            return at;
        };
        let most = self.limits.payload_bytes;
        let (count, end) = head.follow(batch.input, at, batch.start + RUN_BYTES, most);
        batch.count += count;
        batch.end = end;
        self.seq[usize::from(false)] += u64::from(count);
        end
    }

    /// Whether an event may be published, where it goes, and that it is retained if it asks for it.
    fn admit(
        &mut self,
        id: u64,
        peer: &Peer,
        batch: &Batch<'_>,
        frame: &EmitFrame,
        head: &data::Emit<'_>,
    ) -> Result<Rc<Path>, Refusal> {
        let payload_at = frame.at + HEADER_BYTES + head.payload_at;
        self.check_payload_size(frame.end - payload_at)?;
        headers::check(head.headers).map_err(|e| Refusal {
            kind: RefusalKind::Malformed,
            reason: e.to_string(),
        })?;
        let path = match batch.same_path(head.kind, head.topic) {
            Some(path) => path,
            None => self.path(id, peer, Action::Emit, head.kind, head.topic)?,
        };
        path.verdict.clone()?;
        if let Some(builtin) = &path.builtin
            && head.kind == Payload::Json
        {
            let payload = batch.input.slice(payload_at..frame.end);
            Forms::new(head.kind, payload, None, self.limits.payload_bytes)
                .fits(builtin)
                .map_err(|reason| Refusal {
                    kind: RefusalKind::Misfit,
                    reason: format!("{}: {reason}", path.topic),
                })?;
        }
        if frame.flags & flags::RETAIN != 0 {
            let slice = batch.input.slice(frame.at..frame.end);
            let is_empty = frame.end == payload_at && head.kind == Payload::Bytes;
            self.retain(peer, &path, &slice, self.until(head), is_empty)?;
        }
        Ok(path)
    }

    fn next_seq(&mut self, urgent: bool) -> u64 {
        let seq = &mut self.seq[usize::from(urgent)];
        *seq += 1;
        *seq
    }

    pub(super) fn check_payload_size(&self, bytes: usize) -> Result<(), Refusal> {
        if bytes <= self.limits.payload_bytes {
            return Ok(());
        }
        Err(Refusal {
            kind: RefusalKind::Limit,
            reason: format!(
                "a payload of {bytes} bytes: at most {} are allowed",
                self.limits.payload_bytes
            ),
        })
    }

    fn refuse_emit(&mut self, id: u64, head: &data::Emit<'_>, refusal: Refusal) {
        if let Some(r#ref) = head.ack {
            return self.answer(id, r#ref, HubOp::Refused(refusal));
        }
        let announced = match head.kind {
            Payload::Postcard(index) if head.topic.is_empty() => self.announced(id, index).ok(),
            Payload::Postcard(_) | Payload::Json | Payload::Bytes => None,
        };
        let topic = match announced.as_ref().and_then(|ty| ty.topic.as_ref()) {
            Some(topic) => topic.to_string(),
            None => String::from_utf8_lossy(head.topic).into_owned(),
        };
        self.refuse_unasked(id, &topic, refusal.kind, refusal.reason);
    }

    /// When nobody wants the event any more.
    fn until(&self, head: &data::Emit<'_>) -> Option<Instant> {
        head.ttl_ms
            .map(|ttl_ms| deadline(self.began, self.now, ttl_ms))
    }

    /// Keeps an event as its topic's value; without a payload, forgets the one it has.
    fn retain(
        &mut self,
        peer: &Peer,
        path: &Path,
        frame: &Bytes,
        until: Option<Instant>,
        is_empty: bool,
    ) -> Result<(), Refusal> {
        self.may_retain(peer, path)?;
        if is_empty {
            self.retained.delete(&path.topic);
            return Ok(());
        }
        let seq = self.seq[usize::from(path.urgent)] + 1;
        let value = Kept::new(&event(peer, path, seq, frame, until), &self.tally);
        let is_own = peer.principal.role() == Role::Master;
        let limits = (!is_own).then_some(&self.limits);
        self.retained
            .keep(Rc::new(value), limits, self.now)
            .map_err(|reason| Refusal {
                kind: RefusalKind::Limit,
                reason: format!("{}: {reason}", path.topic),
            })
    }
}

/// What is kept of an event.
fn event<'a>(
    peer: &'a Peer,
    path: &'a Path,
    seq: u64,
    frame: &'a Bytes,
    until: Option<Instant>,
) -> Event<'a> {
    Event {
        topic: &path.topic,
        card: &peer.card,
        seq,
        kind: path.kind,
        ty: path.ty.as_ref(),
        frame,
        until,
    }
}
