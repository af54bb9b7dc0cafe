//! A worker that publishes ticks and counts those of everybody, in the version of the event that its own version has.

use ostler_tests::ticks::{Tally, Tick, first, publish, second};
use ostler_worker_sdk::Worker;

use super::Failure;

/// Publishes until it is told to drain; then says what it published and heard.
pub(super) async fn live(worker: Worker, version: &str) -> Result<(), Failure> {
    match version {
        "v1" => tick::<first::Tick>(worker, version).await,
        _ => tick::<second::Beat>(worker, version).await,
    }
}

async fn tick<T: Tick>(worker: Worker, version: &str) -> Result<(), Failure> {
    let bus = worker.bus().clone();
    let id = worker.identity().id.0;
    let counted = tokio::spawn(Tally::of(bus.subscribe::<T>().await?));
    worker.ready().await?;
    let mut signal = worker.draining();
    let drained = async move {
        signal.begun().await;
    };
    let published = publish::<T>(&bus, id, drained).await?;
    worker.finish().await?;
    let tally = counted.await?;
    let told = serde_json::json!({
        "id": id, "version": version, "published": published, "tally": tally,
    });
    println!("ticks {told}");
    Ok(())
}
