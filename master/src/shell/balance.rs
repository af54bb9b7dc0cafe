//! Workers that take connections from the master: who they are, and when they may be handed some.

use std::{io, os::fd::OwnedFd};

use ostler_bus::WorkerId;
use tokio::task::JoinSet;

use super::{
    Shell,
    handle::{Message, ShellHandle},
    workshop::Workshop,
};
use crate::{
    config::app::{Readiness, SocketMode},
    fleet::{FleetEvent, SpawnOrder},
    sockets::{
        BoundSocket, SocketId,
        balance::{Begins, Channel, GRACE, Joins, Served, Sticks, channel_pair},
    },
};

/// What is said of a socket that is meant for workers that take connections, and has one that doesn't.
struct Meant {
    consequence: &'static str,
    what: &'static str,
    leave: &'static str,
}

const BALANCED: Meant = Meant {
    consequence: "",
    what: "mode = \"balanced\"",
    leave: "the mode",
};

const PROXIED: Meant = Meant {
    consequence: ": it gets any client's connections, with their headers",
    what: "proxy_protocol",
    leave: "it",
};

/// Whether a worker may be handed connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not ready yet.
    Starting,
    /// It is.
    Ready,
    /// It is on its way out.
    Leaving,
}

/// The master's end of a channel by which a worker may be handed the connections of a socket.
#[derive(Debug)]
pub(super) struct Handed {
    /// The socket.
    pub(super) socket: SocketId,
    /// The question by which the worker got it; `None` if it was declared.
    pub(super) question: Option<u64>,
    /// Our end.
    pub(super) channel: Channel,
}

/// Waits, for as long as what is returned is kept, until a worker asks for the connections of each of its sockets.
pub(super) fn taking(id: WorkerId, channels: Vec<Handed>, shell: &ShellHandle) -> JoinSet<()> {
    let mut waiting = JoinSet::new();
    for handed in channels {
        let shell = shell.clone();
        waiting.spawn(async move {
            match handed.channel.first_word().await {
                Ok(Some(channel)) => {
                    let handed = Handed { channel, ..handed };
                    shell.send(Message::Takes { id, handed }).await;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!("worker {id} can't be handed connections: {error}");
                }
            }
        });
    }
    waiting
}

impl Shell {
    /// A worker takes connections of a socket from now on.
    pub(super) fn takes(&mut self, id: WorkerId, handed: Handed) {
        let Handed {
            socket,
            question,
            channel,
        } = handed;
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.untaken.remove(&socket);
        let begins = match (process.standing, &process.order.definition.ready) {
            // It would accept for itself.
            (Standing::Leaving, _) => return channel.refuse(),
            (Standing::Ready, _) => Begins::Now,
            // Whoever asks whether it is ready may ask at this very socket.
            (Standing::Starting, Readiness::Probe(_)) => Begins::Asked,
            (
                Standing::Starting,
                Readiness::Auto | Readiness::Notify | Readiness::Sdk | Readiness::Delay(_),
            ) => Begins::Later,
        };
        let sockets = &self.workshop.sockets;
        if question.is_some_and(|question| !sockets.still_has(socket, id, question)) {
            // It has given the socket back meanwhile.
            return;
        }
        let (Some((app, bound)), Some(listener)) = (sockets.get(socket), sockets.duplicate(socket))
        else {
            // Closed meanwhile.
            return;
        };
        let max_connections = match bound.declaration().options.mode {
            SocketMode::Balanced { max_connections } => max_connections,
            // It may have begun before the socket was declared so.
            SocketMode::Auto
            | SocketMode::Shared
            | SocketMode::Slot
            | SocketMode::Sticky
            | SocketMode::Proxied(_) => None,
        };
        let proxied = bound.declaration().options.mode.proxied();
        let slot = process.order.slot;
        let sticks = proxied.map(|header| Sticks { slot, header });
        let socket = Served {
            id: socket,
            app: app.clone(),
            name: bound.name().to_owned(),
        };
        let joined = listener.and_then(|listener| {
            self.workshop.balancer.join(Joins {
                id,
                socket,
                channel,
                begins,
                listener,
                max_connections,
                sticks,
            })
        });
        if let Err(error) = joined {
            tracing::warn!(
                "worker {id} can't be handed connections: {error}; it accepts for itself"
            );
        }
        if sticks.is_some() {
            // Whose clients are whose may not have been told yet.
            self.direct_slots();
        }
    }

