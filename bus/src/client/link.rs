//! What handles and the owning task share: the outgoing buffer, what was announced, who waits for what, and the end.
//!
//! One lock, held for a copy of some bytes at most, never across an await and never while user code runs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio::sync::{Notify, broadcast, watch};

use super::{
    error::{Disconnected, EmitError},
    handle::ConnectionState,
    ledger::Pending,
    options::ConnectOptions,
    outbox::Outbox,
    problems::Problem,
    queue::Sink,
    state::{Ending, Phase, Purpose, PutError, State},
};
use crate::wire::{control::ClientOp, hello::Welcome};

/// Problems that wait for one reader of them; the oldest are dropped, and counted.
const PROBLEMS: usize = 64;

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
            state: Mutex::new(State::new(welcome.codec, options.outgoing_bytes)),
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
