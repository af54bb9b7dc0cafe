//! Where the conversation on a connection stands, and how long more is to be expected of it.

use axum::http::Version;
use tokio::{sync::watch, time::Instant};

use super::{
    FRESH, HEAD, LAME_DUCK,
    moves::{Moved, Moves},
};
use crate::{
    DrainSignal, RequestCounter, RequestUnderWay,
    holding::{Held, HeldRequest},
};

/// Where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    /// The version of its requests; `None`: nothing was asked yet.
    version: Option<Version>,
    /// Requests that are being read or answered: one at a time, but with HTTP/2.
    under_way: u32,
    /// Since when there are none: since the last answer was complete, or the connection was accepted.
    since: Instant,
}

impl Talk {
    /// Of a connection that was accepted just now.
    pub(super) fn begin() -> watch::Sender<Self> {
        watch::Sender::new(Self {
            version: None,
            under_way: 0,
            since: Instant::now(),
        })
    }

    /// How long the next request is waited for while this worker doesn't drain, if that is not hyper's own affair.
    fn patience(&self) -> Option<Instant> {
        match self.version {
            None | Some(Version::HTTP_2) if self.under_way == 0 => Some(self.since + HEAD),
            _ => None,
        }
    }

    /// How long after the drain began; `None`: until the answer that is under way is complete.
    fn lame_duck(&self, began: Instant) -> Option<Instant> {
        match self.version {
            None => Some((began + LAME_DUCK).max(self.since + FRESH)),
            // GOAWAY loses none that is on its way.
            Some(Version::HTTP_2) => Some(began),
            // It ends by its answer's `close`; or is idle for a while, if the answer had begun before.
            Some(_) if self.under_way > 0 => None,
            Some(_) => Some(began.max(self.since) + LAME_DUCK),
        }
    }

    /// Whether only the client's answer to the GOAWAY is waited for, which may never come. HTTP/1 ends with its last answer.
    fn has_said_all(&self) -> bool {
        matches!(self.version, None | Some(Version::HTTP_2))
            && self.under_way == 0
            && self.since.elapsed() >= FRESH
    }
}

/// Waits until nothing more is expected from a connection: because it was silent for too long, or this worker drains.
pub(super) async fn ends(mut drain: DrainSignal, mut talk: watch::Receiver<Talk>) {
    // Looked at when it may have been too long, and not at each request.
    let began = loop {
        let patience = talk.borrow().patience();
        let look = patience.unwrap_or_else(|| Instant::now() + HEAD);
        tokio::select! {
            biased;
            _ = drain.begun() => break Instant::now(),
            () = tokio::time::sleep_until(look) => {}
        }
        let patience = talk.borrow().patience();
        if patience.is_some_and(|end| end <= Instant::now()) {
            return;
        }
    };
    loop {
        let until = talk.borrow_and_update().lame_duck(began);
        let changed = talk.changed();
        let changed = match until {
            Some(until) => tokio::time::timeout_at(until, changed).await,
            None => Ok(changed.await),
        };
        match changed {
            Ok(Ok(())) => {}
            // The conversation is over, and says so itself.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_time_is_up) => return,
        }
    }
}

/// Waits until nothing more is expected from a connection that is to end: for [`FRESH`] all was said, and not a byte has moved.
/// From a client that says anything after it was told of the end, the end comes by itself: it may be slow, but it is there.
pub(super) async fn falls_silent(talk: watch::Receiver<Talk>, moved: Moved) {
    moved.take();
    loop {
        tokio::time::sleep(FRESH).await;
        match moved.take() {
            Moves::Heard => return std::future::pending().await,
            Moves::Nothing if talk.borrow().has_said_all() => return,
            Moves::Nothing | Moves::Written => {}
        }
    }
}

/// A request, from its head until its answer was sent whole, or given up; one that became a WebSocket, until that is closed.
#[derive(Debug)]
pub(super) struct UnderWay {
    talk: watch::Sender<Talk>,
    _counted: RequestUnderWay,
    _held: HeldRequest,
}

impl UnderWay {
    pub(super) fn begin(
        talk: &watch::Sender<Talk>,
        version: Version,
        counter: &RequestCounter,
        held: &Held,
    ) -> Self {
        talk.send_modify(|talk| {
            talk.version = Some(version);
            talk.under_way += 1;
        });
        Self {
            talk: talk.clone(),
            _counted: counter.begin(),
            _held: held.request(),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.talk.send_modify(|talk| {
            talk.under_way = talk.under_way.saturating_sub(1);
            talk.since = Instant::now();
        });
    }
}
