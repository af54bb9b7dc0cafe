//! Where an event or request goes, worked out from its publisher, topic and type, and remembered.

use std::{cell::OnceCell, collections::HashMap, rc::Rc};

use super::{
    Core,
    conn::Peer,
    edge::{How, how},
    item::Announced,
    mailbox,
    routes::Route,
};
use crate::{
    Topic, TypeSchema,
    hub::{Action, Subject, authorize},
    wire::{
        control::{Refusal, RefusalKind},
        data::Payload,
    },
};

/// Paths that a connection remembers by topic or by type; over it, it begins anew.
const PATHS: usize = 128;

/// Where an event or request goes, and whether it may.
#[derive(Debug)]
pub(super) struct Path {
    epoch: u64,
    pub(super) kind: Payload,
    /// The topic as sent.
    pub(super) sent: Box<[u8]>,
    pub(super) topic: Topic,
    pub(super) verdict: Result<(), Refusal>,
    /// It belongs to the control lane.
    pub(super) urgent: bool,
    pub(super) ty: Option<Rc<Announced>>,
    /// JSON must fit it.
    pub(super) builtin: Option<TypeSchema>,
    pub(super) targets: Vec<Target>,
    /// How many of them are there, rather than waited for.
    pub(super) present: u64,
    /// The rule by which its topic keeps a history.
    pub(super) history: Option<usize>,
    /// Whether the topic's value may be retained; found out when first asked.
    pub(super) may_retain: OnceCell<Result<(), Refusal>>,
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

impl Core {
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
        let urgent = self.rules.is_control(action, topic.as_str());
        let is_there = |t: &&Target| self.conns.contains_key(&t.conn) && !self.is_closing(t.conn);
        Ok(Path {
            epoch: self.routes.epoch(),
            kind,
            sent: sent.into(),
            urgent,
            present: targets.iter().filter(is_there).count() as u64,
            history: match action {
                Action::Emit if !urgent => self.history.rule(&topic),
                Action::Emit
                | Action::Retain
                | Action::Request
                | Action::Serve
                | Action::Subscribe => None,
            },
            may_retain: OnceCell::new(),
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

    /// Whether a path's topic may have a retained value of this publisher's.
    pub(super) fn may_retain(&self, peer: &Peer, path: &Path) -> Result<(), Refusal> {
        let find_out = || {
            let topic = path.topic.as_str();
            if path.urgent {
                let reason =
                    format!("{topic} travels in the control lane, where nothing is retained");
                return Err(reason);
            }
            let subject = Subject::Topic(topic);
            authorize(&self.rules, &peer.principal, Action::Retain, subject)
        };
        let denied = |reason| Refusal {
            kind: RefusalKind::Denied,
            reason,
        };
        let verdict = || find_out().map_err(denied);
        path.may_retain.get_or_init(verdict).clone()
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
                let Some(conn) = self.conn(route.conn).filter(|c| c.peer().is_some()) else {
                    return self.absent_target(route, by_wildcard, topic);
                };
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

    /// A target where nobody is just now: somebody's mailbox, or a subscription whose client may come back.
    fn absent_target(&self, route: Route, by_wildcard: bool, topic: &Topic) -> Option<Target> {
        let waits = match mailbox::owner(route.conn) {
            Some(owner) => self.mailboxes.get(owner)?.wants(topic),
            None => {
                let absent = self.sessions.absent(route.conn, route.sub)?;
                !by_wildcard || self.may_have(&absent.peer, false, topic)
            }
        };
        waits.then_some(Target {
            conn: route.conn,
            sub: route.sub,
            how: How::AsIs,
        })
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
