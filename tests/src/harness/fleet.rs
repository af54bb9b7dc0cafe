//! A running master together with a bus connection of the test's own.

use std::{
    net::SocketAddr,
    ops::{Deref, DerefMut},
    path::PathBuf,
    time::Duration,
};

use ostler_bus::{
    Event,
    client::{Bus, ConnectOptions, Payload},
    transport::UnixTransport,
    vocab::status::{MasterStatus, StatusReport, WorkerStatus},
};

use serde_json::Value;

use super::{Heard, LinePattern, Master, MasterBuilder, PATIENCE, Web};

/// A [`Master`] whose hub this process is connected to, as an operator: its state is asked for without starting a
/// command, and events are awaited as types.
#[derive(Debug)]
pub struct Fleet {
    /// The connection.
    pub bus: Bus,
    master: Master,
}

impl Deref for Fleet {
    type Target = Master;

    fn deref(&self) -> &Master {
        &self.master
    }
}

impl DerefMut for Fleet {
    fn deref_mut(&mut self) -> &mut Master {
        &mut self.master
    }
}

impl Fleet {
    /// Starts a master and connects to it.
    ///
    /// # Panics
    /// If either can't be done in time.
    pub async fn start(builder: MasterBuilder) -> Self {
        Self::of(builder.start().await).await
    }

    /// Starts a master and waits until so many of its workers are ready.
    ///
    /// # Panics
    /// If they aren't in time.
    pub async fn ready(builder: MasterBuilder, workers: usize) -> Self {
        let fleet = Self::start(builder).await;
        fleet.until_ready(workers).await;
        fleet
    }

    /// Connects to a running master.
    ///
    /// # Panics
    /// If its hub doesn't let this process in.
    pub async fn of(master: Master) -> Self {
        let options = ConnectOptions::operator("test").once();
        let bus = connect(bus_socket(&master), options).await;
        Self { bus, master }
    }

    /// The master alone: the test's own connection ends.
    #[must_use]
    pub fn into_master(self) -> Master {
        self.master
    }

    /// Another connection to the same hub.
    ///
    /// # Panics
    /// If the hub doesn't let it in.
    pub async fn connect(&self, options: ConnectOptions) -> Bus {
        connect(self.socket(), options).await
    }

    /// Subscribes to a type's topic.
    pub async fn hear<E: Event>(&self) -> Heard<E> {
        Heard::on(&self.bus).await
    }

    /// Subscribes to a pattern.
    pub async fn hear_raw(&self, pattern: &str) -> Heard<Payload> {
        Heard::raw(&self.bus, pattern).await
    }

    /// The path of the hub's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        bus_socket(&self.master)
    }

    /// The state of everything, at most 100 ms old.
    ///
    /// # Panics
    /// If the master doesn't answer.
    pub async fn status(&self) -> StatusReport {
        let answer = self
            .bus
            .request_within(&MasterStatus::default(), PATIENCE)
            .await;
        answer.expect("the master answers masterStatus")
    }

    /// Looks at the state until it is as wanted; gives it.
    ///
    /// # Panics
    /// If it isn't within [`PATIENCE`]; with the last state and the master's log.
    #[track_caller]
    pub fn until(
        &self,
        what: &str,
        is: impl Fn(&StatusReport) -> bool,
    ) -> impl Future<Output = StatusReport> {
        let place = std::panic::Location::caller();
        async move {
            let end = tokio::time::Instant::now() + PATIENCE;
            let mut tick = tokio::time::interval(Duration::from_millis(30));
            loop {
                tick.tick().await;
                let status = self.status().await;
                if is(&status) {
                    return status;
                }
                assert!(
                    tokio::time::Instant::now() < end,
                    "{place}: waited {PATIENCE:?} for {what}; {status:#?}"
                );
            }
        }
    }

    /// Waits until exactly so many workers are ready and current, and no other one lives.
    ///
    /// # Panics
    /// If they aren't in time.
    #[track_caller]
    pub fn until_ready(&self, workers: usize) -> impl Future<Output = Vec<WorkerStatus>> {
        let settled = self.until("all workers to be ready", move |status| {
            let ready = |worker: &&WorkerStatus| worker.state == "ready" && worker.current;
            status.workers.len() == workers
                && status.workers.iter().filter(ready).count() == workers
        });
        async { settled.await.workers }
    }

    /// Where the first socket of the first app that has one listens.
    ///
    /// # Panics
    /// If there is none, or it is not TCP.
    pub async fn address(&self) -> SocketAddr {
        let status = self.status().await;
        let socket = status.apps.iter().flat_map(|app| &app.sockets).next();
        let address = &socket.expect("a declared socket").address;
        address.parse().expect("an address of TCP")
    }

    /// Asks a worker of `app` by HTTP, on a connection of its own; gives the JSON that is answered.
    ///
    /// # Panics
    /// If the app has no socket, or the answer is not JSON with status 200.
    pub async fn get(&self, app: &str, path: &str) -> Value {
        let status = self.status().await;
        let app = status.apps.iter().find(|known| known.name == app);
        let socket = app.and_then(|app| app.sockets.first());
        let address = &socket.expect("a declared socket").address;
        Web::get(address.parse().expect("an address of TCP"), path).await
    }

    /// The current worker in a slot of an app.
    ///
    /// # Panics
    /// If there is none.
    pub async fn worker(&self, app: &str, slot: u32) -> WorkerStatus {
        let status = self.status().await;
        let mut workers = status.workers.into_iter();
        let found = workers.find(|w| w.app == app && w.slot.0 == slot && w.current);
        found.expect("a current worker")
    }

    /// Waits for a line that a worker printed, from the first line on: workers' standard output is the master's.
    ///
    /// # Panics
    /// If it doesn't come in time.
    pub async fn said(&self, pattern: impl LinePattern) -> String {
        let mut lines = self.master.process.stdout.clone();
        lines.wait_for_line(pattern, PATIENCE).await
    }

    /// Waits for a line of the master's log, from the first line on.
    ///
    /// # Panics
    /// If it doesn't come in time.
    pub async fn logged(&self, pattern: impl LinePattern) -> String {
        let mut lines = self.master.process.stderr.clone();
        lines.wait_for_line(pattern, PATIENCE).await
    }
}

async fn connect(socket: PathBuf, options: ConnectOptions) -> Bus {
    let connected = Bus::connect(UnixTransport::new(socket), options).await;
    connected.unwrap_or_else(|error| panic!("{error}"))
}

/// The home of a test holds one master, or the first of them by name.
fn bus_socket(master: &Master) -> PathBuf {
    let masters = std::fs::read_dir(master.home()).expect("the master made its home");
    let mut sockets: Vec<PathBuf> = masters
        .flatten()
        .map(|entry| entry.path().join("bus.sock"))
        .filter(|path| path.exists())
        .collect();
    sockets.sort();
    sockets.into_iter().next().expect("a bus socket")
}
