//! Ostler's typed event bus.

// Lets the derives' generated paths (`::ostler_bus::…`) work inside this crate too.
extern crate self as ostler_bus;

mod event;
mod ids;
mod origin;
pub mod vocab;

pub use event::{Event, Request, SchemaTrait};
pub use ids::{Generation, OpId, Slot, WorkerId};
pub use origin::Origin;
pub use ostler_bus_derive::{Event, Request, Schema};

#[doc(hidden)]
pub mod __private {
    pub use postcard_schema_ng;
}
