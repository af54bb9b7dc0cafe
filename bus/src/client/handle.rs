//! The handle: what a program holds of its connection.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{
    error::{ConnectError, Disconnected, DrainError},
    handshake,
    ledger::Pending,
    link::Link,
    options::ConnectOptions,
    problems::Problems,
    state::Ending,
    task::Task,
};
use crate::{
    transport::Transport,
    wire::{control::ClientOp, hello::WelcomeLimits},
};

/// A connection to a hub. Cheap to clone; see the [module](super) for how it works.
#[derive(Clone, Debug)]
pub struct Bus {
    pub(super) handle: Arc<Handle>,
}

/// What keeps a connection open: held by every [`Bus`], subscription and call. When the last goes, the connection ends once
/// everything emitted is written.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) link: Arc<Link>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.end(Ending::Flush(Disconnected::HungUp));
    }
}

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It works.
    Connected,
    /// It was lost, and is being made again. What is emitted meanwhile waits, within its bound.
    Reconnecting {
        /// When it was lost.
        since: std::time::Instant,
        /// Which attempt this is, from 1.
        attempt: u32,
        /// Why it was lost.
        why: Disconnected,
    },
    /// [`Bus::drain`] was called: nothing new is sent.
    Draining,
    /// It has ended.
    Closed(Disconnected),
}

impl Bus {
    /// Connects, and starts the task that owns the connection (so it must be called within a tokio runtime, and
    /// lives no longer than that). A connection that is lost later is made again, as
    /// [`ConnectOptions::reconnect`] says; one that can't be made at first is an error.
    ///
    /// # Errors
    /// Where the hub was looked for, what happened there, and what to do about it.
    pub async fn connect(
        transport: impl Transport + 'static,
        mut options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let target = transport.target();
        options
            .instance
            .get_or_insert_with(handshake::random_instance);
        let met = handshake::within(&transport, &options, &target, None).await?;
        let link = Link::new(met.welcome.clone(), options, target);
        tokio::spawn(Task::new(Arc::clone(&link), transport).run(met));
        Ok(Self {
            handle: Arc::new(Handle { link }),
        })
    }

    /// Ends the connection in good order: nothing new is emitted, everything emitted is at the hub, everything the hub had
    /// queued for this program has arrived; then the subscriptions end with [`Disconnected::Drained`] after their last events.
    /// Calls being answered still can be, meanwhile. A connection that is lost at that is made again only for what is still to be sent.
    ///
    /// # Errors
    /// If the hub had not taken everything in time. The connection is closed all the same.
    pub async fn drain(&self, timeout: Duration) -> Result<(), DrainError> {
        let link = &self.handle.link;
        let began = Instant::now();
        link.start_draining().map_err(DrainError::Disconnected)?;
        let (answer, taken) = oneshot::channel();
        link.control(ClientOp::Drain, Some(Pending::Drain(answer)));
        let drained = match tokio::time::timeout(timeout, taken).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(refusal))) => Err(DrainError::Refused(refusal)),
            Ok(Err(_)) => Err(DrainError::Disconnected(link.why_closed())),
            Err(_) => Err(DrainError::TimedOut { after: timeout }),
        };
        link.end(match drained {
            Ok(()) => Ending::Flush(Disconnected::Drained),
            Err(_) => Ending::Now(Disconnected::Drained),
        });
        let left = timeout.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, self.closed()).await {
            Ok(_) => drained,
            Err(_) => {
                link.end(Ending::Now(Disconnected::Drained));
                drained.and(Err(DrainError::TimedOut { after: timeout }))
            }
        }
    }

    /// Waits until the connection has ended, and tells why.
    pub async fn closed(&self) -> Disconnected {
        let mut state = self.state();
        loop {
            if let ConnectionState::Closed(why) = &*state.borrow_and_update() {
                return why.clone();
            }
            if state.changed().await.is_err() {
                return self.handle.link.why_closed();
            }
        }
    }

    /// Where the connection stands, to be looked at and watched.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.handle.link.phase.subscribe()
    }

    /// Refusals nobody waits for: of plain emits, from here on. At most 64 wait; over that the oldest are dropped, counted.
    #[must_use]
    pub fn problems(&self) -> Problems {
        Problems::new(self.handle.link.problems.subscribe())
    }

    /// The hub's name, as it gave it at first.
    #[must_use]
    pub fn hub(&self) -> &str {
        &self.handle.link.hub
    }

    /// This connection's number at the hub; while there is none, the last one's.
    #[must_use]
    pub fn conn(&self) -> u64 {
        self.handle.link.welcome().conn
    }

    /// What the hub allows.
    #[must_use]
    pub fn limits(&self) -> WelcomeLimits {
        self.handle.link.welcome().limits
    }
}
