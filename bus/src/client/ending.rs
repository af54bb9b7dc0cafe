//! How it ends: what is asked for, what it waits for, what it leaves.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    error::Disconnected,
    handle::ConnectionState,
    link::Link,
    outbox::Outbox,
    receive::subscribed::Subscribed,
    state::{Ending, Phase},
};

impl Link {
    /// Nothing new from here on.
    pub(super) fn start_draining(&self) -> Result<(), Disconnected> {
        let mut state = self.lock();
        match &state.phase {
            Phase::Open | Phase::Draining => state.phase = Phase::Draining,
            Phase::Closed(why) => return Err(why.clone()),
        }
        drop(state);
        self.phase.send_if_modified(|phase| {
            let open = match phase {
                ConnectionState::Connected | ConnectionState::Reconnecting { .. } => true,
                ConnectionState::Draining | ConnectionState::Closed(_) => false,
            };
            if open {
                *phase = ConnectionState::Draining;
            }
            open
        });
        self.room.notify_waiters();
        // A lost connection is made again only if there is something left to send.
        self.hung_up.notify_one();
        Ok(())
    }

    /// Asks the owning task to end the connection.
    pub(super) fn end(&self, ending: Ending) {
        let mut state = self.lock();
        let since = state.ending.as_ref().map_or_else(Instant::now, |e| e.1);
        state.ending = Some((ending, since));
        drop(state);
        self.wake.wake();
        self.hung_up.notify_one();
    }

    /// Says that the connection has ended: every wait fails, nothing more can be sent.
    pub(super) fn closed(&self, why: &Disconnected) -> HashMap<u32, Subscribed> {
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

    /// Why the connection has ended, or the last one was lost.
    pub(super) fn why_closed(&self) -> Disconnected {
        let state = self.lock();
        match &state.phase {
            Phase::Closed(why) => why.clone(),
            Phase::Open | Phase::Draining => {
                state.lost.clone().unwrap_or_else(|| Disconnected::Lost {
                    target: self.target.clone(),
                    error: "the answer will not come".into(),
                })
            }
        }
    }

    /// Waits until everything should have been written since the end was asked for, and `grace` has passed.
    pub(super) async fn lingered(&self, grace: Duration) -> Disconnected {
        loop {
            let ending = self.lock().ending.clone();
            if let Some((Ending::Flush(why) | Ending::Now(why), since)) = ending {
                tokio::time::sleep_until(since + grace).await;
                return why;
            }
            self.hung_up.notified().await;
        }
    }

    /// Waits until no other connection is wanted; what there is to send is given `grace` from when the end was asked for.
    pub(super) async fn unwanted(&self, grace: Duration) -> Disconnected {
        loop {
            if let Some(why) = self.is_unwanted() {
                return why;
            }
            let since = self.lock().ending.as_ref().map(|ending| ending.1);
            match since {
                Some(since) if since.elapsed() >= grace => return self.lingered(grace).await,
                Some(since) => {
                    let late = tokio::time::sleep_until(since + grace);
                    tokio::select! { () = late => {}, () = self.hung_up.notified() => {} }
                }
                None => self.hung_up.notified().await,
            }
        }
    }

    /// Why no other connection is wanted, if none is: the end was asked for, and nothing is left to be sent.
    fn is_unwanted(&self) -> Option<Disconnected> {
        let state = self.lock();
        match (&state.ending, &state.phase) {
            (Some((Ending::Now(why), _)), _) => Some(why.clone()),
            (Some((Ending::Flush(why), _)), _) if !state.has_unsent() => Some(why.clone()),
            (None, Phase::Draining) if !state.has_unsent() => state.lost.clone(),
            (Some((Ending::Flush(_), _)) | None, _) => None,
        }
    }
}
