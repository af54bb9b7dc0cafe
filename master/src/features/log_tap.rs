//! Logs every broadcast at debug level: topic, origin and the payload as JSON. It subscribes only while that level is on,
//! so that it costs nothing otherwise; under load it misses events rather than hold anyone up, and says how many.

use futures::StreamExt;
use ostler_bus::client::{Bus, Delivery, SubscribeError};

use super::Settling;
use crate::escape;

/// What `RUST_LOG` calls these lines.
pub const TARGET: &str = "ostler::bus";

/// Runs until the bus goes; returns at once if nobody would see the lines.
///
/// # Errors
/// If the hub refuses the subscription.
pub async fn run(bus: Bus, settling: Option<Settling>) -> Result<(), SubscribeError> {
    if !tracing::enabled!(target: TARGET, tracing::Level::DEBUG) {
        return Ok(());
    }
    let mut events = bus.subscribe_raw("*").await?;
    drop(settling);
    while let Some(delivery) = events.next().await {
        match delivery {
            Delivery::Event(event) => {
                let payload = event
                    .event
                    .to_json()
                    .unwrap_or_else(|error| format!("({error})"));
                tracing::debug!(target: TARGET, "{} | {} | {}", event.topic, escape::line(&format!("{:?}", event.origin)), escape::json(&payload));
            }
            Delivery::Lagged { missed } => {
                tracing::debug!(target: TARGET, "{missed} events were not logged: more came than the log could take");
            }
            Delivery::Misfit { reason, .. } => {
                tracing::debug!(target: TARGET, "not logged: {}", escape::line(&reason));
            }
            Delivery::Reconnected { .. } | Delivery::Disconnected(_) => {}
        }
    }
    Ok(())
}
