//! A queue group whose members break off, come and go: whatever it is given, some member handles.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures::StreamExt;
use ostler_bus::client::{Delivery, Subscription};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    LAST_WORDS, Place,
    account::{Dice, Numbered},
    connect,
};

/// Which numbers of each publisher were handled by some member.
pub(crate) type Handled = Arc<Mutex<BTreeMap<u32, BTreeSet<u64>>>>;

/// A queue group whose members break off.
pub(crate) struct Group {
    place: Place,
    members: JoinSet<Result<(), String>>,
    pub(crate) handled: Handled,
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

fn handle(handled: &Handled, event: &Numbered) {
    let (publisher, number) = (event.publisher, event.number);
    lock(handled).entry(publisher).or_default().insert(number);
}

fn lock(handled: &Handled) -> std::sync::MutexGuard<'_, BTreeMap<u32, BTreeSet<u64>>> {
    handled.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Members that come, handle a few events, and go with what they were given and didn't handle.
pub(crate) async fn passing(place: Place, handled: Handled) -> Result<(), String> {
    let mut dice = Dice::new(place.seed ^ 700);
    while !*place.over.borrow() {
        let bus = connect(&place.hub, "passing").await?;
        let joined = bus.subscription("soak.kept.>").group("soak").window(16);
        let joined = joined.typed::<Numbered>().await;
        let mut deliveries = joined.map_err(|error| format!("passing: {error}"))?;
        for _ in 0..dice.below(300) {
            let next = tokio::time::timeout(Duration::from_millis(50), deliveries.next());
            match next.await {
                Ok(Some(Delivery::Event(event))) => handle(&handled, &event.event),
                Ok(other) => return Err(format!("passing: {other:?}")),
                Err(_) => break,
            }
        }
        place.published.visits.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn member(
    subscriptions: Vec<Subscription<Numbered>>,
    handled: Handled,
) -> Result<(), String> {
    let mut deliveries = futures::stream::select_all(subscriptions);
    while let Some(delivery) = deliveries.next().await {
        match delivery {
            Delivery::Event(event) => handle(&handled, &event.event),
            Delivery::Reconnected { .. } => {}
            other => return Err(format!("group: {other:?}")),
        }
    }
    Ok(())
}
