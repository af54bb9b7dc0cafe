//! The other half of a pair: prints each typed event that `emitter` sends. See there for how to run both.

use futures::StreamExt;
use ostler_worker_sdk::{Event, Worker, bus::client::Delivery};
use serde::{Deserialize, Serialize};

/// As in `emitter`: programs need not share code, only the type.
#[derive(Debug, Serialize, Deserialize, Event)]
#[event(topic = "sensors.reading")]
struct Reading {
    number: u64,
    celsius: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let worker = Worker::start().await?;
    let mut readings = worker.bus().subscribe::<Reading>().await?;
    let mut draining = worker.draining();
    worker.ready().await?;
    loop {
        let delivery = tokio::select! {
            _ = draining.begun() => break,
            Some(delivery) = readings.next() => delivery,
            else => break,
        };
        match delivery {
            Delivery::Event(received) => {
                let Reading { number, celsius } = received.event;
                println!("{number}: {celsius:.1} °C from {:?}", received.origin);
            }
            Delivery::Lagged { missed } => println!("too slow: {missed} readings were dropped"),
            Delivery::Misfit { reason, .. } => println!("readings of another shape: {reason}"),
            Delivery::Reconnected { missed } => println!("the hub was away; missed: {missed:?}"),
            Delivery::Disconnected(why) => return Err(why.into()),
        }
    }
    Ok(())
}
