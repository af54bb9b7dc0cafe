//! Ostler's typed event bus.

// Lets the derives' generated paths (`::ostler_bus::…`) work inside this crate too.
extern crate self as ostler_bus;

pub mod client;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hub;
mod ids;
pub mod limits;
mod origin;
mod pattern;
#[cfg(feature = "tls")]
mod pem;
pub mod schema;
mod topic;
pub mod transport;
pub mod vocab;
pub mod wire;

pub use client::{Bus, ConnectOptions, Delivery};
pub use event::{Event, Request, SchemaTrait};
pub use ids::{Generation, OpId, Slot, WorkerId};
pub use limits::{Limits, LimitsError};
pub use origin::Origin;
pub use ostler_bus_derive::{Event, Request, Schema};
pub use schema::{Budget, ConvertError, SchemaError, SchemaLimits, TypeKey, TypeSchema};

pub use pattern::Pattern;
pub use topic::{Topic, TopicError};

#[doc(hidden)]
pub mod __private {
    pub use crate::schema::assert_fits;
    pub use postcard_schema_ng;
    pub use serde;
}
