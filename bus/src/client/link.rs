//! What handles and the owning task share: the outgoing buffer, what was announced, who waits for what, and the end.
//!
//! One lock, held for a copy of some bytes at most, never across an await and never while user code runs.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio::sync::{Notify, broadcast, watch};
use tokio_serde::Serializer;

use super::{
    announce::{Announcement, Scope, TypeRef, Types},
    error::{Disconnected, EmitError},
    handle::ConnectionState,
    ledger::{Ledger, Pending},
    options::ConnectOptions,
    outbox::Outbox,
    problems::Problem,
    queue::Sink,
    standing::{Standing, Topics},
};
use crate::wire::{
    FrameType,
    codec::ControlCodec,
    control::{ClientControl, ClientOp, HubControl, Refusal},
    hello::{Codec, Welcome},
};

/// Problems that wait for one reader of them; the oldest are dropped, and counted.
const PROBLEMS: usize = 64;

/// Why nothing could be put into the outbox.
#[derive(Debug)]
pub(super) enum PutError {
    /// There is no room now.
    Full,
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
enum Phase {
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
    phase: Phase,
    ending: Option<Ending>,
    codec: Codec,
    pub(super) outbox: Outbox,
    pub(super) types: Types,
    pub(super) topics: Topics,
    pub(super) ledger: Ledger,
    /// Subscriptions the owning task hasn't taken over yet.
    pub(super) subscribing: HashMap<u32, Sink>,
    next_sub: u32,
}

/// The shared half of a connection.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<State>,
    pub(super) wake: AtomicWaker,
    room: Notify,
    hung_up: Notify,
    pub(super) phase: watch::Sender<ConnectionState>,
    pub(super) problems: broadcast::Sender<Problem>,
    pub(super) welcome: Welcome,
    pub(super) options: ConnectOptions,
    pub(super) target: String,
}

