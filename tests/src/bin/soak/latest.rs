//! A reader that wants of each topic the last event alone: in the end it has it, whatever happened on the way.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt;
use ostler_bus::{client::Delivery, wire::control::OverflowPolicy};
use tokio::time::Instant;

use crate::{
    LAST_WORDS, Place,
    account::{Dice, Numbered, Order},
};

/// Reads slowly until it has the last event of each publisher that keeps a history, whose numbers add up to what was
/// published.
pub(crate) async fn latest(place: Place) -> Result<(), String> {
    let (bus, _cutter) = place.disturbed("latest", 800).await?;
    let subscribed = bus.subscription("soak.kept.>");
    let subscribed = subscribed
        .policy(OverflowPolicy::KeepLatest)
        .max_messages(64);
    let subscribed = subscribed.typed::<Numbered>().await;
    let mut deliveries = subscribed.map_err(|error| format!("latest: {error}"))?;
    let mut dice = Dice::new(place.seed ^ 800);
    let (mut order, mut last, mut until) = (Order::default(), BTreeMap::new(), None);
    loop {
        let next = tokio::time::timeout(Duration::from_millis(100), deliveries.next()).await;
        match next {
            Ok(Some(Delivery::Event(event))) => {
                let noted = order.note(&event.event);
                noted.map_err(|error| format!("latest: {error}"))?;
                last.insert(event.event.publisher, event.event.number);
            }
            // What is missed now is not the last, or is brought again by the history.
            Ok(Some(Delivery::Lagged { .. } | Delivery::Reconnected { .. })) | Err(_) => {}
            Ok(other) => return Err(format!("latest: {other:?}")),
        }
        if *place.settled.borrow() {
            let (has, published) = (last.values().sum::<u64>(), place.published.kept());
            if has == published {
                println!("latest: the last event of each of {} topics", last.len());
                return Ok(());
            }
            if Instant::now() > *until.get_or_insert_with(|| Instant::now() + LAST_WORDS) {
                return Err(format!(
                    "latest: {last:?} are not the last of {published} events"
                ));
            }
        } else if dice.below(500) == 0 {
            tokio::time::sleep(Duration::from_millis(dice.below(500))).await;
        }
    }
}
