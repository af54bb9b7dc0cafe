//! The owning task: one connection after the other, until it is over.
//!
//! ```text
//!              ┌───────────────────────────────────────────────┐
//!              ▼                                               │ WELCOME: say what the hub must know, then what waits
//!   connected ── lost ──► reconnecting: wait, connect, HELLO ──┘
//!       │                       │ ▲
//!       │ final                 │ └── failed
//!       ▼                       ▼ given up, refused for good, or nothing left to do
//!     closed ◄──────────────────┘
//! ```

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    connection::{Connection, Ended, LINGER},
    error::{ConnectError, Disconnected},
    handle::ConnectionState,
    handshake::{self, Met},
    link::Link,
    receive::Receiver,
    reconnect::{self, Backoff, ReconnectPolicy},
    state::Phase,
};
use crate::transport::Transport;

/// What the task owns.
pub(super) struct Task<T> {
    link: Arc<Link>,
    transport: T,
    receiver: Receiver,
    /// Proof of being a worker, as the hub gave it last.
    token: Option<String>,
    why: Option<Disconnected>,
}

impl<T: Transport> Task<T> {
    pub(super) fn new(link: Arc<Link>, transport: T) -> Self {
        Self {
            token: link.welcome().token.clone(),
            receiver: Receiver::new(Arc::clone(&link)),
            link,
            transport,
            why: None,
        }
    }

    /// Runs until there is no connection, nor will be.
    pub(super) async fn run(mut self, first: Met) {
        let policy = self.link.options.reconnect;
        let mut backoff = Backoff::new(policy.unwrap_or_default());
        let mut met = first;
        let why = loop {
            let began = Instant::now();
            let link = Arc::clone(&self.link);
            let connection = Connection::new(link, &mut self.receiver, met.stream, met.received);
            let Ended { why, unwritten } = connection.run().await;
            let policy = match policy {
                Some(policy) if self.transport.again() && !reconnect::is_final(&why) => policy,
                Some(_) | None => break why,
            };
            let in_vain = self.link.lock().lose(&why, unwritten);
            drop(in_vain);
            // What was held is not any more.
            self.link.has_room();
            backoff.lost_after(began.elapsed());
            match self.reconnect(policy, &mut backoff, &why).await {
                Ok(again) => met = self.resume(again),
                Err(why) => break why,
            }
        };
        self.why = Some(why);
    }

    /// Says what the hub must know before anything else.
    fn resume(&mut self, met: Met) -> Met {
        if met.welcome.token.is_some() {
            self.token.clone_from(&met.welcome.token);
        }
        self.receiver.resume(&met.welcome);
        self.link.set_welcome(met.welcome.clone());
        let draining = matches!(self.link.lock().phase, Phase::Draining);
        self.link.phase.send_replace(match draining {
            true => ConnectionState::Draining,
            false => ConnectionState::Connected,
        });
        tracing::info!(
            target = self.link.target,
            "the bus connection was made again"
        );
        met
    }

    async fn reconnect(
        &self,
        policy: ReconnectPolicy,
        backoff: &mut Backoff,
        why: &Disconnected,
    ) -> Result<Met, Disconnected> {
        tracing::warn!("{why}; it is made again");
        let mut error = why.to_string();
        let attempts = self.attempts(backoff, why, &mut error);
        let made = async {
            match policy.give_up_after {
                Some(after) => tokio::time::timeout(after, attempts).await.ok(),
                None => Some(attempts.await),
            }
        };
        let made = tokio::select! {
            biased;
            why = self.link.unwanted(LINGER) => return Err(why),
            made = made => made,
        };
        made.unwrap_or_else(|| {
            Err(Disconnected::GaveUp {
                target: self.link.target.clone(),
                after: policy.give_up_after.unwrap_or_default(),
                error,
            })
        })
    }

    /// Tries until it is welcomed, or refused for good.
    async fn attempts(
        &self,
        backoff: &mut Backoff,
        why: &Disconnected,
        error: &mut String,
    ) -> Result<Met, Disconnected> {
        let since = std::time::Instant::now();
        for attempt in 1.. {
            self.tell(since, attempt, why);
            tokio::time::sleep(backoff.next(luck())).await;
            match self.attempt().await {
                Ok(met) => return Ok(met),
                Err(failed) => *error = reconnect::failed(failed)?,
            }
            tracing::debug!(
                attempt,
                "the bus connection could not be made again: {error}"
            );
        }
        unreachable!("attempts are not numbered that high in a lifetime")
    }

    async fn attempt(&self) -> Result<Met, ConnectError> {
        handshake::within(
            &self.transport,
            &self.link.options,
            &self.link.target,
            self.token.as_deref(),
        )
        .await
    }

    /// Whoever drains is told of that, not of what it takes.
    fn tell(&self, since: std::time::Instant, attempt: u32, why: &Disconnected) {
        self.link.phase.send_if_modified(|state| match state {
            ConnectionState::Connected | ConnectionState::Reconnecting { .. } => {
                let why = why.clone();
                *state = ConnectionState::Reconnecting {
                    since,
                    attempt,
                    why,
                };
                true
            }
            ConnectionState::Draining | ConnectionState::Closed(_) => false,
        });
    }
}

impl<T> Drop for Task<T> {
    /// Also when the runtime is shut down, or something here panics: whoever waits is told.
    fn drop(&mut self) {
        let why = self.why.take().unwrap_or_else(|| Disconnected::Lost {
            target: self.link.target.clone(),
            error: "the task that owned it was stopped with its runtime".into(),
        });
        self.receiver.end(&why);
    }
}

/// Random bits. Without entropy all clients wait as long: they are only less spread.
fn luck() -> u64 {
    let mut bits = [0; 8];
    let _filled = rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::NONBLOCK);
    u64::from_ne_bytes(bits)
}
