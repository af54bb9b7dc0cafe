//! A subscription of the test's own, each wait with a deadline.

use futures::StreamExt;
use ostler_bus::{
    Event,
    client::{Bus, Delivery, Payload, Received, Subscription},
};

use super::{PATIENCE, deadline};

/// Events as they come.
#[derive(Debug)]
pub struct Heard<T> {
    events: Subscription<T>,
}

impl<E: Event> Heard<E> {
    /// Subscribes to a type's topic.
    ///
    /// # Panics
    /// If the hub refuses.
    pub async fn on(bus: &Bus) -> Self {
        let events = bus.subscribe().await.expect("a subscription");
        Self { events }
    }
}

impl Heard<Payload> {
    /// Subscribes to a pattern.
    ///
    /// # Panics
    /// If the hub refuses.
    pub async fn raw(bus: &Bus, pattern: &str) -> Self {
        let events = bus.subscribe_raw(pattern).await.expect("a subscription");
        Self { events }
    }

    /// Topics and payloads as JSON, up to the first event on `topic`, which is not among them.
    ///
    /// # Panics
    /// If it doesn't come in time.
    pub async fn up_to(&mut self, topic: &str) -> Vec<(String, serde_json::Value)> {
        let mut heard = Vec::new();
        loop {
            let event = self.next().await;
            if event.topic.as_str() == topic {
                return heard;
            }
            let json = event.event.to_json().expect("a payload that is shown");
            let json = serde_json::from_str(&json).expect("JSON");
            heard.push((event.topic.to_string(), json));
        }
    }
}

impl<T> Heard<T> {
    /// What comes next, be it an event or news of the subscription.
    ///
    /// # Panics
    /// If nothing comes in time, or the subscription has ended.
    pub async fn delivery(&mut self) -> Delivery<T> {
        let what = format!("an event on {}", self.events.pattern());
        let next = deadline(&what, PATIENCE, self.events.next()).await;
        next.expect("a subscription that goes on")
    }

    /// The next event.
    ///
    /// # Panics
    /// If none comes in time, or something else comes.
    pub async fn next(&mut self) -> Received<T> {
        match self.delivery().await {
            Delivery::Event(event) => event,
            Delivery::Lagged { missed } => panic!("missed {missed}"),
            Delivery::Misfit { reason, .. } => panic!("a misfit: {reason}"),
            Delivery::Reconnected { missed } => panic!("reconnected, missed {missed:?}"),
            Delivery::Disconnected(why) => panic!("{why}"),
        }
    }

    /// The next event that is as wanted; those before it are passed over.
    ///
    /// # Panics
    /// As [`Heard::next`], for each.
    pub async fn until(&mut self, is: impl Fn(&T) -> bool) -> Received<T> {
        loop {
            let event = self.next().await;
            if is(&event.event) {
                return event;
            }
        }
    }
}
