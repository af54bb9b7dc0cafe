//! Those who read acknowledged events, and must come out even.

use std::{sync::atomic::Ordering, time::Duration};

use futures::StreamExt;
use ostler_bus::{
    client::{Bus, Delivery, Subscription},
    wire::control::OverflowPolicy,
};
use tokio::time::Instant;

use crate::{
    LAST_WORDS, Place,
    account::{Dice, Numbered, Order},
    cutter::Cutter,
};

/// A reader that is told of every loss.
pub(crate) struct Exact {
    name: String,
    place: Place,
    _bus: Bus,
    _cutter: Cutter,
    subscriptions: Vec<Subscription<Numbered>>,
    dice: Dice,
}

impl Exact {
    pub(crate) async fn start(
        place: &Place,
        name: &str,
        number: u64,
        policy: OverflowPolicy,
    ) -> Result<Self, String> {
        let (bus, cutter) = place.disturbed(name, number).await?;
        let mut subscriptions = Vec::new();
        for pattern in ["soak.kept.>", "soak.plain.>"] {
            let subscribed = bus.subscription(pattern).policy(policy).max_messages(2_000);
            let subscription = subscribed.typed().await;
            subscriptions.push(subscription.map_err(|error| format!("{name}: {error}"))?);
        }
        Ok(Self {
            name: name.into(),
            place: place.clone(),
            _bus: bus,
            _cutter: cutter,
            subscriptions,
            dice: Dice::new(place.seed ^ number),
        })
    }

    /// Reads until all is accounted for.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        let (mut got, mut missed, mut reconnected) = (0, 0, 0);
        let mut order = Order::default();
        let mut deliveries = futures::stream::select_all(self.subscriptions.drain(..));
        let mut until = None;
        loop {
            let published = self.place.published.acknowledged.load(Ordering::Relaxed);
            if *self.place.settled.borrow() {
                if got + missed >= published {
                    break;
                }
                let until = *until.get_or_insert_with(|| Instant::now() + LAST_WORDS);
                if Instant::now() > until {
                    break;
                }
            }
            let delivery = tokio::select! {
                delivery = deliveries.next() => delivery,
                () = tokio::time::sleep(Duration::from_millis(100)) => continue,
            };
            match delivery.ok_or("the stream has ended")? {
                Delivery::Event(event) => {
                    got += 1;
                    let noted = order.note(&event.event);
                    noted.map_err(|error| format!("{}: {error}", self.name))?;
                }
                Delivery::Lagged { missed: lost } => missed += lost,
                Delivery::Reconnected { missed: Some(lost) } => {
                    reconnected += 1;
                    missed += lost;
                }
                other => return Err(format!("{}: {other:?}", self.name)),
            }
            if self.dice.below(20_000) == 0 {
                let stall = Duration::from_millis(self.dice.below(1_500));
                tokio::time::sleep(stall).await;
            }
        }
        let published = self.place.published.acknowledged.load(Ordering::Relaxed);
        println!(
            "{}: {got} events, {missed} told as missed, {reconnected} times reconnected",
            self.name
        );
        // Late ones would be too many.
        if let Ok(Some(Delivery::Event(event))) =
            tokio::time::timeout(Duration::from_millis(300), deliveries.next()).await
        {
            return Err(format!("{}: {event:?} came twice", self.name));
        }
        match got + missed == published {
            true => Ok(()),
            false => Err(format!(
                "{}: {got} events and {missed} missed are not the {published} that were published",
                self.name
            )),
        }
    }
}
