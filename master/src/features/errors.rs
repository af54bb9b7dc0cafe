//! How workers' requests go, as they tell it themselves: hears `app.errors` and passes it on to the fleet, which holds new
//! workers to it.

use futures::StreamExt;
use ostler_bus::{
    Origin,
    client::{Bus, Delivery, SubscribeError},
    vocab::worker::AppErrors,
};

use super::Settling;
use crate::{escape, fleet::WorkerNews, shell::ShellHandle};

/// Runs until the bus goes.
///
/// # Errors
/// If the hub refuses the subscription.
pub async fn run(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut events = bus.subscribe::<AppErrors>().await?;
    drop(settling);
    while let Some(delivery) = events.next().await {
        match delivery {
            Delivery::Event(received) => match *received.origin {
                Origin::Worker { id, .. } => {
                    shell.news(id, WorkerNews::Errors(received.event)).await;
                }
                // The hub lets nobody else tell it.
                Origin::Master | Origin::Client { .. } => {}
            },
            Delivery::Misfit { reason, .. } => {
                tracing::warn!("app.errors ignored: {}", escape::line(&reason));
            }
            // The numbers only grow: the next ones say it all.
            Delivery::Lagged { .. } | Delivery::Reconnected { .. } | Delivery::Disconnected(_) => {}
        }
    }
    Ok(())
}
