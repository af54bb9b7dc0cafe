//! Workers that hear: after their connection was lost, as one of a group, slowly.

use std::time::Duration;

use futures::StreamExt as _;
use ostler_tests::words::Note;
use ostler_worker_sdk::{
    Worker,
    bus::{
        client::{Delivery, Subscription},
        wire::control::OverflowPolicy,
    },
};
use rustix::{
    net::{Shutdown, shutdown},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

use super::Failure;

/// What a publisher may be ahead of a slow worker.
const FEW: u32 = 16;

/// Cuts the bus socket this process inherited, as a fault of the system's would.
fn cut() -> Result<(), Failure> {
    let number = std::env::var("OSTLER_BUS_FD")?.parse()?;
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let socket = pidfd_getfd(&own, number, PidfdGetfdFlags::empty())?;
    Ok(shutdown(&socket, Shutdown::Both)?)
}

pub(super) async fn lose_bus(when: &str) -> Result<u8, Failure> {
    let worker = Worker::start().await?;
    let mut notes = worker.subscribe_direct::<Note>().await?;
    if when == "early" {
        cut()?;
        worker.ready().await?;
    } else {
        worker.ready().await?;
        cut()?;
    }
    let mut draining = worker.draining();
    loop {
        tokio::select! {
            delivery = notes.next() => match delivery {
                Some(Delivery::Event(note)) => println!("told {}", note.event.text),
                Some(Delivery::Reconnected { missed }) => println!("back, missed {missed:?}"),
                Some(other) => println!("instead: {other:?}"),
                None => return Err("no more is heard".into()),
            },
            _word = draining.begun() => {
                println!("told to drain");
                return Ok(0);
            }
        }
    }
}

pub(super) async fn group(ms: u64) -> Result<u8, Failure> {
    let worker = super::ready_after(async |worker: &Worker| {
        let notes = worker.bus().subscription("tests.note").group("workers");
        Ok(notes.window(4).typed().await?)
    });
    let (worker, notes) = worker.await?;
    take(worker, notes, ms).await
}

pub(super) async fn slow(ms: u64) -> Result<u8, Failure> {
    let policy = OverflowPolicy::Backpressure {
        max_wait_ms: 30_000,
    };
    let worker = super::ready_after(async |worker: &Worker| {
        let notes = worker.bus().subscription("tests.note").policy(policy);
        Ok(notes.max_messages(FEW).window(4).typed().await?)
    });
    let (worker, notes) = worker.await?;
    take(worker, notes, ms).await
}

/// Takes so long for each, until it is to drain.
async fn take(worker: Worker, mut notes: Subscription<Note>, ms: u64) -> Result<u8, Failure> {
    let slot = worker.identity().slot;
    let mut draining = worker.draining();
    loop {
        tokio::select! {
            delivery = notes.next() => match delivery {
                Some(Delivery::Event(note)) => {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    println!("slot {slot} took {}", note.event.number);
                }
                Some(other) => println!("slot {slot} got {other:?}"),
                None => return Err("no more is heard".into()),
            },
            _word = draining.begun() => return Ok(0),
        }
    }
}
