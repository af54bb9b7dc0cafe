//! Two versions of one event, for an app that is rolled from one to the other; and the count of who heard what of whom.

use std::collections::BTreeMap;

use futures::StreamExt;
use ostler_bus::{
    Event,
    client::{Bus, Delivery, Disconnected, EmitError, Subscription},
};
use serde::{Deserialize, Serialize};

/// Faults that are told one by one; more of them say nothing new.
const TOLD: usize = 20;

/// A version of the event: one of many, numbered by who published it.
pub trait Tick: Event + Sync {
    /// The one with this number.
    fn of(writer: u64, number: u64) -> Self;
    /// Who published it, and its number.
    fn name(&self) -> (u64, u64);
    /// Whether everything in it is as its publisher must have meant it, whichever version it wrote.
    fn is_meant(&self) -> bool;
}

/// As the first generation has it.
pub mod first {
    use ostler_bus::{Event, Schema};
    use serde::{Deserialize, Serialize};

    /// The event.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    #[event(topic = "tests.tick")]
    pub struct Tick {
        /// Who published it.
        pub writer: u64,
        /// Its number.
        pub number: u64,
        /// What the second generation has no more.
        pub label: Option<String>,
        /// By number.
        pub mood: Mood,
        /// Not a number; JSON has no such thing.
        pub nothing: f64,
    }

    /// One of several things.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub enum Mood {
        /// Even numbers.
        Calm,
        /// Odd numbers, with the number's last byte.
        Loud(u8),
    }

    impl super::Tick for Tick {
        fn of(writer: u64, number: u64) -> Self {
            let mood = match number % 2 {
                0 => Mood::Calm,
                _ => Mood::Loud(number as u8),
            };
            Self {
                writer,
                number,
                label: Some(format!("tick {number}")),
                mood,
                nothing: f64::NAN,
            }
        }

        fn name(&self) -> (u64, u64) {
            (self.writer, self.number)
        }

        fn is_meant(&self) -> bool {
            let meant = Self::of(self.writer, self.number);
            let labels = [meant.label, None];
            self.mood == meant.mood && self.nothing.is_nan() && labels.contains(&self.label)
        }
    }
}

/// As the second generation has it: in another order, with another name, one field more, one fewer, and a variant more.
pub mod second {
    use ostler_bus::{Event, Schema};
    use serde::{Deserialize, Serialize};

    /// The event.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    #[event(topic = "tests.tick")]
    pub struct Beat {
        /// What the first generation doesn't know.
        pub note: Option<u32>,
        /// Its number.
        pub number: u64,
        /// Not a number.
        pub nothing: f64,
        /// By number.
        pub mood: Temper,
        /// Who published it.
        pub writer: u64,
    }

    /// One of several things.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub enum Temper {
        /// Not used before the first generation has gone.
        Curious,
        /// Odd numbers, with the number's last byte.
        Loud(u8),
        /// Even numbers.
        Calm,
    }

    impl super::Tick for Beat {
        fn of(writer: u64, number: u64) -> Self {
            let mood = match number % 2 {
                0 => Temper::Calm,
                _ => Temper::Loud(number as u8),
            };
            Self {
                note: Some(number as u32),
                number,
                nothing: f64::NAN,
                mood,
                writer,
            }
        }

        fn name(&self) -> (u64, u64) {
            (self.writer, self.number)
        }

        fn is_meant(&self) -> bool {
            let meant = Self::of(self.writer, self.number);
            let notes = [meant.note, None];
            self.mood == meant.mood && self.nothing.is_nan() && notes.contains(&self.note)
        }
    }
}

/// What one subscription heard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// By who published them: the first number and the last.
    pub heard: BTreeMap<u64, (u64, u64)>,
    /// Whatever should not have come, and whatever is missing between first and last.
    pub faults: Vec<String>,
}

impl Tally {
    /// Counts until the connection has ended.
    pub async fn of<T: Tick>(mut ticks: Subscription<T>) -> Self {
        let mut tally = Self::default();
        while let Some(delivery) = ticks.next().await {
            match delivery {
                Delivery::Event(tick) => tally.take(&tick.event),
                Delivery::Disconnected(Disconnected::Drained) => {}
                Delivery::Lagged { missed } => tally.fault(format!("missed {missed}")),
                Delivery::Misfit { reason, .. } => tally.fault(reason),
                Delivery::Reconnected { missed } => {
                    tally.fault(format!("the connection was lost, and {missed:?} with it"));
                }
                Delivery::Disconnected(why) => tally.fault(why.to_string()),
            }
        }
        tally
    }

    fn take<T: Tick>(&mut self, tick: &T) {
        let (writer, number) = tick.name();
        let last = self.heard.get(&writer).map(|(_, last)| *last);
        if last.is_some_and(|last| last + 1 != number) {
            self.fault(format!("of {writer}: {number} after {last:?}"));
        }
        if !tick.is_meant() {
            self.fault(format!("of {writer}: {number} is not what was published"));
        }
        self.heard.entry(writer).or_insert((number, number)).1 = number;
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }
}

/// Publishes one a millisecond until told to stop, and says how many.
///
/// # Errors
/// If the connection has ended.
pub async fn publish<T: Tick>(
    bus: &Bus,
    writer: u64,
    stop: impl Future<Output = ()>,
) -> Result<u64, EmitError> {
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(1));
    let mut number = 0;
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(number),
            _ = pace.tick() => {
                bus.emit(&T::of(writer, number)).await?;
                number += 1;
            }
        }
    }
}
