//! Those who are in the way: a slow reader of everything, visitors, and vandals.

use std::{sync::atomic::Ordering, time::Duration};

use futures::StreamExt;
use ostler_bus::{client::Delivery, wire::control::OverflowPolicy};
use tokio::{io::AsyncWriteExt, net::UnixStream};

use crate::{
    Place,
    account::{Dice, Numbered, Order},
    connect,
};

/// Reads everything, floods too, and stalls: it loses much, but never order.
pub(crate) async fn watcher(place: Place) -> Result<(), String> {
    let (bus, _cutter) = place.disturbed("watcher", 400).await?;
    let subscribed = bus.subscription("soak.>").typed::<Numbered>().await;
    let mut deliveries = subscribed.map_err(|error| format!("watcher: {error}"))?;
    let mut dice = Dice::new(place.seed ^ 400);
    let mut order = Order::default();
    while !*place.over.borrow() {
        let next = tokio::time::timeout(Duration::from_millis(200), deliveries.next());
        match next.await {
            Ok(Some(Delivery::Event(event))) => order
                .note(&event.event)
                .map_err(|error| format!("watcher: {error}"))?,
            Ok(Some(Delivery::Lagged { .. } | Delivery::Reconnected { .. })) | Err(_) => {}
            Ok(other) => return Err(format!("watcher: {other:?}")),
        }
        if dice.below(5_000) == 0 {
            tokio::time::sleep(Duration::from_millis(dice.below(3_000))).await;
        }
    }
    Ok(())
}

/// Clients that come, listen for a moment, and go: politely or not.
pub(crate) async fn visitors(place: Place) -> Result<(), String> {
    let mut dice = Dice::new(place.seed ^ 500);
    while !*place.over.borrow() {
        let bus = connect(&place.hub, "visitor").await?;
        let policy = match dice.below(4) {
            0 => OverflowPolicy::KeepLatest,
            1 => OverflowPolicy::DropNewest,
            2 => OverflowPolicy::Disconnect,
            _ => OverflowPolicy::DropOldest,
        };
        let subscribed = bus.subscription("soak.>").policy(policy).max_messages(500);
        let mut deliveries = subscribed
            .typed::<Numbered>()
            .await
            .map_err(|error| format!("visitor: {error}"))?;
        let mut order = Order::default();
        for _ in 0..dice.below(2_000) {
            let next = tokio::time::timeout(Duration::from_millis(50), deliveries.next());
            match next.await {
                Ok(Some(Delivery::Event(event))) => order
                    .note(&event.event)
                    .map_err(|error| format!("visitor with {policy:?}: {error}"))?,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        if dice.below(2) == 0 {
            // One that was disconnected can't be drained, and that is fine.
            let _ = bus.drain(Duration::from_secs(5)).await;
        }
        place.published.visits.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Connections that say nothing of sense, or nothing at all.
pub(crate) async fn vandals(place: Place) -> Result<(), String> {
    let mut dice = Dice::new(place.seed ^ 600);
    let mut silent = Vec::new();
    while !*place.over.borrow() {
        let connected = UnixStream::connect(&place.hub).await;
        let mut stream = connected.map_err(|error| format!("vandal: {error}"))?;
        let garbage: Vec<u8> = (0..dice.below(300)).map(|_| dice.roll() as u8).collect();
        // The hub may have closed it already.
        let _ = stream.write_all(&garbage).await;
        if dice.below(4) == 0 {
            silent.push(stream);
        }
        if silent.len() > 50 {
            silent.clear();
        }
        place.published.visits.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(dice.below(40))).await;
    }
    Ok(())
}
