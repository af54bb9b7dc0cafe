//! Publishing: from an EMIT frame to the subscriptions that want it.
//!
//! What follows from publisher, topic and type alone is worked out once and remembered as a [`Path`]; consecutive frames
//! that go the same way are brought there as one [`Batch`].

use std::{collections::HashMap, rc::Rc};

use bytes::Bytes;

use super::{
    Core,
    conn::Peer,
    edge::{Forms, How, how},
    item::{Announced, RunTypes},
    retained::Value,
};
use crate::{
    Topic, TypeSchema,
    hub::{Action, Subject, authorize},
    wire::{
        control::{HubOp, Refusal, RefusalKind},
        data::{self, Payload},
        flags,
    },
};

/// A run's longest length: subscribers read it into a buffer of this order. One event may be longer.
const RUN_BYTES: usize = 64 << 10;

/// Paths that a connection remembers by topic or by type; over it, it begins anew.
const PATHS: usize = 128;

/// Where an event or request goes, and whether it may.
#[derive(Debug)]
pub(super) struct Path {
    epoch: u64,
    kind: Payload,
    /// The topic as sent.
    sent: Box<[u8]>,
    pub(super) topic: Topic,
    pub(super) verdict: Result<(), Refusal>,
    /// It belongs to the control lane.
    pub(super) urgent: bool,
    pub(super) ty: Option<Rc<Announced>>,
    /// JSON must fit it.
    pub(super) builtin: Option<TypeSchema>,
    pub(super) targets: Vec<Target>,
}

/// A subscription that an event goes to, or one that could answer a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) conn: u64,
    pub(super) sub: u32,
    pub(super) how: How,
}

/// Paths of one connection, for events and for requests.
#[derive(Debug, Default)]
pub(super) struct PathCache {
    paths: HashMap<PathKey, Rc<Path>>,
}

/// What a path follows from: the action, the payload's kind, and the topic as sent.
type PathKey = (Action, u64, Box<[u8]>);

/// A number for each payload kind and type.
fn kind_number(kind: Payload) -> u64 {
    match kind {
        Payload::Json => 0,
        Payload::Bytes => 1,
        Payload::Postcard(index) => 2 + u64::from(index),
    }
}

