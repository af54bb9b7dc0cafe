//! A running master to measure: driven and observed over its bus, as any other client would.

mod look;
mod sdk_worker;

use std::{path::Path, time::Duration};

use futures::StreamExt;
use ostler_bus::{
    Bus, ConnectOptions, Delivery, Event, OpId, Request,
    client::Subscription,
    transport::UnixTransport,
    vocab::{
        control::{Answer, AppReload, AppScale, OperationFinished, Outcome, ScaleTo},
        worker::{WorkerExited, WorkerReady},
    },
    wire::hello::Kind,
};

use super::roles::{self, Play};
use crate::harness::{Master, deadline};
pub use look::{Memory, Process, Switches};

/// The app's name, and the master's.
pub const APP: &str = "bench";

/// How long anything may take before the benchmark is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The roles that a benchmark of a fleet must be able to play.
pub const ROLES: [(&str, Play); 2] = [("sdk-worker", sdk_worker::play), ("spin", spin)];

/// A master of one app, and a connection to its bus.
#[derive(Debug)]
pub struct Fleet {
    bus: Bus,
    ready: Subscription<WorkerReady>,
    exited: Subscription<WorkerExited>,
    finished: Subscription<OperationFinished>,
    // After the connection, so that it ends when nobody is connected any more.
    master: Master,
}

impl Fleet {
    /// Starts a master of no workers whose app has this command and these other settings (lines of TOML).
    ///
    /// # Errors
    /// If it can't be reached in time.
    pub async fn start(ostler: &Path, command: &[&str], settings: &str) -> Result<Self, String> {
        let words = serde_json::to_string(command).map_err(|e| e.to_string())?;
        let file =
            format!("name = {APP:?}\n[app.{APP}]\ncommand = {words}\ninstances = 0\n{settings}\n");
        let master = Master::builder(ostler).file(&file).start().await;
        let socket = master.home().join(APP).join("bus.sock");
        let options = ConnectOptions::new(Kind::Operator, "bench").once();
        let bus = Bus::connect(UnixTransport::new(socket), options)
            .await
            .map_err(|e| e.to_string())?;
        let failed = |e: ostler_bus::client::SubscribeError| e.to_string();
        Ok(Self {
            ready: bus.subscribe().await.map_err(failed)?,
            exited: bus.subscribe().await.map_err(failed)?,
            finished: bus.subscribe().await.map_err(failed)?,
            bus,
            master,
        })
    }

    /// Scales to so many workers more than none, and waits until all are ready; in the order in which they became so.
    ///
    /// # Errors
    /// If the master refuses, or the bus goes.
    pub async fn scale_up(&mut self, workers: u32) -> Result<Vec<WorkerReady>, String> {
        self.scale(workers).await?;
        let mut all = Vec::new();
        for _ in 0..workers {
            all.push(next(&mut self.ready).await?);
        }
        Ok(all)
    }

    /// Scales to none, and waits until so many have exited.
    ///
    /// # Errors
    /// If the master refuses, or the bus goes.
    pub async fn scale_down(&mut self, workers: usize) -> Result<(), String> {
        self.scale(0).await?;
        for _ in 0..workers {
            next(&mut self.exited).await?;
        }
        Ok(())
    }

    async fn scale(&self, to: u32) -> Result<OpId, String> {
        let to = ScaleTo::Exactly(to);
        let app = APP.into();
        self.ask(&AppScale { app, to }).await
    }

    /// Updates all workers one by one, and waits until that is finished.
    ///
    /// # Errors
    /// If the master refuses or aborts.
    pub async fn reload(&mut self) -> Result<(), String> {
        let app = Some(APP.into());
        let now = false;
        let reload = AppReload {
            app,
            reason: None,
            now,
            env: None,
            inherit: None,
        };
        let op = self.ask(&reload).await?;
        loop {
            let finished = next(&mut self.finished).await?;
            match finished.outcome {
                _ if finished.op != op => {}
                Outcome::Done => return Ok(()),
                Outcome::Failed(why) | Outcome::Superseded(why) => return Err(why),
            }
        }
    }

    async fn ask<R: Request<Reply = Answer>>(&self, request: &R) -> Result<OpId, String> {
        match self.bus.request(request).await {
            Ok(Answer::Accepted { op }) => Ok(op),
            Ok(Answer::Refused { reason, .. }) => Err(reason),
            Err(why) => Err(why.to_string()),
        }
    }

    /// The next worker that is ready.
    ///
    /// # Errors
    /// If the bus goes.
    pub async fn next_ready(&mut self) -> Result<WorkerReady, String> {
        next(&mut self.ready).await
    }

    /// The master's process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process(self.master.process.id())
    }

    /// The path of its bus.
    #[must_use]
    pub fn socket(&self) -> std::path::PathBuf {
        self.master.home().join(APP).join("bus.sock")
    }
}

/// A role: keeps a processor busy.
fn spin(_: &[String]) -> Result<(), String> {
    roles::end_with_stdin();
    loop {
        std::hint::spin_loop();
    }
}

async fn next<E: Event>(events: &mut Subscription<E>) -> Result<E, String> {
    let what = format!("an event on {}", E::TOPIC);
    match deadline(&what, PATIENCE, events.next()).await {
        Some(Delivery::Event(received)) => Ok(received.event),
        Some(Delivery::Lagged { missed } | Delivery::Misfit { missed, .. }) => {
            Err(format!("{missed} of {} were missed", E::TOPIC))
        }
        Some(Delivery::Reconnected { .. }) => Err("the connection was lost".into()),
        Some(Delivery::Disconnected(why)) => Err(why.to_string()),
        None => Err("the subscription has ended".into()),
    }
}
