//! Those who emit: with acknowledgement, or as fast as it goes.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{StreamExt, stream::FuturesOrdered};

use crate::{
    Place,
    account::{Dice, Numbered},
};

/// Acknowledged events of one publisher under way.
const UNDER_WAY: usize = 32;

/// Emits acknowledged events until publishing is over; every one of them is taken in the end.
pub(crate) async fn acknowledged(place: Place, publisher: u32) -> Result<(), String> {
    let name = format!("publisher-{publisher}");
    let (bus, _cutter) = place.disturbed(&name, 100 + u64::from(publisher)).await?;
    let topic = match publisher % 2 {
        0 => format!("soak.kept.{publisher}"),
        _ => format!("soak.plain.{publisher}"),
    };
    let mut dice = Dice::new(place.seed ^ u64::from(publisher));
    let mut under_way = FuturesOrdered::new();
    let mut number = 0;
    while !*place.over.borrow() || !under_way.is_empty() {
        if !*place.over.borrow() && under_way.len() < UNDER_WAY {
            number += 1;
            let event = Numbered {
                publisher,
                number,
                filling: "x".repeat(dice.below(200) as usize),
            };
            let (bus, topic) = (&bus, &topic);
            under_way.push_back(async move { bus.event_to(topic, &event).acked().await });
            if dice.below(64) == 0 {
                tokio::time::sleep(Duration::from_millis(dice.below(20))).await;
            }
            continue;
        }
        if let Some(taken) = under_way.next().await {
            taken.map_err(|error| format!("{name}: {error}"))?;
            place.published.acknowledged.fetch_add(1, Ordering::Relaxed);
            if publisher.is_multiple_of(2) {
                place.published.kept.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

/// Emits in bursts, as fast as the client takes it, and asks for nothing.
pub(crate) async fn flood(place: Place, number: u32) -> Result<(), String> {
    let publisher = 1_000 + number;
    let name = format!("flooder-{number}");
    let (bus, _cutter) = place.disturbed(&name, 200 + u64::from(number)).await?;
    let topic = format!("soak.flood.{number}");
    let mut dice = Dice::new(place.seed ^ u64::from(publisher));
    let mut sent = 0;
    while !*place.over.borrow() {
        for _ in 0..dice.below(5_000) {
            sent += 1;
            let event = Numbered {
                publisher,
                number: sent,
                filling: "y".repeat(dice.below(100) as usize),
            };
            let emitted = bus.event_to(&topic, &event).send().await;
            emitted.map_err(|error| format!("{name}: {error}"))?;
        }
        place.published.flooded.store(sent, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(dice.below(100))).await;
    }
    Ok(())
}
