//! Those who read acknowledged events, and must come out even.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures::StreamExt;
use ostler_bus::{
    client::{Bus, Delivery, Subscription},
    wire::control::OverflowPolicy,
};
use tokio::{task::JoinSet, time::Instant};

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

/// Which numbers of each publisher were handled by some member.
type Handled = Arc<Mutex<BTreeMap<u32, BTreeSet<u64>>>>;

/// A queue group whose members break off.
pub(crate) struct Group {
    place: Place,
    members: JoinSet<Result<(), String>>,
    handled: Handled,
}

impl Group {
    pub(crate) async fn start(place: &Place, members: u64) -> Result<Self, String> {
        let handled = Handled::default();
        let mut tasks = JoinSet::new();
        for number in 0..members {
            let name = format!("member-{number}");
            let (bus, cutter) = place.disturbed(&name, 300 + number).await?;
            let mut subscriptions = Vec::new();
            // Not the floods: they are more than can be handled, and would be told as lost.
            for pattern in ["soak.kept.>", "soak.plain.>"] {
                let joined = bus.subscription(pattern).group("soak").typed().await;
                subscriptions.push(joined.map_err(|error| format!("{name}: {error}"))?);
            }
            let handled = Arc::clone(&handled);
            tasks.spawn(async move {
                let _held = (bus, cutter);
                member(subscriptions, handled).await
            });
        }
        Ok(Self {
            place: place.clone(),
            members: tasks,
            handled,
        })
    }

    /// Waits until every acknowledged event was handled.
    pub(crate) async fn check(mut self) -> Result<(), String> {
        let published = self.place.published.acknowledged.load(Ordering::Relaxed);
        let until = Instant::now() + LAST_WORDS;
        loop {
            let count: usize = lock(&self.handled).values().map(BTreeSet::len).sum();
            if count as u64 == published {
                println!("group: {count} events, each handled");
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!(
                    "the group handled {count} of {published} acknowledged events"
                ));
            }
            if let Some(Ok(Err(why))) = self.members.try_join_next() {
                return Err(why);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn lock(handled: &Handled) -> std::sync::MutexGuard<'_, BTreeMap<u32, BTreeSet<u64>>> {
    handled.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn member(
    subscriptions: Vec<Subscription<Numbered>>,
    handled: Handled,
) -> Result<(), String> {
    let mut deliveries = futures::stream::select_all(subscriptions);
    while let Some(delivery) = deliveries.next().await {
        match delivery {
            Delivery::Event(event) => {
                let Numbered {
                    publisher, number, ..
                } = event.event;
                lock(&handled).entry(publisher).or_default().insert(number);
            }
            Delivery::Reconnected { .. } => {}
            other => return Err(format!("group: {other:?}")),
        }
    }
    Ok(())
}