impl Link {
    pub(super) fn new(welcome: Welcome, options: ConnectOptions, target: String) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                phase: Phase::Open,
                ending: None,
                codec: welcome.codec,
                outbox: Outbox::new(options.outgoing_bytes),
                types: Types::default(),
                topics: Topics::default(),
                ledger: Ledger::default(),
                subscribing: HashMap::new(),
                next_sub: 0,
            }),
            wake: AtomicWaker::new(),
            room: Notify::new(),
            hung_up: Notify::new(),
            phase: watch::Sender::new(ConnectionState::Connected),
            problems: broadcast::Sender::new(PROBLEMS),
            welcome,
            options,
            target,
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something into the outbox, if there is room.
    pub(super) fn try_put<R>(
        &self,
        purpose: Purpose,
        put: impl FnOnce(&mut State) -> Result<R, PutError>,
    ) -> Result<R, PutError> {
        let mut state = self.lock();
        state.admits(purpose)?;
        if !state.outbox.has_room() || state.ledger.is_full() {
            return Err(PutError::Full);
        }
        let put = put(&mut state);
        let wake = state.outbox.must_wake();
        drop(state);
        if wake {
            self.wake.wake();
        }
        put
    }

    /// Puts something into the outbox, and waits for room as long as the options allow.
    pub(super) async fn put<R>(
        &self,
        purpose: Purpose,
        mut put: impl FnMut(&mut State) -> Result<R, PutError>,
    ) -> Result<R, EmitError> {
        match self.try_put(purpose, &mut put) {
            Ok(done) => return Ok(done),
            Err(PutError::Never(why)) => return Err(why),
            Err(PutError::Full) => {}
        }
        let waited = self.options.room_timeout;
        let with_room = async {
            loop {
                // Told of room from here on: none that appears between the attempt and the wait is missed.
                let mut room = std::pin::pin!(self.room.notified());
                room.as_mut().enable();
                match self.try_put(purpose, &mut put) {
                    Err(PutError::Full) => room.await,
                    Err(PutError::Never(why)) => return Err(why),
                    Ok(done) => return Ok(done),
                }
            }
        };
        let expired = |_| Err(EmitError::Full { waited });
        tokio::time::timeout(waited, with_room)
            .await
            .unwrap_or_else(expired)
    }

    /// Sends a control message that must not wait. A closed connection has done what it asks for.
    pub(super) fn control(&self, op: ClientOp, pending: Option<Pending>) {
        let mut state = self.lock();
        if state.admits(Purpose::Finish).is_err() {
            return;
        }
        state.control(op, pending);
        let wake = state.outbox.must_wake();
        drop(state);
        if wake {
            self.wake.wake();
        }
    }

    /// Nothing new from here on.
    pub(super) fn start_draining(&self) -> Result<(), Disconnected> {
        let mut state = self.lock();
        match &state.phase {
            Phase::Open | Phase::Draining => state.phase = Phase::Draining,
            Phase::Closed(why) => return Err(why.clone()),
        }
        drop(state);
        self.phase.send_if_modified(|phase| {
            let open = matches!(phase, ConnectionState::Connected);
            if open {
                *phase = ConnectionState::Draining;
            }
            open
        });
        self.room.notify_waiters();
        Ok(())
    }

    /// Asks the owning task to end the connection.
    pub(super) fn end(&self, ending: Ending) {
        self.lock().ending = Some(ending);
        self.wake.wake();
        self.hung_up.notify_one();
    }

    /// Says that the connection has ended: every wait fails, nothing more can be sent.
    pub(super) fn closed(&self, why: &Disconnected) -> HashMap<u32, Sink> {
        let mut state = self.lock();
        if let Phase::Closed(_) = state.phase {
            return HashMap::new();
        }
        state.phase = Phase::Closed(why.clone());
        let waiting = state.ledger.clear();
        let subscribing = std::mem::take(&mut state.subscribing);
        state.outbox = Outbox::new(self.options.outgoing_bytes);
        drop(state);
        self.phase
            .send_replace(ConnectionState::Closed(why.clone()));
        drop(waiting);
        self.room.notify_waiters();
        subscribing
    }

    /// Why the connection has ended; a loss, if it is only about to.
    pub(super) fn why_closed(&self) -> Disconnected {
        match &self.lock().phase {
            Phase::Closed(why) => why.clone(),
            Phase::Open | Phase::Draining => Disconnected::Lost {
                target: self.target.clone(),
                error: "the answer will not come".into(),
            },
        }
    }

    /// Swaps what waits to be written for `written`; tells whether there is any, and otherwise how to end, if to.
    pub(super) fn take_outgoing(
        &self,
        written: &mut bytes::BytesMut,
        cx: &Context<'_>,
    ) -> Result<bool, Disconnected> {
        self.wake.register(cx.waker());
        let mut state = self.lock();
        if let Some(Ending::Now(why)) = &state.ending {
            return Err(why.clone());
        }
        let any = state.outbox.take(written);
        if !any && let Some(Ending::Flush(why)) = &state.ending {
            return Err(why.clone());
        }
        drop(state);
        if any {
            self.room.notify_waiters();
        }
        Ok(any)
    }

    /// How to end at once, if to; asked while the hub takes nothing.
    pub(super) fn check_ending(&self, cx: &Context<'_>) -> Result<(), Disconnected> {
        self.wake.register(cx.waker());
        match &self.lock().ending {
            Some(Ending::Now(why)) => Err(why.clone()),
            Some(Ending::Flush(_)) | None => Ok(()),
        }
    }

    /// Waits until everything should have been written since the end was asked for, and `grace` has passed.
    pub(super) async fn lingered(&self, grace: Duration) -> Disconnected {
        self.hung_up.notified().await;
        tokio::time::sleep(grace).await;
        match &self.lock().ending {
            Some(Ending::Flush(why) | Ending::Now(why)) => why.clone(),
            None => Disconnected::HungUp,
        }
    }

    /// Says that a reference was settled, if somebody waited for that.
    pub(super) fn ledger_has_room(&self) {
        self.room.notify_waiters();
    }

    /// How long something may take to be answered.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.options.answer_timeout
    }
}

impl State {
    fn admits(&self, purpose: Purpose) -> Result<(), EmitError> {
        match (&self.phase, purpose) {
            (Phase::Open, _) | (Phase::Draining, Purpose::Finish) => Ok(()),
            (Phase::Draining, Purpose::Begin) => Err(EmitError::Draining),
            (Phase::Closed(why), _) => Err(EmitError::Disconnected(why.clone())),
        }
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
