//! Keeps a feature of the master at work: on the bus, and again after the hub began anew or the feature itself failed.
//!
//! A feature ends with its connection. If the hub only restarted, the fleet still needs it: without its control plane a
//! master could be stopped by signals alone.

use std::{fmt, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use ostler_bus::{
    client::{Bus, ConnectError, ConnectOptions, ConnectionState, Disconnected},
    hub::{Hub, Principal},
    wire::{control::CloseKind, hello::Kind},
};
use tokio::sync::watch;

/// Between two attempts: a feature that fails at once must not take the processor with it.
const AGAIN: Duration = Duration::from_millis(200);

/// The bus for a feature of the master itself: in memory, with the same handshake and rules as everyone's.
///
/// # Errors
/// If the hub has ended, or doesn't answer.
pub async fn attach(
    hub: &Hub,
    name: &str,
) -> Result<Bus, Box<dyn std::error::Error + Send + Sync>> {
    let transport = hub.attach_memory(Principal::Master)?;
    let connected: Result<Bus, ConnectError> =
        Bus::connect(transport, ConnectOptions::new(Kind::Client, name)).await;
    Ok(connected?)
}

/// Runs a feature on `bus`, and on a new one whenever that was lost, until the hub stops, the feature ends by itself, or
/// its connection was ended from this side. Gives the bus it is on.
pub fn keep<F, E>(
    hub: Hub,
    name: &'static str,
    bus: Bus,
    mut feature: impl FnMut(Bus) -> F + Send + 'static,
) -> watch::Receiver<Bus>
where
    F: Future<Output = Result<(), E>> + Send,
    E: fmt::Display + Send,
{
    let (current, seen) = watch::channel(bus.clone());
    tokio::spawn(async move {
        let mut bus = bus;
        loop {
            // What a panic leaves half done goes with the feature, which begins anew.
            match AssertUnwindSafe(feature(bus.clone())).catch_unwind().await {
                Ok(Ok(())) if !is_closed(&bus) => return,
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!("{name} does not work: {error}"),
                Err(_) => tracing::error!("{name} panicked"),
            }
            if is_over(&bus) {
                return;
            }
            bus = match again(&hub, name).await {
                Some(bus) => bus,
                None => return,
            };
            current.send_replace(bus.clone());
            tracing::warn!("{name} began anew");
        }
    });
    seen
}

/// A new connection; `None` if the hub has ended.
async fn again(hub: &Hub, name: &str) -> Option<Bus> {
    loop {
        tokio::time::sleep(AGAIN).await;
        match attach(hub, name).await {
            Ok(bus) => return Some(bus),
            Err(error) if hub.has_ended() => {
                tracing::debug!("{name} ends with the hub: {error}");
                return None;
            }
            Err(error) => tracing::warn!("{name} can't reach the hub: {error}"),
        }
    }
}

fn is_closed(bus: &Bus) -> bool {
    matches!(*bus.state().borrow(), ConnectionState::Closed(_))
}

/// Whether the connection ended for good.
fn is_over(bus: &Bus) -> bool {
    match &*bus.state().borrow() {
        ConnectionState::Connected | ConnectionState::Reconnecting { .. } => false,
        ConnectionState::Draining => true,
        ConnectionState::Closed(why) => match why {
            Disconnected::Closed { kind, .. } => *kind == CloseKind::Stopping,
            Disconnected::Drained | Disconnected::HungUp => true,
            Disconnected::Lost { .. }
            | Disconnected::Protocol { .. }
            | Disconnected::GaveUp { .. }
            | Disconnected::NotResumed { .. } => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use ostler_bus::{
        Limits,
        client::SubscribeError,
        hub::{HubOptions, Rules},
    };
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_feature_that_loses_its_connection_or_panics_begins_anew_and_ends_with_the_hub() {
        let limits = Limits {
            control_bytes: 100,
            ..Limits::default()
        };
        let (hub, _notices) = Hub::start(HubOptions {
            name: "test".into(),
            limits,
            rules: Rules::allow_all(),
            builtins: Vec::new(),
            history: Vec::new(),
        })
        .expect("a hub");
        let bus = attach(&hub, "feature").await.expect("attached");
        let (begun, mut begins) = mpsc::channel(8);
        let mut lives = 0;
        let feature = move |bus: Bus| {
            lives += 1;
            let (begun, life) = (begun.clone(), lives);
            async move {
                begun.send(life).await.expect("the test waits");
                match life {
                    1 => panic!("as asked"),
                    // A frame over the limit: the hub closes the connection.
                    2 => {
                        let too_long = "a".repeat(200);
                        bus.subscribe_raw(&too_long).await.map(drop)
                    }
                    _ => {
                        bus.closed().await;
                        Ok::<(), SubscribeError>(())
                    }
                }
            }
        };
        let _current = keep(hub.clone(), "feature", bus, feature);
        let next = async |begins: &mut mpsc::Receiver<i32>| {
            tokio::time::timeout(Duration::from_secs(20), begins.recv())
                .await
                .expect("in time")
        };
        assert_eq!(next(&mut begins).await, Some(1));
        assert_eq!(next(&mut begins).await, Some(2));
        assert_eq!(next(&mut begins).await, Some(3));
        hub.shutdown().await;
        // The feature, and with it its sender, is gone.
        assert_eq!(next(&mut begins).await, None);
    }
}