/// Consecutive events that go the same way.
pub(super) struct Batch<'a> {
    pub(super) input: &'a Bytes,
    pub(super) path: Option<Rc<Path>>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) count: u32,
    pub(super) first_seq: u64,
    pub(super) types: RunTypes,
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
        }
    }

    /// The last event's path, if this one has the same.
    fn same_path(&self, kind: Payload, topic: &[u8]) -> Option<Rc<Path>> {
        let path = self.path.as_ref()?;
        (path.kind == kind && *path.sent == *topic).then(|| Rc::clone(path))
    }

    /// Takes the frame up to `end` in, if it goes the same way and follows directly.
    fn extend(&mut self, path: &Rc<Path>, at: usize, end: usize) -> bool {
        let Some(mine) = self.path.as_ref().filter(|_| self.count > 0) else {
            return false;
        };
        let same_way = Rc::ptr_eq(mine, path)
            || (!mine.urgent && !path.urgent && mine.targets == path.targets);
        // Where a payload changes its form, every event of the run must be of the one type that is at hand.
        let plain = Rc::ptr_eq(mine, path) || path.targets.iter().all(|t| t.how == How::AsIs);
        if !same_way
            || !plain
            || path.urgent
            || at != self.end
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
        let body = &input[frame.at + crate::wire::HEADER_BYTES..frame.end];
        let head = match data::emit(body, frame.flags) {
            Ok(head) => head,
            Err(e) => {
                return self.refuse_unasked(id, "", RefusalKind::Malformed, e.to_string());
            }
        };
        let payload_bytes = body.len() - head.payload_at;
        let known = batch.same_path(head.kind, head.topic);
        let checked = self
            .check_payload_size(payload_bytes)
            .and_then(|()| match known {
                Some(path) => Ok(path),
                None => self.path(id, peer, Action::Emit, head.kind, head.topic),
            })
            .and_then(|path| path.verdict.clone().map(|()| path));
        let path = match checked {
            Ok(path) => path,
            Err(refusal) => return self.refuse_emit(id, head.ack, head.topic, refusal),
        };
        let payload = || input.slice(frame.end - payload_bytes..frame.end);
        if let Some(builtin) = &path.builtin
            && head.kind == Payload::Json
            && let Err(reason) = Forms::new(head.kind, payload(), None).fits(builtin)
        {
            let refusal = Refusal {
                kind: RefusalKind::Misfit,
                reason: format!("{}: {reason}", path.topic),
            };
            return self.refuse_emit(id, head.ack, head.topic, refusal);
        }
        if frame.flags & flags::RETAIN != 0
            && let Err(refusal) = self.retain(peer, &path, batch, frame)
        {
            return self.refuse_emit(id, head.ack, head.topic, refusal);
        }
        let seq = self.next_seq(path.urgent);
        let count = path.targets.len() as u64;
        if !batch.extend(&path, frame.at, frame.end) {
            self.bring(id, peer, batch);
            batch.start = frame.at;
            batch.end = frame.end;
            batch.count = 1;
            batch.first_seq = seq;
            batch.types = RunTypes::from(path.ty.clone());
            batch.path = Some(path);
        }
        if let Some(r#ref) = head.ack {
            self.answer(id, r#ref, HubOp::Done { count });
        }
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

    fn refuse_emit(&mut self, id: u64, ack: Option<u64>, sent: &[u8], refusal: Refusal) {
        match ack {
            Some(r#ref) => self.answer(id, r#ref, HubOp::Refused(refusal)),
            None => {
                let topic = String::from_utf8_lossy(sent);
                self.refuse_unasked(id, &topic, refusal.kind, refusal.reason);
            }
        }
    }

    fn retain(
        &mut self,
        peer: &Peer,
        path: &Rc<Path>,
        batch: &Batch<'_>,
        frame: &EmitFrame,
    ) -> Result<(), Refusal> {
        let value = Value {
            topic: path.topic.clone(),
            card: Rc::clone(&peer.card),
            seq: self.seq[usize::from(path.urgent)] + 1,
            ty: path.ty.clone(),
            frame: Bytes::copy_from_slice(&batch.input[frame.at..frame.end]),
            urgent: path.urgent,
        };
        self.retained
            .keep(value, &self.limits)
            .map_err(|reason| Refusal {
                kind: RefusalKind::Limit,
                reason: format!("{}: {reason}", path.topic),
            })
    }

    /// Where events or requests of this kind go from connection `id`: as remembered, or worked out anew.
    pub(super) fn path(
        &mut self,
        id: u64,
        peer: &Peer,
        action: Action,
        kind: Payload,
        sent: &[u8],
    ) -> Result<Rc<Path>, Refusal> {
        let key = (action, kind_number(kind), Box::from(sent));
        let epoch = self.routes.epoch();
        if let Some(path) = self.conn(id).and_then(|c| c.paths.paths.get(&key))
            && path.epoch == epoch
        {
            return Ok(Rc::clone(path));
        }
        let path = Rc::new(self.find_path(id, peer, action, kind, sent)?);
        if let Some(conn) = self.conns.get_mut(&id) {
            if conn.paths.paths.len() >= PATHS {
                conn.paths.paths.clear();
            }
            conn.paths.paths.insert(key, Rc::clone(&path));
        }
        Ok(path)
    }

    fn find_path(
        &self,
        id: u64,
        peer: &Peer,
        action: Action,
        kind: Payload,
        sent: &[u8],
    ) -> Result<Path, Refusal> {
        let ty = match kind {
            Payload::Postcard(index) => Some(self.announced(id, index)?),
            Payload::Json | Payload::Bytes => None,
        };
        let topic = topic_of(sent, ty.as_deref())?;
        let builtin = self.types.builtin(topic.as_str()).cloned();
        let verdict = authorize(
            &self.rules,
            &peer.principal,
            action,
            Subject::Topic(topic.as_str()),
        )
        .map_err(|reason| Refusal {
            kind: RefusalKind::Denied,
            reason,
        })
        .and_then(|()| fits_builtin(&topic, kind, ty.as_deref(), builtin.as_ref()));
        let targets = match verdict {
            Ok(()) => self.targets(&topic, action, kind, ty.as_deref()),
            Err(_) => Vec::new(),
        };
        Ok(Path {
            epoch: self.routes.epoch(),
            kind,
            sent: sent.into(),
            urgent: self.rules.is_control(action, topic.as_str()),
            topic,
            verdict,
            ty,
            builtin,
            targets,
        })
    }

    pub(super) fn announced(&self, id: u64, index: u32) -> Result<Rc<Announced>, Refusal> {
        self.conn(id)
            .and_then(|c| c.types.get(&index))
            .map(Rc::clone)
            .ok_or_else(|| Refusal {
                kind: RefusalKind::BadType,
                reason: format!("type {index} was not announced on this connection"),
            })
    }

    fn targets(
        &self,
        topic: &Topic,
        action: Action,
        kind: Payload,
        ty: Option<&Announced>,
    ) -> Vec<Target> {
        let serve = action == Action::Request;
        self.routes
            .matching(topic.as_str(), serve)
            .filter_map(|(route, by_wildcard)| {
                let conn = self.conn(route.conn)?;
                let sub = conn.subs.get(&route.sub)?;
                let may_have = !by_wildcard || self.may_have(conn.peer()?, serve, topic);
                may_have.then(|| Target {
                    conn: route.conn,
                    sub: route.sub,
                    how: how(kind, ty, conn.codec, sub.reader.as_ref().map(|r| &r.schema)),
                })
            })
            .collect()
    }

    /// Whether a subscription with wildcards gets this topic: its pattern was allowed, but perhaps not all of it.
    pub(super) fn may_have(&self, peer: &Peer, serve: bool, topic: &Topic) -> bool {
        let action = if serve {
            Action::Serve
        } else {
            Action::Subscribe
        };
        let subject = Subject::Topic(topic.as_str());
        authorize(&self.rules, &peer.principal, action, subject).is_ok()
    }
}

fn topic_of(sent: &[u8], ty: Option<&Announced>) -> Result<Topic, Refusal> {
    if sent.is_empty()
        && let Some(topic) = ty.and_then(|t| t.topic.clone())
    {
        return Ok(topic);
    }
    let bad = |reason: String| Refusal {
        kind: RefusalKind::BadTopic,
        reason,
    };
    let text = std::str::from_utf8(sent).map_err(|_| bad("a topic that is not UTF-8".into()))?;
    Topic::new(text).map_err(|e| bad(e.to_string()))
}

/// Whether a built-in topic takes this kind and type; JSON is looked at event by event.
fn fits_builtin(
    topic: &Topic,
    kind: Payload,
    ty: Option<&Announced>,
    builtin: Option<&TypeSchema>,
) -> Result<(), Refusal> {
    let Some(builtin) = builtin else {
        return Ok(());
    };
    let got = match (kind, ty) {
        (Payload::Json, _) => return Ok(()),
        (Payload::Postcard(_), Some(ty)) if ty.schema == *builtin => return Ok(()),
        (Payload::Postcard(_), Some(ty)) => ty.schema.to_string(),
        (Payload::Postcard(_), None) => "an unknown type".into(),
        (Payload::Bytes, _) => "plain bytes".into(),
    };
    Err(Refusal {
        kind: RefusalKind::BadType,
        reason: format!("{topic} is built in: its type is {builtin}, and this is {got}"),
    })
}
