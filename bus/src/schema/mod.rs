//! Types as data: how an event whose Rust type this process never saw is checked, shown as JSON, and made from JSON.
//!
//! Postcard is not self-describing, so a type's *schema* travels once, ahead of its values. Everything here works on two
//! pieces of hostile input: a schema somebody announced, and bytes said to fit it.
//!
//! - [`TypeSchema`] is a type that passed the [limits](SchemaLimits): scanned iteratively, never recursively, into one
//!   flat table of nodes. Because a schema is a finite tree at most 32 levels deep, a value walked along it is too: that
//!   is what lets the walkers below recurse.
//! - [`to_json`], [`from_json`] and [`validate`] walk a value along its schema, within a [`Budget`] of nodes, depth and
//!   output bytes. None of them can be made to panic, to recurse without end, or to answer a few bytes with gigabytes.
//! - [`TypeKey`] names a type in 16 bytes wherever the whole schema would be too long.
//!
//! JSON here is what `serde_json` makes of the same type, with these differences: a type that serializes differently for
//! humans (`IpAddr`) appears in its binary shape; `Some(None)` and `Some(())` are `null` and read back as `None`; a NaN or
//! an infinity is `null`, which does not read back; elements without a size (`Vec<()>`) are refused.

mod budget;
mod bytes;
mod check;
mod error;
mod from_json;
mod json_object;
mod json_shapes;
mod key;
mod keys;
mod output;
mod owned;
mod resolve;
mod scalar;
mod scan;
mod scan_input;
mod text;
mod to_json;
mod tree;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

pub use budget::Budget;
pub use check::{SchemaError, SchemaLimits, assert_fits};
pub use error::ConvertError;
pub use from_json::{from_json, from_json_strict};
pub use key::TypeKey;
pub use owned::TypeSchema;
pub use resolve::Resolver;
pub use to_json::{to_json, validate};
