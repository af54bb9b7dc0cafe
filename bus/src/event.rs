//! What an app's own types must be to travel on the bus. Derived, never written by hand.

use serde::{Serialize, de::DeserializeOwned};

pub use postcard_schema_ng::Schema as SchemaTrait;

/// A typed event: a value with a topic of its own.
///
/// Implemented by `#[derive(Event)]` with `#[event(topic = "orders.created")]`; the topic is checked when the app is compiled.
pub trait Event: Serialize + DeserializeOwned + SchemaTrait + Send + 'static {
    /// The topic events of this type are published on.
    const TOPIC: &'static str;
}

/// A typed question with a typed answer.
///
/// Implemented by `#[derive(Request)]` with `#[request(topic = "orders.price", reply = Price)]`.
pub trait Request: Serialize + DeserializeOwned + SchemaTrait + Send + 'static {
    /// The topic requests of this type are sent to.
    const TOPIC: &'static str;
    /// What answers it.
    type Reply: Serialize + DeserializeOwned + SchemaTrait + Send + 'static;
}
