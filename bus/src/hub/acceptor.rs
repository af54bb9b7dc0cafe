//! Lets peers in: by path the hub's own uid, and root; over a network whoever shows a token later.
//!
//! No faster than the limits say; and when the process has no descriptor left, one that was kept for this is spent to tell
//! the peer so.

use std::{
    io::{self, IoSlice},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{
    core::{Core, Door, Whose},
    notice::HubNotice,
    pace::Pace,
    principal::Admission,
    shortage::Shortage,
    socket::{PathListener, Socket},
    stream::Stream,
    thread::{Life, TcpDoor},
};
use crate::{transport::liveness, wire::control::CloseKind};

/// How long to wait when the system has no memory for a peer.
const BREATH: Duration = Duration::from_millis(100);

/// Accepts peers by path for as long as the hub lives.
pub(super) async fn by_path(life: Rc<Life>, listener: Rc<PathListener>, admission: Admission) {
    let mut gate = Gate::new(&life);
    let own = rustix::process::geteuid().as_raw();
    loop {
        gate.wait().await;
        let came = listener.accept().await;
        if let Some(stream) = gate.came(came).await {
            let seat = vet(own, &stream)
                .map_err(|reason| (CloseKind::Denied, reason))
                .and_then(|uid| {
                    let seat = life.crowd.enter(uid, life.limits.connections_per_uid);
                    let seat = seat.map_err(|reason| (CloseKind::Limit, reason))?;
                    Ok((seat, uid))
                });
            match seat {
                Ok((seat, uid)) => {
                    let id = life.open(stream.into(), Door::Path(admission), seat);
                    life.shell.step(|core| core.vouch(id, Whose::Uid(uid)));
                    // Who was let in is heard before it is looked for the next.
                    tokio::task::yield_now().await;
                }
                Err((kind, reason)) => {
                    tell(&Stream::from(stream), kind, reason.clone());
                    life.notices.send(HubNotice::TurnedAway { reason });
                }
            }
        } else if gate.shortage.is_short() {
            let next = async || listener.accept().await.map(Stream::from);
            gate.shortage.turn_away(next, say_shortage).await;
        }
    }
}

/// Accepts peers over a network for as long as the hub lives.
pub(super) async fn by_tcp(life: Rc<Life>, listener: Rc<TcpListener>, door: TcpDoor) {
    let mut gate = Gate::new(&life);
    let places = Arc::new(Semaphore::new(
        life.limits.greetings.min(Semaphore::MAX_PERMITS),
    ));
    loop {
        // Strangers beyond that wait outside.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        gate.wait().await;
        let came = listener.accept().await.map(|(stream, _)| stream);
        if let Some(stream) = gate.came(came).await {
            match liveness::watch_over(&stream) {
                Ok(()) => life.spawn(receive(Rc::clone(&life), stream, door.clone(), place)),
                Err(error) => tracing::debug!(%error, "a peer was gone before it was let in"),
            }
        } else if gate.shortage.is_short() {
            let next = async || listener.accept().await.map(|(stream, _)| stream.into());
            gate.shortage.turn_away(next, say_shortage).await;
        }
    }
}

/// Brings a peer's stream to where it can say HELLO.
async fn receive(life: Rc<Life>, stream: TcpStream, door: TcpDoor, place: OwnedSemaphorePermit) {
    let stream = match door {
        TcpDoor::Plain => Stream::Tcp(stream),
        #[cfg(feature = "tls")]
        TcpDoor::Tls(tls) => {
            let from = stream.peer_addr();
            let shaken = tokio::time::timeout(life.limits.hello_timeout, tls.accept(stream)).await;
            match shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => Stream::tls(stream),
                Err(error) => {
                    let from = from.map_or_else(|_| "a peer".into(), |from| from.to_string());
                    let reason = format!("no TLS with {from}: {error}");
                    return life.notices.send(HubNotice::TurnedAway { reason });
                }
            }
        }
    };
    let id = life.open(stream, Door::Network, ());
    life.guests.greet(id, place);
}

/// What every door has: a pace, and a descriptor kept for bad times.
struct Gate {
    pace: Pace,
    shortage: Shortage,
}

impl Gate {
    fn new(life: &Life) -> Self {
        Self {
            pace: Pace::new(life.limits.accepts_per_second, Instant::now()),
            shortage: Shortage::default(),
        }
    }

    async fn wait(&mut self) {
        loop {
            let wait = self.pace.wait(Instant::now());
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// What came of an attempt to let somebody in.
    async fn came<S>(&mut self, came: io::Result<S>) -> Option<S> {
        self.pace.take();
        match came {
            Ok(stream) => {
                self.shortage.over();
                Some(stream)
            }
            Err(error) if Shortage::is_meant_by(&error) => {
                self.shortage.begins(&error, Instant::now());
                None
            }
            // Out of memory, or the peer gave up: the next one may do better.
            Err(error) => {
                tracing::debug!(%error, "a peer could not be let in");
                tokio::time::sleep(BREATH).await;
                None
            }
        }
    }
}

fn say_shortage(stream: &Stream) {
    let reason = "the hub has no descriptor left for one more connection; try again later";
    tell(stream, CloseKind::Limit, reason.into());
}

fn tell(stream: &Stream, kind: CloseKind, reason: String) {
    let frame = Core::denial(kind, reason);
    let told: io::Result<usize> = stream.try_write(&[IoSlice::new(&frame)]);
    if let Err(error) = told {
        tracing::debug!(%error, "a peer that was turned away could not be told");
    }
}

/// Whose connection it is, if it may come in to a hub of uid `own`.
fn vet(own: u32, stream: &Socket) -> Result<u32, String> {
    let (peer, _) = stream
        .peer()
        .map_err(|e| format!("the system doesn't say whose this connection is: {e}"))?;
    judge(own, peer).map(|()| peer)
}

/// Whether a peer of uid `peer` may connect to a hub of uid `own`.
fn judge(own: u32, peer: u32) -> Result<(), String> {
    if peer == own || peer == 0 {
        return Ok(());
    }
    Err(format!(
        "this hub belongs to uid {own}, and uid {peer} may not connect: run the command as uid {own} or as root"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_uid_and_root_come_in() {
        assert_eq!(judge(1000, 1000), Ok(()));
        assert_eq!(judge(1000, 0), Ok(()));
        assert_eq!(judge(0, 0), Ok(()));
        let reason = judge(1000, 1001).unwrap_err();
        assert!(
            reason.contains("uid 1001") && reason.contains("run the command as uid 1000"),
            "{reason}"
        );
        assert!(judge(0, 1000).is_err());
    }
}
