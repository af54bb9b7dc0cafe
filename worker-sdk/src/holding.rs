//! What this worker has open, and telling the master of it while it drains: somebody may be waiting for it.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use ostler_bus::{
    client::{Bus, ConnectionState},
    vocab::worker::Holding,
};
use tokio::sync::{Notify, mpsc};

use crate::DrainSignal;

/// Not told more often than this: it is for people to read.
const EVERY: Duration = Duration::from_millis(500);

/// Counts connections and requests until they end. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    requests: AtomicU64,
    changed: Notify,
}

/// An open connection of a server, which waits for its end.
#[derive(Debug)]
pub(crate) struct HeldConnection {
    held: Held,
    _server: mpsc::Sender<Infallible>,
}

/// A request that has not ended.
#[derive(Debug)]
pub(crate) struct HeldRequest(Held);

impl Held {
    /// A connection, until this is dropped; whoever has the other end of `server` sees when all have been.
    pub(crate) fn connection(&self, server: &mpsc::Sender<Infallible>) -> HeldConnection {
        self.0.connections.fetch_add(1, SeqCst);
        HeldConnection {
            held: self.clone(),
            _server: server.clone(),
        }
    }

    /// A request, until this is dropped.
    pub(crate) fn request(&self) -> HeldRequest {
        self.0.requests.fetch_add(1, SeqCst);
        self.0.changed.notify_one();
        HeldRequest(self.clone())
    }

    pub(crate) fn now(&self) -> Holding {
        Holding {
            held: self.0.connections.load(SeqCst),
            requests: Some(self.0.requests.load(SeqCst)),
        }
    }
}

impl Drop for HeldConnection {
    fn drop(&mut self) {
        self.held.0.connections.fetch_sub(1, SeqCst);
        self.held.0.changed.notify_one();
    }
}

impl Drop for HeldRequest {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, SeqCst);
        self.0.0.changed.notify_one();
    }
}

/// Tells it once; if it is not heard, the next one may be.
pub(crate) async fn say(bus: &Bus, holding: Holding) {
    let _unheard = bus.request_within(&holding, EVERY).await;
}

/// Tells what is held when the drain begins, and each change until its time is over: what is cut then stays as it was told.
pub(crate) async fn tell(bus: Bus, held: Held, mut drain: DrainSignal) {
    drain.begun().await;
    tokio::select! {
        () = drain.over() => {}
        () = tell_changes(&bus, &held) => {}
    }
}

async fn tell_changes(bus: &Bus, held: &Held) {
    loop {
        say(bus, held.now()).await;
        if let ConnectionState::Closed(_) = &*bus.state().borrow() {
            return;
        }
        tokio::time::sleep(EVERY).await;
        held.0.changed.notified().await;
    }
}
