//! Where an event or request goes, worked out from its publisher, topic and type, and remembered.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{
    Core,
    conn::Peer,
    edge::{How, how},
    item::Announced,
    mailbox,
    routes::{Route, Stamp},
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
    stamp: Stamp,
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
    /// Each gets it.
    pub(super) targets: Vec<Target>,
    /// Of each, one gets it.
    pub(super) groups: Vec<Group>,
    /// Nobody it goes to has terms that depend on the topic, so events of several topics may travel as one run.
    pub(super) mixes: bool,
    /// Somebody who is there takes what is published as it is.
    pub(super) is_plain: bool,
    /// How many of `targets` are there, rather than waited for.
    present: u64,
    /// The rule by which its topic keeps a history.
    pub(super) history: Option<usize>,
    /// Whether the topic's value may be retained; found out when first asked.
    may_retain: OnceCell<Result<(), Refusal>>,
}

impl Path {
    /// How many subscriptions get it, of those that are there.
    pub(super) fn matches(&self) -> u64 {
        self.present + self.groups.len() as u64
    }

    pub(super) fn leads_nowhere(&self) -> bool {
        self.targets.is_empty() && self.groups.is_empty()
    }
}

/// A subscription that an event goes to, or one that could answer a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) conn: u64,
    pub(super) sub: u32,
    pub(super) how: How,
}

/// A queue group, as far as it gets something.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Rc<str>,
    pub(super) members: Vec<Target>,
}

/// Who gets something.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) targets: Vec<Target>,
    /// Members of each group.
    pub(super) groups: BTreeMap<Rc<str>, Vec<Target>>,
    pub(super) mixes: bool,
}

type BySent = HashMap<Box<[u8]>, Rc<Path>>;

/// Paths of one connection, for events and for requests.
#[derive(Debug, Default)]
pub(super) struct PathCache {
    /// By what a path follows from: the action and the payload's kind; and the topic as sent.
    paths: HashMap<(Action, u64), BySent>,
    len: usize,
}

impl PathCache {
    fn get(&self, key: (Action, u64), sent: &[u8]) -> Option<&Rc<Path>> {
        self.paths.get(&key)?.get(sent)
    }

    fn insert(&mut self, key: (Action, u64), path: Rc<Path>) {
        if self.len >= PATHS {
            self.paths.clear();
            self.len = 0;
        }
        let paths = self.paths.entry(key).or_default();
        let old = paths.insert(path.sent.clone(), path);
        self.len += usize::from(old.is_none());
    }
}

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
        let key = (action, kind_number(kind));
        if let Some(path) = self.conn(id).and_then(|c| c.paths.get(key, sent))
            && self.routes.is_fresh(&path.stamp)
        {
            return Ok(Rc::clone(path));
        }
        let path = Rc::new(self.find_path(id, peer, action, kind, sent)?);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.paths.insert(key, Rc::clone(&path));
        }
        Ok(path)
    }

    fn find_path(
        &mut self,
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
        let found = match verdict {
            Ok(()) => self.targets(&topic, action, kind, ty.as_deref()),
            Err(_) => Found::default(),
        };
        let urgent = self.rules.is_control(action, topic.as_str());
        let is_there = |t: &&Target| self.conns.contains_key(&t.conn) && !self.is_closing(t.conn);
        let present = found.targets.iter().filter(is_there).count() as u64;
        let members = found.groups.values().flatten();
        let mut there = found.targets.iter().filter(is_there).chain(members);
        let is_plain = there.any(|t| t.how == How::AsIs);
        Ok(Path {
            is_plain,
            stamp: self.routes.stamp(topic.as_str()),
            kind,
            sent: sent.into(),
            urgent,
            present,
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
            targets: found.targets,
            groups: found
                .groups
                .into_iter()
                .map(|(name, members)| Group { name, members })
                .collect(),
            mixes: found.mixes,
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

    /// Who gets an event or request of this kind.
    pub(super) fn targets(
        &self,
        topic: &Topic,
        action: Action,
        kind: Payload,
        ty: Option<&Announced>,
    ) -> Found {
        let serve = action == Action::Request;
        let mut found = Found {
            mixes: true,
            ..Found::default()
        };
        for (route, by_wildcard) in self.routes.matching(topic.as_str(), serve) {
            let Some((conn, peer)) = self.conn(route.conn).and_then(|c| Some((c, c.peer()?)))
            else {
                let absent = self.absent_target(route, by_wildcard, topic);
                found.targets.extend(absent);
                continue;
            };
            let Some(sub) = conn.subs.get(&route.sub) else {
                continue;
            };
            let judge = by_wildcard || self.rules_changed;
            if judge && !self.may_have(peer, serve, topic) {
                continue;
            }
            found.mixes &= conn.outbox.is_plain(route.sub);
            let target = Target {
                conn: route.conn,
                sub: route.sub,
                how: how(kind, ty, conn.codec, sub.reader.as_ref().map(|r| &r.schema)),
            };
            match &sub.group {
                Some(group) => found
                    .groups
                    .entry(Rc::clone(group))
                    .or_default()
                    .push(target),
                None => found.targets.push(target),
            }
        }
        found
    }

    /// A target where nobody is just now: somebody's mailbox, or a subscription whose client may come back.
    fn absent_target(&self, route: Route, by_wildcard: bool, topic: &Topic) -> Option<Target> {
        let waits = match mailbox::owner(route.conn) {
            Some(owner) => self.mailboxes.get(owner)?.wants(topic),
            None => {
                let absent = self.sessions.absent(route.conn, route.sub)?;
                let judge = by_wildcard || self.rules_changed;
                !judge || self.may_have(&absent.peer, false, topic)
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
