//! What the hub tells its own process: who came, who went, what went wrong.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use super::principal::Principal;
use crate::Pattern;

/// Notices that may wait to be read.
const WAITING: usize = 4096;

/// Something the hub's own process should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubNotice {
    /// A peer said HELLO and was let in.
    Connected {
        /// Its connection.
        conn: u64,
        /// Who it is.
        principal: Principal,
    },
    /// A peer that had been let in is gone.
    Disconnected {
        /// Its connection.
        conn: u64,
        /// Who it was.
        principal: Principal,
        /// Why, in words.
        reason: String,
    },
    /// A peer was turned away before it was let in.
    TurnedAway {
        /// Why, in words.
        reason: String,
    },
    /// A subscription loses events because its reader is too slow. Told at its first loss, then at most every ten seconds
    /// of all since, and of the rest when it ends: together, of every one.
    Lagged {
        /// The subscriber's connection.
        conn: u64,
        /// Who it is.
        principal: Principal,
        /// What it subscribed to.
        pattern: Pattern,
        /// Events lost since the last such notice.
        missed: u64,
    },
    /// A subscription to topics whose first token begins with `_` has begun or ended. Those are the master's own to publish,
    /// and it may want to publish some only while somebody listens.
    Listening {
        /// Which topics.
        pattern: Pattern,
        /// It has begun.
        begun: bool,
    },
    /// The hub panicked and began anew: every connection was closed, listening sockets stayed.
    Restarted {
        /// What it panicked with.
        panic: String,
    },
}

/// Reads [`HubNotice`]s. The hub never waits for it: what finds no room (4,096 may wait) is counted and dropped.
#[derive(Debug)]
pub struct Notices {
    receiver: mpsc::Receiver<HubNotice>,
    missed: Arc<AtomicU64>,
}

impl Notices {
    /// The next one; `None` when the hub has ended.
    pub async fn recv(&mut self) -> Option<HubNotice> {
        self.receiver.recv().await
    }

    /// The next one, if it is there already.
    pub fn try_recv(&mut self) -> Option<HubNotice> {
        self.receiver.try_recv().ok()
    }

    /// How many notices found no room so far.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

/// The hub's end.
#[derive(Clone, Debug)]
pub(super) struct NoticeSender {
    sender: mpsc::Sender<HubNotice>,
    missed: Arc<AtomicU64>,
}

impl NoticeSender {
    pub(super) fn send(&self, notice: HubNotice) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(notice) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

pub(super) fn channel() -> (NoticeSender, Notices) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let missed = Arc::new(AtomicU64::new(0));
    let sender = NoticeSender {
        sender,
        missed: Arc::clone(&missed),
    };
    (sender, Notices { receiver, missed })
}
