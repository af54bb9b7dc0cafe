//! Control messages: announcements, subscriptions and the rest of what a connection asks of the hub itself.

use std::rc::Rc;

use super::{
    Core,
    conn::{Peer, Sub},
    item::{Announced, Whole},
    output::control_frame,
    queue::{Bounds, Terms, Told},
    routes::Route,
    types::SharedType,
};
use crate::{
    Pattern, SchemaLimits, Topic,
    hub::{Action, Subject, authorize},
    limits::TOPIC_BYTES,
    wire::{
        codec,
        control::{
            ClientControl, ClientOp, HubOp, OverflowPolicy, Refusal, RefusalKind, SubscribeOptions,
        },
        data::READERS_TYPE,
    },
};

/// What an announcement takes, beside its schema.
const ANNOUNCED_BYTES: usize = 128;

/// Events that a member of a group may be sent beyond what it confirmed, if it doesn't say: enough to keep it busy for the
/// time a confirmation takes, and what it may leave to others when it goes.
const GROUP_WINDOW: u32 = 1024;

type Done = Result<(), Refusal>;

fn refuse(kind: RefusalKind, reason: impl Into<String>) -> Done {
    Err(refusal(kind, reason))
}

fn refusal(kind: RefusalKind, reason: impl Into<String>) -> Refusal {
    Refusal {
        kind,
        reason: reason.into(),
    }
}

