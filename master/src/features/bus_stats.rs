//! Answers `bus.stats`: the hub's own account of its connections and queues. Nothing is kept or computed while nobody asks.

use ostler_bus::{
    client::{Bus, SubscribeError},
    hub::{Hub, StatsPage},
    vocab::bus::BusStats,
};

use super::Settling;

/// Runs until the bus goes.
///
/// # Errors
/// If the hub refuses the subscription.
pub async fn run(hub: Hub, bus: Bus, settling: Option<Settling>) -> Result<(), SubscribeError> {
    let mut questions = bus.serve::<BusStats>().await?;
    drop(settling);
    while let Some(call) = questions.next().await {
        let all = StatsPage::default();
        let page = StatsPage {
            after: call.request().after.unwrap_or(all.after),
            most: call.request().most.unwrap_or(all.most),
        };
        match hub.stats(page).await {
            Some(stats) => {
                let _gone = call.reply(&stats).await;
            }
            None => call.decline("the hub is stopping"),
        }
    }
    Ok(())
}
