//! An app's events, with the SDK as the only dependency of Ostler's, and under another name: that this compiles is the
//! first half of the test. serde is the app's own; postcard and its schemas are not its concern.

use sdk::{Event, Request, Schema};
use serde::{Deserialize, Serialize};

/// A nested type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct Price {
    /// In the smallest unit of the currency.
    pub amount: u64,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "orders.created")]
pub struct OrderCreated {
    /// Its price.
    pub price: Price,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "orders.price", reply = Price)]
pub struct PriceOf {
    /// The order.
    pub id: u64,
}

/// A generic event, whose bounds name the bus crate as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "orders.batch")]
pub struct Batch<T> {
    /// What is in it.
    pub items: Vec<T>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic<E: sdk::bus::Event>() -> &'static str {
        E::TOPIC
    }

    #[test]
    fn derived_for_the_bus_that_the_sdk_brings() {
        assert_eq!(topic::<OrderCreated>(), "orders.created");
        assert_eq!(topic::<Batch<Price>>(), "orders.batch");
        assert_eq!(<PriceOf as sdk::bus::Request>::TOPIC, "orders.price");
        let schema = sdk::bus::TypeSchema::of::<OrderCreated>();
        assert!(schema.to_string().contains("amount"), "{schema}");
    }
}
