//! What the link guards: what may still be sent, what was announced, who waits for what. It outlives each connection;
//! `session.rs` says what becomes of it between two.

use std::{collections::HashMap, pin::Pin};

use tokio::time::Instant;
use tokio_serde::Serializer;

use super::{
    announce::{Announcement, Scope, TypeRef, Types},
    error::{Disconnected, EmitError},
    holds::Holds,
    ledger::{Ledger, Pending},
    outbox::Outbox,
    receive::subscribed::Subscribed,
    reliable::Reliable,
    standing::{Standing, Topics},
};
use crate::wire::{
    FrameType,
    codec::ControlCodec,
    control::{ClientControl, ClientOp, HubControl, Refusal},
    hello::Codec,
};

/// Why nothing could be put into the outbox.
#[derive(Debug)]
pub(super) enum PutError {
    /// There is no room now.
    Full,
    /// The topic is held now.
    Held,
    /// It will never be possible.
    Never(EmitError),
}

impl From<EmitError> for PutError {
    fn from(why: EmitError) -> Self {
        Self::Never(why)
    }
}

/// What may still be sent.
#[derive(Debug)]
pub(super) enum Phase {
    /// Everything.
    Open,
    /// What finishes what was begun: replies, and the ends of subscriptions.
    Draining,
    /// Nothing.
    Closed(Disconnected),
}

/// What a frame is for: a draining connection still lets work be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It begins something.
    Begin,
    /// It finishes something.
    Finish,
}

/// How the owning task is to end the connection.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// Write everything, then close.
    Flush(Disconnected),
    /// Close.
    Now(Disconnected),
}

/// The shared state.
#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// The end that was asked for, and when first.
    pub(super) ending: Option<(Ending, Instant)>,
    /// Why the last connection was lost.
    pub(super) lost: Option<Disconnected>,
    /// Counts connections: what belongs to an earlier one is void.
    pub(super) epoch: u32,
    codec: Codec,
    outgoing_bytes: usize,
    pub(super) outbox: Outbox,
    pub(super) types: Types,
    pub(super) topics: Topics,
    pub(super) holds: Holds,
    pub(super) ledger: Ledger,
    pub(super) reliable: Reliable,
    /// Subscriptions the owning task hasn't taken over yet.
    pub(super) subscribing: HashMap<u32, Subscribed>,
    next_sub: u32,
}

impl State {
    pub(super) fn new(codec: Codec, outgoing_bytes: usize) -> Self {
        Self {
            phase: Phase::Open,
            ending: None,
            lost: None,
            epoch: 0,
            codec,
            outgoing_bytes,
            outbox: Outbox::new(outgoing_bytes),
            types: Types::default(),
            topics: Topics::default(),
            holds: Holds::default(),
            ledger: Ledger::default(),
            reliable: Reliable::default(),
            subscribing: HashMap::new(),
            next_sub: 0,
        }
    }

    /// Why the last connection was lost; there must have been one.
    pub(super) fn why_lost(&self) -> Disconnected {
        self.lost.clone().unwrap_or(Disconnected::HungUp)
    }

    /// Whether something with this purpose may be sent now.
    pub(super) fn admits(&self, purpose: Purpose) -> Result<(), EmitError> {
        match (&self.phase, purpose) {
            (Phase::Open, _) | (Phase::Draining, Purpose::Finish) => Ok(()),
            (Phase::Draining, Purpose::Begin) => Err(EmitError::Draining),
            (Phase::Closed(why), _) => Err(EmitError::Disconnected(why.clone())),
        }
    }

    /// Whether a further acknowledged event must wait.
    pub(super) fn reliable_is_full(&self) -> bool {
        self.reliable.is_full(self.outgoing_bytes)
    }

    /// Appends a control message; `pending` is what its answer means.
    pub(super) fn control(&mut self, op: ClientOp, pending: Option<Pending>) -> u64 {
        let r#ref = match pending {
            Some(pending) => self.ledger.open(pending),
            None => self.ledger.next(),
        };
        let message = ClientControl { r#ref, op };
        let mut codec = ControlCodec::<HubControl, ClientControl>::new(self.codec);
        let body = Pin::new(&mut codec)
            .serialize(&message)
            .expect("a control message is numbers, text and bytes, which any codec can write");
        self.outbox.frame(FrameType::Control, 0, |_| {}, &body);
        r#ref
    }

    /// The index of a type, announced now if it wasn't; and whether it was never emitted before.
    pub(super) fn announced(
        &mut self,
        ty: &TypeRef,
        scope: Scope,
        topic: &str,
    ) -> Result<(u32, bool), EmitError> {
        if let Some(known) = self.types.get(ty, scope) {
            return match &known.standing {
                Standing::Refused(refusal) => Err(EmitError::Refused {
                    topic: topic.into(),
                    refusal: refusal.clone(),
                }),
                Standing::Open => Ok((known.index, false)),
                Standing::Unknown => {
                    known.standing = Standing::Open;
                    Ok((known.index, true))
                }
            };
        }
        let (index, announcement) = self.types.add(ty, scope);
        let op = ClientOp::Announce {
            index,
            topic: match scope {
                Scope::Own => ty.topic.into(),
                Scope::Free => String::new(),
            },
            schema: ty.schema().encoded().to_vec(),
        };
        self.control(op, Some(Pending::Announce(announcement)));
        if let Some(known) = self.types.get(ty, scope) {
            known.standing = Standing::Open;
        }
        Ok((index, true))
    }

    /// The number of a new subscription.
    pub(super) fn next_sub(&mut self) -> u32 {
        self.next_sub = self.next_sub.wrapping_add(1);
        self.next_sub
    }

    /// Notes that the hub refuses what was announced; its topic.
    pub(super) fn refuse_announced(
        &mut self,
        what: Announcement,
        why: Refusal,
    ) -> Option<&'static str> {
        self.types.refuse(what, why)
    }

    /// The topic of what was announced.
    pub(super) fn announced_topic(&self, what: Announcement) -> Option<&'static str> {
        self.types.topic(what)
    }
}
