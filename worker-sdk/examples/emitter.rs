//! One half of a pair: emits a typed event every half second, until it is told to drain. `subscriber` is the other half.
//!
//! ```sh
//! cargo build -p ostler-worker-sdk --examples
//! ostler run worker-sdk/examples/pair.toml
//! ```
//!
//! The master's log then shows what each subscriber prints: every reading of both emitters, and who sent it.

use std::time::Duration;

use ostler_worker_sdk::{Event, Worker};
use serde::{Deserialize, Serialize};

/// Both halves have this type. Where they differ (two versions during an update), the hub tells the reader so, with both
/// types spelled out, instead of handing over garbage.
#[derive(Debug, Serialize, Deserialize, Event)]
#[event(topic = "sensors.reading")]
struct Reading {
    number: u64,
    celsius: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let worker = Worker::start().await?;
    let mut draining = worker.draining();
    let mut clock = tokio::time::interval(Duration::from_millis(500));
    worker.ready().await?;
    for number in 0.. {
        tokio::select! {
            why = draining.begun() => {
                println!("draining: {}", why.reason);
                break;
            }
            _ = clock.tick() => {}
        }
        let celsius = 20.0 + (number as f64 / 10.0).sin();
        worker.bus().emit(&Reading { number, celsius }).await?;
    }
    // What was emitted last is at the hub when this returns.
    worker.finish().await?;
    Ok(())
}