    /// Notes how a worker stands, before anybody else hears of it.
    pub(super) fn stand(&mut self, event: &FleetEvent) {
        let (id, standing) = match event {
            FleetEvent::WorkerReady(event) => (event.worker.id, Standing::Ready),
            FleetEvent::WorkerDraining(event) => (event.worker.id, Standing::Leaving),
            // It is nobody's any more: it is handed nothing, and accepts for itself, so it must not hear that it drains.
            FleetEvent::WorkerReleased(event) => {
                return self.workshop.balancer.released(event.worker.id);
            }
            FleetEvent::WorkerSpawned(_)
            | FleetEvent::WorkerOnline(_)
            | FleetEvent::WorkerDisconnected(_)
            // Noted with its exit.
            | FleetEvent::WorkerExited(_)
            | FleetEvent::WorkerHook(_)
            | FleetEvent::UpdateStarted(_)
            | FleetEvent::UpdateProgress(_)
            | FleetEvent::UpdateFinished(_)
            | FleetEvent::UpdateAborted(_)
            | FleetEvent::UpdateRolledBack(_)
            | FleetEvent::UpdateSuspended(_)
            | FleetEvent::AppResized(_)
            | FleetEvent::AppFailed(_)
            | FleetEvent::OperationFinished(_) => return,
        };
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut process.standing, standing);
        match standing {
            Standing::Starting => {}
            Standing::Ready => {
                self.workshop.balancer.ready(id);
                let mut untaken = process.untaken.iter();
                let amiss = untaken.any(|socket| self.workshop.meant_for_takers(*socket).is_some());
                if before == Standing::Starting && amiss {
                    let shell = self.handle.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(GRACE).await;
                        shell.send(Message::Overdue { id }).await;
                    });
                }
            }
            Standing::Leaving => {
                self.workshop.balancer.drains(id);
                self.counts.begins_to_drain(id);
            }
        }
    }

    /// Says of a ready worker that it takes no connections from the master although its socket is `balanced`, or sticky by what a
    /// proxy tells: clients are served all the same, as it accepts for itself.
    pub(super) fn overdue(&self, id: WorkerId) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        if process.standing != Standing::Ready {
            return;
        }
        let untaken = process.untaken.iter();
        for (socket, meant) in untaken.filter_map(|socket| self.workshop.meant_for_takers(*socket))
        {
            tracing::error!(
                "{}.{}: worker {id} does not take the connections of the socket {:?} from the master, so it shares the socket instead{}; \
                 hint: {} is for workers that accept by the Rust SDK, or by ostler_sockets in Python; for others leave {} out",
                process.order.app,
                process.order.slot,
                socket.name(),
                meant.consequence,
                meant.what,
                meant.leave
            );
        }
    }
}

impl Workshop {
    /// A socket whose declaration is for workers that take connections.
    fn meant_for_takers(&self, socket: SocketId) -> Option<(&BoundSocket, Meant)> {
        let (_, socket) = self.sockets.get(socket)?;
        match socket.declaration().options.mode {
            SocketMode::Balanced { .. } => Some((socket, BALANCED)),
            SocketMode::Proxied(_) => Some((socket, PROXIED)),
            SocketMode::Auto | SocketMode::Shared | SocketMode::Slot | SocketMode::Sticky => None,
        }
    }

    /// Whose a socket is; `None` if it is bound no more.
    pub(super) fn served(&self, id: SocketId) -> Option<Served> {
        let (app, socket) = self.sockets.get(id)?;
        Some(Served {
            id,
            app: app.clone(),
            name: socket.name().to_owned(),
        })
    }

    /// A listener was mended.
    pub(super) fn tell_balancer(&self, socket: SocketId) {
        match self.sockets.duplicate(socket) {
            Some(Ok(listener)) => self.balancer.mended(socket, listener),
            Some(Err(error)) => tracing::error!("a mended socket is not accepted on: {error}"),
            None => {}
        }
    }

    /// One channel for each socket whose connections this worker may be handed; its own ends are added to `fds`.
    pub(super) fn channels(
        &self,
        order: &SpawnOrder,
        fds: &mut Vec<OwnedFd>,
    ) -> io::Result<Vec<Handed>> {
        let sockets = self
            .sockets
            .handing_over(&order.definition, order.slot)
            .into_iter();
        sockets
            .map(|(id, _)| {
                let (ours, theirs) = channel_pair()?;
                fds.push(theirs);
                Ok(Handed {
                    socket: id,
                    question: None,
                    channel: ours,
                })
            })
            .collect()
    }
}
