//! What handles and the owning task share, over all connections: the outgoing buffer, what was announced, who waits for
//! what, and the end.
//!
//! One lock, held for a copy of some bytes at most, never across an await and never while user code runs.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    task::Context,
    time::Duration,
};

use tokio::{
    sync::{Notify, broadcast, watch},
    time::Instant,
};

use super::{
    error::{Disconnected, EmitError},
    handle::ConnectionState,
    ledger::Pending,
    options::ConnectOptions,
    problems::Problem,
    state::{Ending, Purpose, PutError, State},
    sync::{AtomicUsize, AtomicWaker, Mutex, MutexGuard},
};
use crate::wire::{control::ClientOp, hello::Welcome};

/// Problems that wait for one reader of them; the oldest are dropped, and counted.
const PROBLEMS: usize = 64;

/// What a sender waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Room.
    No,
    /// Its topic.
    Yes,
}

/// The shared half of a client.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<State>,
    pub(super) wake: AtomicWaker,
    pub(super) room: Notify,
    pub(super) hung_up: Notify,
    pub(super) phase: watch::Sender<ConnectionState>,
    pub(super) problems: broadcast::Sender<Problem>,
    /// The last one.
    welcome: Mutex<Arc<Welcome>>,
    /// Of the last WELCOME: asked for at each event.
    payload_limit: AtomicUsize,
    /// The hub's name, as it was first.
    pub(super) hub: String,
    pub(super) options: ConnectOptions,
    pub(super) target: String,
}

impl Link {
    pub(super) fn new(welcome: Welcome, options: ConnectOptions, target: String) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(welcome.codec, options.outgoing_bytes)),
            wake: AtomicWaker::new(),
            room: Notify::new(),
            hung_up: Notify::new(),
            phase: watch::Sender::new(ConnectionState::Connected),
            problems: broadcast::Sender::new(PROBLEMS),
            hub: welcome.hub.clone(),
            payload_limit: AtomicUsize::new(welcome.limits.payload),
            welcome: Mutex::new(Arc::new(welcome)),
            options,
            target,
        })
    }

    /// What the hub said last when it let this program in.
    pub(super) fn welcome(&self) -> Arc<Welcome> {
        Arc::clone(&self.welcome.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The largest payload the hub takes.
    pub(super) fn payload_limit(&self) -> usize {
        self.payload_limit.load(Ordering::Relaxed)
    }

    /// The hub has let this program in again.
    pub(super) fn set_welcome(&self, welcome: Welcome) {
        self.payload_limit
            .store(welcome.limits.payload, Ordering::Relaxed);
        *self.welcome.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(welcome);
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

    /// Puts something for `topic` into the outbox, and waits for room, and for the topic to be let go, as long as the options allow.
    pub(super) async fn put<R>(
        &self,
        purpose: Purpose,
        topic: &str,
        mut put: impl FnMut(&mut State) -> Result<R, PutError>,
    ) -> Result<R, EmitError> {
        let began = match self.try_put(purpose, &mut put) {
            Ok(done) => return Ok(done),
            Err(PutError::Never(why)) => return Err(why),
            Err(PutError::Full | PutError::Held) => Instant::now(),
        };
        loop {
            // Told of room from here on: none that appears between the attempt and the wait is missed.
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            let (waited, held) = match self.try_put(purpose, &mut put) {
                Ok(done) => return Ok(done),
                Err(PutError::Never(why)) => return Err(why),
                Err(PutError::Full) => (self.options.room_timeout, Held::No),
                Err(PutError::Held) => (self.options.hold_timeout, Held::Yes),
            };
            let left = waited.saturating_sub(began.elapsed());
            if tokio::time::timeout(left, room).await.is_err() {
                return Err(match held {
                    Held::No => EmitError::Full { waited },
                    Held::Yes => EmitError::Held {
                        topic: topic.into(),
                        waited,
                    },
                });
            }
        }
    }

    /// Sends a control message that must not wait. A closed connection has done what it asks for.
    pub(super) fn control(&self, op: ClientOp, pending: Option<Pending>) {
        self.append(self.lock(), op, pending);
    }

    /// The same, if it still is the connection of that number: it means nothing to another.
    pub(super) fn control_in(&self, epoch: u32, op: ClientOp) {
        let state = self.lock();
        if state.epoch == epoch {
            self.append(state, op, None);
        }
    }

    fn append(&self, mut state: MutexGuard<'_, State>, op: ClientOp, pending: Option<Pending>) {
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

    /// The number of the connection there is.
    pub(super) fn epoch(&self) -> u32 {
        self.lock().epoch
    }

    /// Swaps what waits to be written for `written`; tells whether there is any, and otherwise how to end, if to.
    pub(super) fn take_outgoing(
        &self,
        written: &mut bytes::BytesMut,
        cx: &Context<'_>,
    ) -> Result<bool, Disconnected> {
        self.wake.register(cx.waker());
        let mut state = self.lock();
        if let Some((Ending::Now(why), _)) = &state.ending {
            return Err(why.clone());
        }
        let any = state.outbox.take(written);
        if !any && let Some((Ending::Flush(why), _)) = &state.ending {
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
            Some((Ending::Now(why), _)) => Err(why.clone()),
            Some((Ending::Flush(_), _)) | None => Ok(()),
        }
    }

    /// Says that a reference was settled or a topic let go, if somebody waited for that.
    pub(super) fn has_room(&self) {
        self.room.notify_waiters();
    }

    /// How long something may take to be answered.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.options.answer_timeout
    }
}