impl Core {
    /// Takes a control frame.
    pub(super) fn control(&mut self, id: u64, peer: &Peer, body: &[u8]) {
        let Some(codec) = self.conn(id).map(|c| c.codec) else {
            return;
        };
        let message: ClientControl = match codec::decode(codec, body) {
            Ok(message) => message,
            Err(e) => {
                let reason = format!("a control message that can't be read: {e}");
                let kind = RefusalKind::Malformed;
                return match codec::reference(codec, body) {
                    Some(r#ref) => {
                        self.answer(id, r#ref, HubOp::Refused(Refusal { kind, reason }));
                    }
                    None => self.refuse_unasked(id, "", kind, reason),
                };
            }
        };
        let r#ref = message.r#ref;
        let done = match message.op {
            ClientOp::Announce {
                index,
                topic,
                schema,
            } => self.announce(id, index, &topic, &schema),
            ClientOp::Subscribe {
                sub,
                pattern,
                reader,
                options,
            } => {
                let done = self.subscribe(id, peer, sub, &pattern, reader, &options);
                if done.is_ok() {
                    // Acknowledged first, then what was.
                    self.answer(id, r#ref, HubOp::Done { count: 0 });
                    if !options.serve {
                        self.bring_past(id, sub, &options);
                    }
                    return;
                }
                done
            }
            ClientOp::Unsubscribe { sub } => self.unsubscribe(id, sub),
            ClientOp::Decline { call, reason } => match self.decline(id, call, &reason) {
                true => Ok(()),
                false => refuse(
                    RefusalKind::TimedOut,
                    format!("call {call} waits for no reply of yours"),
                ),
            },
            ClientOp::Took { sub, count } => return self.took(id, sub, count),
            ClientOp::Drain => {
                // In order with the data: it is written when all before it is.
                if let Some(conn) = self.conns.get_mut(&id) {
                    let done = control_frame(codec, r#ref, HubOp::Done { count: 0 });
                    conn.outbox.push_unowned(Whole::plain(done));
                }
                return self.mark(id);
            }
        };
        self.answer(
            id,
            r#ref,
            match done {
                Ok(()) => HubOp::Done { count: 0 },
                Err(refusal) => HubOp::Refused(refusal),
            },
        );
    }

    fn announce(&mut self, id: u64, index: u32, topic: &str, schema: &[u8]) -> Done {
        let topic = match topic {
            "" => None,
            text => match Topic::new(text) {
                Ok(topic) => Some(topic),
                Err(e) => return refuse(RefusalKind::BadTopic, e.to_string()),
            },
        };
        let limit = self.limits.types;
        let Some(conn) = self.conn(id) else {
            return Ok(());
        };
        if index == READERS_TYPE || conn.types.contains_key(&index) {
            let reason = format!("type {index} can't be announced: it is taken");
            return refuse(RefusalKind::Malformed, reason);
        }
        if conn.types.len() >= limit {
            let reason = format!("this connection has announced {limit} types, and no more may");
            return refuse(RefusalKind::Limit, reason);
        }
        let shared = self.take_type(schema)?;
        if let Some(topic) = &topic
            && let Some(builtin) = self.types.builtin(topic.as_str())
            && *builtin != shared.schema
        {
            let reason = format!(
                "{topic} is built in: its type is {builtin}, and this is {}",
                shared.schema
            );
            return refuse(RefusalKind::BadType, reason);
        }
        let announced = Announced {
            index,
            topic,
            schema: shared.schema.clone(),
            shared,
            _charge: self.tally.charge(ANNOUNCED_BYTES),
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.types.insert(index, Rc::new(announced));
        }
        Ok(())
    }

    fn take_type(&mut self, encoded: &[u8]) -> Result<Rc<SharedType>, Refusal> {
        if self.tally.total() > self.limits.memory_bytes || self.types.is_full() {
            let reason = "the hub's memory for types is used up, and it takes no more for now";
            return Err(refusal(RefusalKind::Limit, reason));
        }
        let limits = SchemaLimits {
            bytes: self.limits.schema_bytes.min(SchemaLimits::DEFAULT.bytes),
            nodes: self.limits.schema_nodes.min(SchemaLimits::DEFAULT.nodes),
            ..SchemaLimits::DEFAULT
        };
        self.types
            .take(encoded, &limits)
            .map_err(|e| refusal(RefusalKind::BadType, e.to_string()))
    }

    fn may_subscribe(
        &self,
        id: u64,
        peer: &Peer,
        sub: u32,
        pattern: &str,
        options: &SubscribeOptions,
    ) -> Result<Pattern, Refusal> {
        let pattern =
            Pattern::new(pattern).map_err(|e| refusal(RefusalKind::BadTopic, e.to_string()))?;
        let limit = self.limits.subscriptions;
        let subs = self.conn(id).map(|c| &c.subs);
        if subs.is_some_and(|s| s.contains_key(&sub)) {
            let reason = format!("this connection has a subscription {sub} already");
            return Err(refusal(RefusalKind::Malformed, reason));
        }
        if subs.is_some_and(|s| s.len() >= limit) {
            let reason = format!("this connection has {limit} subscriptions, and no more may");
            return Err(refusal(RefusalKind::Limit, reason));
        }
        let action = match options.serve {
            true => Action::Serve,
            false => Action::Subscribe,
        };
        let subject = match pattern.exact() {
            Some(topic) => Subject::Topic(topic),
            None => Subject::Pattern(&pattern),
        };
        authorize(&self.rules, &peer.principal, action, subject)
            .map_err(|reason| refusal(RefusalKind::Denied, reason))?;
        Ok(pattern)
    }

    fn subscribe(
        &mut self,
        id: u64,
        peer: &Peer,
        sub: u32,
        pattern: &str,
        reader: Option<Vec<u8>>,
        options: &SubscribeOptions,
    ) -> Done {
        let pattern = self.may_subscribe(id, peer, sub, pattern, options)?;
        let reader = match reader {
            Some(encoded) => Some(self.take_type(&encoded)?),
            None => None,
        };
        let (bounds, terms) = (self.bounds(options), self.terms(options)?);
        let Some(conn) = self.conns.get_mut(&id) else {
            return Ok(());
        };
        conn.outbox.open_sub(sub, bounds, terms);
        conn.outbox.set_told(sub, Told::begun(self.seq[0]));
        let route = Route {
            conn: id,
            sub,
            serve: options.serve,
        };
        self.routes.add(&pattern, route);
        let state = Sub {
            pattern,
            serve: options.serve,
            resumable: !options.serve && options.group.is_none(),
            resumes: None,
            reader,
            group: options.group.as_deref().map(Rc::from),
            policy: terms.policy,
            outstanding: 0,
            last_call: 0,
            unnoticed: 0,
            quiet_until: None,
        };
        conn.subs.insert(sub, state);
        Ok(())
    }

    /// The bounds asked for, within the hub's own; at least one message.
    fn bounds(&self, options: &SubscribeOptions) -> Bounds {
        let within = |asked: Option<u32>, most: usize| match asked {
            Some(n) => usize::try_from(n).unwrap_or(most).clamp(1, most.max(1)),
            None => most,
        };
        Bounds {
            messages: within(options.max_messages, self.limits.queue_messages),
            bytes: within(options.max_bytes, self.limits.queue_bytes),
        }
    }

    /// The terms asked for, if they can be kept.
    fn terms(&self, options: &SubscribeOptions) -> Result<Terms, Refusal> {
        let contradiction = |reason: &str| Err(refusal(RefusalKind::Malformed, reason));
        let group = options.group.as_deref();
        let policy = match options.policy {
            OverflowPolicy::Backpressure { max_wait_ms } => {
                let most = u32::try_from(self.limits.longest_hold.as_millis()).unwrap_or(u32::MAX);
                let max_wait_ms = max_wait_ms.min(most);
                OverflowPolicy::Backpressure { max_wait_ms }
            }
            policy @ (OverflowPolicy::DropOldest
            | OverflowPolicy::DropNewest
            | OverflowPolicy::KeepLatest
            | OverflowPolicy::Disconnect) => policy,
        };
        let is_plain = policy == OverflowPolicy::default() && options.window.is_none();
        if options.serve && (group.is_some() || !is_plain) {
            return contradiction(
                "who answers requests has no policy, window or group: requests that find no room are refused, and each goes to the least busy",
            );
        }
        if group.is_some_and(|name| name.is_empty() || name.len() > TOPIC_BYTES) {
            return contradiction("a group's name has 1 to 255 bytes");
        }
        if group.is_some() && policy == OverflowPolicy::KeepLatest {
            return contradiction(
                "in a group no event stands for another, so KeepLatest can't be its policy",
            );
        }
        let window = options.window.or(group.map(|_| GROUP_WINDOW));
        let most = u32::try_from(self.limits.queue_messages).unwrap_or(u32::MAX);
        Ok(Terms {
            policy,
            window: window.map(|w| w.clamp(1, most.max(1))),
            keeps: group.is_some(),
        })
    }

    /// The reader of a subscription has taken events.
    fn took(&mut self, id: u64, sub: u32, count: u64) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.outbox.took(sub, count);
            self.mark(id);
        }
    }

    fn unsubscribe(&mut self, id: u64, sub: u32) -> Done {
        let Some(conn) = self.conns.get_mut(&id) else {
            return Ok(());
        };
        let Some(state) = conn.subs.remove(&sub) else {
            let reason = format!("this connection has no subscription {sub}");
            return refuse(RefusalKind::Malformed, reason);
        };
        let peer = conn.peer().cloned();
        self.end_sub(id, sub, &state, peer.as_ref());
        if let Some(group) = &state.group {
            self.leave_to_others(id, sub, group);
        }
        let calls = self
            .conns
            .get_mut(&id)
            .map(|conn| conn.outbox.close_sub(sub));
        for call in calls.into_iter().flatten() {
            self.fail_call(call, RefusalKind::Declined, |topic| {
                format!("whoever answered {topic:?} does so no more")
            });
        }
        self.regroup();
        Ok(())
    }

    /// Takes a subscription out of everything others see of it, but for what waits for it.
    pub(super) fn end_sub(&mut self, id: u64, sub: u32, state: &Sub, peer: Option<&Peer>) {
        self.routes.remove(&state.pattern, id, sub);
        self.end_hold((id, sub));
        self.notice_rest(id, sub, state, peer);
    }
}
