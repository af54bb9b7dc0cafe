//! Rolling updates by event: hears `workerRestartNeeded` and passes it on to the fleet, with who asked.

use futures::StreamExt;
use ostler_bus::{
    Origin,
    client::{Bus, Delivery, SubscribeError},
    vocab::update::WorkerRestartNeeded,
};

use super::Settling;
use crate::{config::app::AppName, escape, fleet::Requester, shell::ShellHandle};

/// Runs until the bus goes.
///
/// # Errors
/// If the hub refuses the subscription.
pub async fn run(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut events = bus.subscribe::<WorkerRestartNeeded>().await?;
    drop(settling);
    while let Some(delivery) = events.next().await {
        match delivery {
            Delivery::Event(received) => match requester(&received.origin, &received.event) {
                Ok(by) => shell.restart_needed(received.event, by).await,
                Err(reason) => tracing::warn!("workerRestartNeeded ignored: {reason}"),
            },
            Delivery::Lagged { missed } => tracing::warn!(
                "{missed} workerRestartNeeded were missed: others of the same apps were not"
            ),
            Delivery::Misfit { reason, .. } => {
                tracing::warn!("workerRestartNeeded ignored: {}", escape::line(&reason));
            }
            Delivery::Reconnected { .. } | Delivery::Disconnected(_) => {}
        }
    }
    Ok(())
}

/// Who asks; a worker may ask for its own app alone.
fn requester(origin: &Origin, wish: &WorkerRestartNeeded) -> Result<Requester, String> {
    match origin {
        Origin::Master => Ok(Requester::File(wish.reason.clone().unwrap_or_default())),
        Origin::Client { name, .. } => Ok(Requester::Client(name.clone())),
        Origin::Worker {
            app,
            id,
            generation,
            ..
        } => {
            if let Some(other) = wish.app.as_ref().filter(|wanted| *wanted != app) {
                return Err(format!(
                    "worker {id} of {app} asked for {other:?}: a worker may ask for its own app alone"
                ));
            }
            let app = AppName::new(app)?;
            Ok(Requester::Worker {
                id: *id,
                app,
                generation: *generation,
            })
        }
    }
}
