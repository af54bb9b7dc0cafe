//! Hears `systemRestartNeeded` and remembers it: status shows it until this master ends.

use futures::StreamExt;
use ostler_bus::{
    client::{Bus, Delivery, SubscribeError},
    vocab::update::SystemRestartNeeded,
};
use tokio::sync::watch;

use super::Settling;
use crate::escape;

/// Whether the whole server needs a restart: the reason of whoever said so last.
pub type RestartMark = watch::Sender<Option<SystemRestartNeeded>>;

/// Runs until the bus goes.
///
/// # Errors
/// If the hub refuses the subscription.
pub async fn run(
    bus: Bus,
    mark: RestartMark,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut events = bus.subscribe::<SystemRestartNeeded>().await?;
    drop(settling);
    while let Some(delivery) = events.next().await {
        if let Delivery::Event(received) = delivery {
            let reason = received
                .event
                .reason
                .as_deref()
                .unwrap_or("no reason given");
            tracing::warn!("the whole server needs a restart: {}", escape::line(reason));
            mark.send_replace(Some(received.event));
        }
    }
    Ok(())
}
