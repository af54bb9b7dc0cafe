//! What an app's own types must be to travel on the bus. Derived, never written by hand.

use serde::{Serialize, de::DeserializeOwned};

pub use postcard_schema_ng::Schema as SchemaTrait;

/// A typed event: a value with a topic of its own.
///
/// Implemented by `#[derive(Event)]` with `#[event(topic = "orders.created")]`; the topic is checked when the app is compiled.
///
/// ```
/// use ostler_bus::{Event, TypeSchema};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(topic = "orders.created")]
/// struct OrderCreated { id: u64, total: f64 }
///
/// assert_eq!(OrderCreated::TOPIC, "orders.created");
/// assert_eq!(TypeSchema::of::<OrderCreated>().to_string(), "OrderCreated { id: u64, total: f64 }");
/// ```
///
/// A pattern is no topic, and an attribute that makes bytes and schema disagree is refused:
///
/// ```compile_fail
/// # use ostler_bus::Event;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(topic = "orders.*")]
/// struct Any { id: u64 }
/// ```
/// ```compile_fail
/// # use ostler_bus::Event;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(topic = "orders.created")]
/// struct Skipping { #[serde(skip)] cache: u64, id: u64 }
/// ```
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
