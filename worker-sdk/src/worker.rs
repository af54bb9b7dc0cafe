//! The worker: its bus, its sockets, its word that it is ready, and the word that it should go.

use std::{
    collections::BTreeMap,
    os::{fd::RawFd, unix::net::UnixStream},
    time::Duration,
};

use axum::Router;
use futures::StreamExt;
use ostler_bus::{
    Generation, Limits, Slot, WorkerId,
    client::{Bus, ConnectOptions, Delivery, Subscription},
    hub::{Hub, HubOptions, Principal},
    transport::InheritedTransport,
    vocab::{
        rules::{builtins, fleet_rules},
        worker::{Disconnect, Drain, Ready},
    },
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    DrainSignal, Draining, Identity, Listener, StartError,
    drain::{self, DrainTrigger},
    http,
    identity::{FIRST_FD, Inheritance, Managed},
    sys,
};

/// How long a worker that is sent TERM, without a word from the master, takes to drain. Ostler's own default ladder
/// allows as much.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// A worker of Ostler; or, if it was started by itself, a stand-in whose bus reaches no further than this process.
#[derive(Debug)]
pub struct Worker {
    bus: Bus,
    identity: Identity,
    sockets: BTreeMap<String, RawFd>,
    draining: DrainSignal,
    /// The hub of a worker that was started by itself; `None` under Ostler.
    alone: Option<Hub>,
}

impl Worker {
    /// Takes over what the master handed to this process, and connects to the bus. Outside Ostler a hub in this process
    /// stands in for the master's: the app's own events still work. Listens for TERM and INT from here on: both drain.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start() -> Result<Self, StartError> {
        let inheritance = Inheritance::from_env()?;
        let sockets = (FIRST_FD..)
            .zip(inheritance.sockets)
            .map(|(fd, name)| (name, fd))
            .collect();
        let (bus, identity, alone) = match inheritance.managed {
            Some(managed) => (connect(&managed).await?, managed.identity, None),
            None => stand_in().await?,
        };
        let (trigger, draining) = drain::signal();
        let words = bus
            .subscribe_to::<Drain>(&Drain::topic(identity.id))
            .await
            .map_err(StartError::Subscribe)?;
        let signals = (
            signals(SignalKind::terminate())?,
            signals(SignalKind::interrupt())?,
        );
        tokio::spawn(hear_the_master(words, trigger.clone()));
        tokio::spawn(hear_signals(signals, trigger));
        Ok(Self {
            bus,
            identity,
            sockets,
            draining,
            alone,
        })
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Who this worker is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether a master started this process.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.alone.is_none()
    }

    /// The socket that the master bound under this name; outside Ostler, `fallback` (`127.0.0.1:8080`, `unix:PATH`) is bound.
    ///
    /// # Errors
    /// Under Ostler if no such socket was declared, or it was taken before; else if the fallback can't be bound.
    pub fn listen(&self, name: &str, fallback: &str) -> Result<Listener, StartError> {
        match self.sockets.get(name) {
            Some(fd) => {
                let socket = sys::take_inherited(*fd).map_err(|error| StartError::Socket {
                    name: name.into(),
                    error,
                })?;
                Listener::inherited(name, socket.ok_or_else(|| StartError::Taken(name.into()))?)
            }
            None if self.is_managed() => Err(StartError::Undeclared {
                name: name.into(),
                declared: self.sockets.keys().cloned().collect(),
            }),
            None => Listener::bind(name, fallback),
        }
    }

    /// Says that this worker is ready to serve. Until then the master starts no further one and takes no old one away.
    ///
    /// # Errors
    /// If the master did not take it.
    pub async fn ready(&self) -> Result<(), StartError> {
        match self.is_managed() {
            true => self
                .bus
                .request(&Ready {})
                .await
                .map_err(StartError::Announce),
            false => Ok(()),
        }
    }

    /// Says that this worker is going of its own accord, so that its exit is not taken for a crash. Returns when the master
    /// has noted it.
    ///
    /// # Errors
    /// If the master did not take it.
    pub async fn disconnect(&self) -> Result<(), StartError> {
        match self.is_managed() {
            true => self
                .bus
                .request(&Disconnect {})
                .await
                .map_err(StartError::Announce),
            false => Ok(()),
        }
    }

    /// Tells when to drain.
    #[must_use]
    pub fn draining(&self) -> DrainSignal {
        self.draining.clone()
    }

    /// Serves HTTP/1.1 until this worker is to drain and everything begun has been answered. See [`http`].
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(&self, listener: Listener, router: Router) -> std::io::Result<()> {
        http::serve(listener, router, self.draining.clone()).await
    }
}

async fn connect(managed: &Managed) -> Result<Bus, StartError> {
    let name = "the bus";
    let socket = sys::take_inherited(managed.bus_fd).map_err(|error| StartError::Socket {
        name: name.into(),
        error,
    })?;
    let socket = socket.ok_or_else(|| StartError::Taken(name.into()))?;
    let transport = InheritedTransport::new(UnixStream::from(socket));
    let options = ConnectOptions::worker(format!(
        "{}.{}",
        managed.identity.app, managed.identity.slot
    ));
    Bus::connect(transport, options)
        .await
        .map_err(StartError::Connect)
}

/// Outside Ostler: a hub of this process's own, with the same rules.
async fn stand_in() -> Result<(Bus, Identity, Option<Hub>), StartError> {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let app = program
        .unwrap_or_else(|| "alone".into())
        .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    let identity = Identity {
        app,
        id: WorkerId(0),
        slot: Slot(0),
        generation: Generation(0),
    };
    let options = HubOptions {
        name: identity.app.clone(),
        limits: Limits::default(),
        rules: fleet_rules(),
        builtins: builtins(),
    };
    let (hub, _nobody_reads) = Hub::start(options).map_err(StartError::System)?;
    let principal = Principal::Worker {
        app: identity.app.clone(),
        id: identity.id,
        slot: identity.slot,
        generation: identity.generation,
        pid: std::process::id(),
    };
    let transport = hub.attach_memory(principal).map_err(StartError::System)?;
    let bus = Bus::connect(transport, ConnectOptions::worker(identity.app.clone()))
        .await
        .map_err(StartError::Connect)?;
    tracing::info!("not started by Ostler: events stay within this process");
    Ok((bus, identity, Some(hub)))
}

fn signals(kind: SignalKind) -> Result<Signal, StartError> {
    signal(kind).map_err(StartError::System)
}

/// If the master is gone this worker serves on: a signal can still drain it.
async fn hear_the_master(mut words: Subscription<Drain>, trigger: DrainTrigger) {
    while let Some(delivery) = words.next().await {
        match delivery {
            Delivery::Event(word) => {
                let time =
                    Duration::from_millis(word.event.deadline_ms).min(Duration::from_secs(86_400));
                trigger.begin(Draining::within(word.event.reason, time));
            }
            Delivery::Lagged { .. } | Delivery::Misfit { .. } => {}
            Delivery::Disconnected(why) => tracing::warn!("the bus is gone ({why}); serving on"),
        }
    }
}

/// The first signal begins to drain, a later one ends it.
async fn hear_signals((mut term, mut int): (Signal, Signal), trigger: DrainTrigger) {
    loop {
        let reason = tokio::select! {
            Some(()) = term.recv() => "SIGTERM",
            Some(()) = int.recv() => "SIGINT",
            else => return,
        };
        if trigger.has_begun() {
            trigger.cut();
        }
        trigger.begin(Draining::within(reason, DRAIN_TIME));
    }
}
