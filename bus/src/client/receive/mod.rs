//! What the hub says, taken apart and handed on. It waits for nothing and nobody.

mod answers;
pub(super) mod subscribed;

use std::{collections::HashMap, fmt, pin::Pin, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use tokio_serde::Deserializer;

use self::subscribed::{Life, Subscribed};
use super::{
    error::Disconnected,
    ledger::Pending,
    link::Link,
    publishers::{Publisher, Publishers},
    queue::{Item, RunItem, Sink},
    serve::Incoming,
};
use crate::{
    Topic,
    wire::{
        Frame, FrameType,
        codec::ControlCodec,
        control::{ClientControl, ClientOp, HubControl, HubOp},
        data, flags,
        hello::Welcome,
    },
};

/// What is known of the hub's side of a connection, and the subscriptions of all of them; owned by the owning task.
pub(super) struct Receiver {
    link: Arc<Link>,
    codec: ControlCodec<HubControl, ClientControl>,
    publishers: Publishers,
    subscriptions: HashMap<u32, Subscribed>,
    /// The hub's, and the connection's number here.
    life: String,
    epoch: u32,
}

impl Receiver {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let welcome = link.welcome();
        Self {
            codec: ControlCodec::new(welcome.codec),
            publishers: Publishers::default(),
            subscriptions: HashMap::new(),
            life: welcome.life.clone(),
            epoch: link.epoch(),
            link,
        }
    }

    /// Begins with another connection: nothing is known of the hub's side, and it is told what it must know of this one.
    pub(super) fn resume(&mut self, welcome: &Welcome) {
        let life = match !welcome.life.is_empty() && welcome.life == self.life {
            true => Life::Same,
            false => Life::Other,
        };
        self.life.clone_from(&welcome.life);
        self.codec = ControlCodec::new(welcome.codec);
        self.publishers = Publishers::default();
        let mut state = self.link.lock();
        self.epoch = state.epoch;
        self.subscriptions.extend(state.subscribing.drain());
        let ended = state.resume(&mut self.subscriptions, life);
        drop(state);
        drop(ended);
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
        for (_, subscribed) in self.subscriptions.drain().chain(subscribing) {
            subscribed.end(why);
        }
    }

    fn run(&mut self, flags: u8, mut body: Bytes) -> Result<(), Disconnected> {
        let run = data::run(&body).map_err(|e| self.broken(&e))?;
        body.advance(data::RUN_BYTES);
        if run.count as usize > body.len() / crate::wire::HEADER_BYTES {
            return Err(self.broken(&"a run that is shorter than its count"));
        }
        let publisher = self.publisher(run.conn)?;
        let epoch = self.epoch;
        if let Some(subscribed) = self.subscribed(run.sub) {
            subscribed.got(run, flags);
            subscribed.give(Item::Run(RunItem {
                publisher,
                first_seq: run.first_seq,
                count: run.count,
                flags,
                epoch,
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
        let link = Arc::clone(&self.link);
        let incoming = Incoming::new(link, self.epoch, &call, topic, publisher, &body);
        match self.subscribed(call.sub).map(|s| &s.sink) {
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

    fn publisher(&self, conn: u64) -> Result<Arc<Publisher>, Disconnected> {
        let publisher = self.publishers.get(conn).map(Arc::clone);
        publisher.ok_or_else(|| self.broken(&format!("connection {conn} was never introduced")))
    }

    /// A subscription; taken over from the link when first needed.
    fn subscribed(&mut self, sub: u32) -> Option<&mut Subscribed> {
        if !self.subscriptions.contains_key(&sub) {
            let subscribed = self.link.lock().subscribing.remove(&sub)?;
            self.subscriptions.insert(sub, subscribed);
        }
        self.subscriptions.get_mut(&sub)
    }

    fn settle(&self, r#ref: u64) -> Option<Pending> {
        let mut state = self.link.lock();
        let was_full = state.ledger.is_full() || state.reliable_is_full();
        let pending = state.ledger.close(r#ref);
        if let Some(Pending::Ack { .. }) = pending {
            state.reliable.settle(r#ref);
        }
        drop(state);
        if was_full {
            self.link.has_room();
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
            HubOp::Lagged { sub, missed } => self.missed(sub, missed, Item::Lagged(missed)),
            HubOp::Misfit {
                sub,
                missed,
                topic,
                reason,
            } => {
                let misfit = Item::Misfit {
                    missed,
                    topic,
                    reason,
                };
                self.missed(sub, missed, misfit);
            }
            HubOp::Resumed { sub, missed } => {
                if let Some(subscribed) = self.subscribed(sub) {
                    subscribed.resumed(missed);
                }
            }
            HubOp::Hold { topic } => self.link.lock().holds.hold(topic),
            HubOp::Release { topic } => {
                let held = self.link.lock().holds.release(&topic);
                if held {
                    self.link.has_room();
                }
            }
            HubOp::Closing { kind, reason } => return Err(Disconnected::Closed { kind, reason }),
        }
        Ok(())
    }

    fn missed(&mut self, sub: u32, missed: u64, notice: Item) {
        if let Some(subscribed) = self.subscribed(sub) {
            subscribed.missed(missed);
            subscribed.give(notice);
        }
    }
}

/// An unsubscribed reader's declining, for calls that came too late.
pub(super) fn decline(link: &Link, epoch: u32, call: u64, reason: &str) {
    let op = ClientOp::Decline {
        call,
        reason: reason.into(),
    };
    link.control_in(epoch, op);
}
