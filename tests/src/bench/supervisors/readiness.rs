//! How many workers of a master are ready, by what it tells.
//!
//! Its events come in the order in which it told them, so the fewest that were ready are known however late they are
//! read. Nobody looks at intervals, and no moment is between two looks.

use std::{collections::HashSet, path::Path, time::Duration};

use futures::StreamExt;
use ostler_bus::{
    Bus, ConnectOptions, Delivery, Event,
    client::{Payload, Subscription},
    transport::UnixTransport,
    vocab::{
        status::MasterStatus,
        worker::{WorkerDraining, WorkerExited, WorkerReady},
    },
    wire::hello::Kind,
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// What this publishes to know that it has heard everything before it.
const MARK: &str = "bench.mark";

/// Before workers are ready at first: a report may be a second old, so it is asked for again.
const LOOK: Duration = Duration::from_millis(100);

/// How long a master may take until its workers are ready, or an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener at a master's bus.
#[derive(Debug)]
pub struct Readiness {
    bus: Bus,
    events: Subscription<Payload>,
    count: Count,
    // After what needs it to end.
    runtime: Runtime,
}

impl Readiness {
    /// Listens at this bus, from when so many workers are ready.
    ///
    /// # Errors
    /// If it can't be reached, or they aren't in time.
    pub fn of(socket: &Path, workers: usize) -> Result<Self, String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let begun = async { tokio::time::timeout(PATIENCE, begin(socket, workers)).await };
        let begun = runtime.block_on(begun);
        let (bus, events, count) = begun.map_err(|_| "workers are not ready in time")??;
        Ok(Self {
            bus,
            events,
            count,
            runtime,
        })
    }

    /// The fewest workers that were ready at any moment until now.
    ///
    /// # Errors
    /// If the connection is lost, or events are.
    pub fn least(&mut self) -> Result<usize, String> {
        let Self {
            bus,
            events,
            count,
            runtime,
        } = self;
        runtime.block_on(async {
            let heard = hear(bus, events, count);
            let heard = tokio::time::timeout(PATIENCE, heard).await;
            heard.map_err(|_| "the bus is silent".to_owned())?
        })?;
        Ok(count.least)
    }
}

/// Who is ready, and the fewest that were.
#[derive(Debug)]
struct Count {
    ready: HashSet<u64>,
    least: usize,
}

impl Count {
    fn of(ready: HashSet<u64>) -> Self {
        let least = ready.len();
        Self { ready, least }
    }

    fn comes(&mut self, worker: u64) {
        self.ready.insert(worker);
    }

    fn goes(&mut self, worker: u64) {
        self.ready.remove(&worker);
        self.least = self.least.min(self.ready.len());
    }
}

type Begun = (Bus, Subscription<Payload>, Count);

async fn begin(socket: &Path, workers: usize) -> Result<Begun, String> {
    let options = ConnectOptions::new(Kind::Operator, "bench-readiness").once();
    let bus = Bus::connect(UnixTransport::new(socket.to_owned()), options)
        .await
        .map_err(|e| e.to_string())?;
    let mut events = bus.subscribe_raw("*").await.map_err(|e| e.to_string())?;
    loop {
        let asked = bus.request(&MasterStatus::default()).await;
        let report = asked.map_err(|e| e.to_string())?;
        let ready = report.workers.iter().filter(|w| w.state == "ready");
        let ready: HashSet<u64> = ready.filter_map(|w| Some(w.id?.0)).collect();
        if ready.len() == workers {
            // What was told until now led to this.
            hear(&bus, &mut events, &mut Count::of(HashSet::new())).await?;
            return Ok((bus, events, Count::of(ready)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Takes up what was told until now.
async fn hear(
    bus: &Bus,
    events: &mut Subscription<Payload>,
    count: &mut Count,
) -> Result<(), String> {
    bus.emit_json(MARK, &0).await.map_err(|e| e.to_string())?;
    while let Some(delivery) = events.next().await {
        let event = match delivery {
            Delivery::Event(event) => event,
            other => return Err(format!("instead of an event: {other:?}")),
        };
        match event.topic.as_str() {
            MARK => return Ok(()),
            WorkerReady::TOPIC => count.comes(worker(&event.event)?),
            WorkerDraining::TOPIC | WorkerExited::TOPIC => count.goes(worker(&event.event)?),
            _ => {}
        }
    }
    Err("the bus has gone".into())
}

fn worker(payload: &Payload) -> Result<u64, String> {
    let json = payload.to_json().map_err(|e| e.to_string())?;
    let event: Value = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    event["worker"]["id"]
        .as_u64()
        .ok_or(format!("{json} names no worker"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_that_were_ready_count() {
        let mut count = Count::of(HashSet::from([1, 2]));
        count.comes(3);
        count.goes(1);
        assert_eq!(count.least, 2, "a successor was there first");
        // Its exit, and that of one that was never ready.
        count.goes(1);
        count.goes(9);
        assert_eq!(count.least, 2);
        count.goes(2);
        count.comes(4);
        assert_eq!((count.least, count.ready.len()), (1, 2));
    }
}
