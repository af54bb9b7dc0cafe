//! What the hub says, taken apart and handed on. It waits for nothing and nobody.

use std::{collections::HashMap, fmt, pin::Pin, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use tokio_serde::Deserializer;

use super::{
    error::Disconnected,
    ledger::{Addressee, Answer, Pending},
    link::Link,
    problems::Problem,
    publishers::{Publisher, Publishers},
    queue::{Item, RunItem, Sink},
    serve::Incoming,
    standing::is_lasting,
};
use crate::{
    Topic,
    wire::{
        Frame, FrameType,
        codec::ControlCodec,
        control::{ClientControl, ClientOp, HubControl, HubOp, Refusal, RefusalKind},
        data, flags,
    },
};

/// What is known of the hub's side of a connection; owned by the owning task.
pub(super) struct Receiver {
    link: Arc<Link>,
    codec: ControlCodec<HubControl, ClientControl>,
    publishers: Publishers,
    subscriptions: HashMap<u32, Sink>,
}

impl Receiver {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self {
            codec: ControlCodec::new(link.welcome.codec),
            link,
            publishers: Publishers::default(),
            subscriptions: HashMap::new(),
        }
    }

    /// Takes one frame. An error is the end of the connection.
    pub(super) fn take(&mut self, frame: Frame) -> Result<(), Disconnected> {
        match FrameType::from_byte(frame.kind) {
            Some(FrameType::Run) => self.run(frame.flags, frame.body),
            Some(FrameType::Control) => self.control(&frame.body),
            Some(FrameType::Answer) => self.answer(frame.flags, frame.body),
            Some(FrameType::Call) => self.call(frame.flags, frame.body),
            None if frame.flags & flags::IGNORABLE != 0 => Ok(()),
            Some(
                FrameType::Hello
                | FrameType::Welcome
                | FrameType::Emit
                | FrameType::Request
                | FrameType::Reply,
            )
            | None => Err(self.broken(&format!(
                "a frame of type {:#04x} in this place",
                frame.kind
            ))),
        }
    }

    /// The hub broke the protocol.
    pub(super) fn broken(&self, what: &dyn fmt::Display) -> Disconnected {
        Disconnected::Protocol {
            target: self.link.target.clone(),
            what: what.to_string(),
        }
    }

    /// Tells everybody that the connection has ended.
    pub(super) fn end(&mut self, why: &Disconnected) {
        let subscribing = self.link.closed(why);
        for sink in self
            .subscriptions
            .drain()
            .chain(subscribing)
            .map(|(_, s)| s)
        {
            match sink {
                Sink::Events(queue) => queue.end(why.clone()),
                Sink::Calls(calls) => drop(calls),
            }
        }
    }

    fn run(&mut self, flags: u8, mut body: Bytes) -> Result<(), Disconnected> {
        let run = data::run(&body).map_err(|e| self.broken(&e))?;
        body.advance(data::RUN_BYTES);
        if run.count as usize > body.len() / crate::wire::HEADER_BYTES {
            return Err(self.broken(&"a run that is shorter than its count"));
        }
        let publisher = self.publisher(run.conn)?;
        if let Some(Sink::Events(queue)) = self.sink(run.sub) {
            queue.push(Item::Run(RunItem {
                publisher,
                first_seq: run.first_seq,
                count: run.count,
                flags,
                frames: body,
            }));
        }
        Ok(())
    }

    fn call(&mut self, flags: u8, body: Bytes) -> Result<(), Disconnected> {
        let call = data::call(&body, flags).map_err(|e| self.broken(&e))?;
        let publisher = self.publisher(call.conn)?;
        let topic = std::str::from_utf8(call.topic)
            .ok()
            .and_then(|text| Topic::new(text).ok())
            .ok_or_else(|| self.broken(&"a call on what is no topic"))?;
        let incoming = Incoming::new(Arc::clone(&self.link), &call, topic, publisher, &body);
        match self.sink(call.sub) {
            Some(Sink::Calls(calls)) => {
                if let Err(refused) = calls.try_send(incoming) {
                    refused
                        .into_inner()
                        .decline("too many requests wait for this program: try again later");
                }
            }
            Some(Sink::Events(_)) | None => {
                incoming.decline("this program no longer answers these requests");
            }
        }
        Ok(())
    }

    fn answer(&mut self, flags: u8, body: Bytes) -> Result<(), Disconnected> {
        let answer = data::answer(&body, flags).map_err(|e| self.broken(&e))?;
        let publisher = self.publisher(answer.conn)?;
        if let Some(Pending::Request(asker)) = self.settle(answer.r#ref) {
            // Whoever asked may have given up meanwhile.
            let _ = asker.send(Ok(Answer {
                publisher,
                kind: answer.kind,
                payload: body.slice(answer.payload_at..),
            }));
        }
        Ok(())
    }

    fn publisher(&self, conn: u64) -> Result<Arc<Publisher>, Disconnected> {
        let publisher = self.publishers.get(conn).map(Arc::clone);
        publisher.ok_or_else(|| self.broken(&format!("connection {conn} was never introduced")))
    }

    /// Where a subscription's events go; taken over from the link when first needed.
    fn sink(&mut self, sub: u32) -> Option<&Sink> {
        if !self.subscriptions.contains_key(&sub) {
            let sink = self.link.lock().subscribing.remove(&sub)?;
            self.subscriptions.insert(sub, sink);
        }
        self.subscriptions.get(&sub)
    }

    fn settle(&self, r#ref: u64) -> Option<Pending> {
        let mut state = self.link.lock();
        let was_full = state.ledger.is_full();
        let pending = state.ledger.close(r#ref);
        drop(state);
        if was_full {
            self.link.ledger_has_room();
        }
        pending
    }

    fn control(&mut self, body: &[u8]) -> Result<(), Disconnected> {
        let message: HubControl = Pin::new(&mut self.codec)
            .deserialize(&BytesMut::from(body))
            .map_err(|e| self.broken(&format!("a malformed control message: {e}")))?;
        match message.op {
            HubOp::Done { count } => self.done(message.r#ref, count),
            HubOp::Refused(refusal) => self.refused(message.r#ref, refusal),
            HubOp::OriginIs { conn, origin } => self.publishers.origin_is(conn, origin),
            HubOp::TypeIs {
                conn,
                index,
                topic,
                schema,
            } => {
                if !self.publishers.type_is(conn, index, &topic, schema) {
                    return Err(self.broken(&format!(
                        "a type of connection {conn}, which was never introduced, or of no topic"
                    )));
                }
            }
            HubOp::Forget { conn } => self.publishers.forget(conn),
            HubOp::Lagged { sub, missed } => self.tell(sub, Item::Lagged(missed)),
            HubOp::Misfit {
                sub,
                missed,
                topic,
                reason,
            } => self.tell(
                sub,
                Item::Misfit {
                    missed,
                    topic,
                    reason,
                },
            ),
            HubOp::Resumed { .. } | HubOp::Hold { .. } | HubOp::Release { .. } => {}
            HubOp::Closing { kind, reason } => return Err(Disconnected::Closed { kind, reason }),
        }
        Ok(())
    }

    fn tell(&mut self, sub: u32, item: Item) {
        match self.sink(sub) {
            Some(Sink::Events(queue)) => queue.push(item),
            Some(Sink::Calls(_)) | None => {}
        }
    }

    fn done(&mut self, r#ref: u64, count: u64) {
        match self.settle(r#ref) {
            // Whoever waited may have given up meanwhile: that is what the ignored results are.
            Some(Pending::Ack { answer, .. } | Pending::Drain(answer)) => {
                let _ = answer.send(Ok(count));
            }
            Some(Pending::Subscribe { sub, answer }) => {
                self.sink(sub);
                let _ = answer.send(Ok(count));
            }
            Some(Pending::Unsubscribe { sub }) => {
                self.sink(sub);
                self.subscriptions.remove(&sub);
            }
            Some(Pending::Request(answer)) => {
                let _ = answer.send(Err(Refusal {
                    kind: RefusalKind::Malformed,
                    reason: "the hub took the request for something else".into(),
                }));
            }
            Some(Pending::Probe(_) | Pending::Announce(_)) | None => {}
        }
    }

    fn refused(&mut self, r#ref: u64, refusal: Refusal) {
        match self.settle(r#ref) {
            Some(Pending::Ack { to, answer }) => {
                self.note(&to, &refusal);
                let _ = answer.send(Err(refusal));
            }
            Some(Pending::Probe(to)) => {
                let topic = self.note(&to, &refusal);
                self.problem(topic, refusal);
            }
            Some(Pending::Announce(what)) => {
                let topic = self.link.lock().refuse_announced(what, refusal.clone());
                self.problem(topic.filter(|t| !t.is_empty()).map(Into::into), refusal);
            }
            Some(Pending::Subscribe { sub, answer }) => {
                self.sink(sub);
                self.subscriptions.remove(&sub);
                let _ = answer.send(Err(refusal));
            }
            Some(Pending::Request(answer)) => {
                let _ = answer.send(Err(refusal));
            }
            Some(Pending::Drain(answer)) => {
                let _ = answer.send(Err(refusal));
            }
            Some(Pending::Unsubscribe { .. }) | None => self.problem(None, refusal),
        }
    }

    /// Notes a refusal that holds for every event of a topic; which one that is, if its name is known here.
    fn note(&self, to: &Addressee, refusal: &Refusal) -> Option<String> {
        let mut state = self.link.lock();
        match to {
            Addressee::Announced(what) => {
                if is_lasting(refusal) {
                    state
                        .refuse_announced(*what, refusal.clone())
                        .map(Into::into)
                } else {
                    state.announced_topic(*what).map(Into::into)
                }
            }
            Addressee::Topic(topic) => {
                if is_lasting(refusal) {
                    state.topics.refuse(topic, refusal.clone());
                }
                Some(topic.to_string())
            }
        }
    }

    fn problem(&self, topic: Option<String>, refusal: Refusal) {
        let problem = Problem::Refused { topic, refusal };
        if let Err(unheard) = self.link.problems.send(problem) {
            // The hub tells each kind of refusal once per topic: this can't flood a log.
            tracing::warn!(problem = ?unheard.0, "the hub refused something, and nobody reads `problems`");
        }
    }
}

/// An unsubscribed reader's declining, for calls that came too late.
pub(super) fn decline(link: &Link, call: u64, reason: &str) {
    let op = ClientOp::Decline {
        call,
        reason: reason.into(),
    };
    link.control(op, None);
}
