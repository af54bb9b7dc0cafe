//! Derives for `ostler-bus`: `Event`, `Request` and `Schema`.
//!
//! A schema that disagrees with the bytes makes garbage of every event. So the schema is made here, beside the check that
//! only those serde attributes are used that leave the bytes alone or whose effect the schema repeats; and a topic that
//! could never be published on does not compile.
//!
//! The derives work on `proc_macro2` tokens, so that they can be tested without a compiler; nothing here panics: what is
//! wrong comes out as a compile error at the place that is wrong.

mod bus_path;
mod case;
mod event;
mod request;
mod schema;
mod serde_attrs;
mod topic;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `Event`, and the schema with it: `#[event(topic = "orders.created")]`.
///
/// The type also derives `Serialize` and `Deserialize`. Its topic is 1 to 255 bytes of tokens of `[A-Za-z0-9_-]`, separated
/// by dots. Don't derive `Schema` as well: it is included.
///
/// `ostler-bus`, or the SDK that brings it along, is found among the dependencies, under whatever name. Where it comes in
/// another way, `#[bus(crate = path::to::bus)]` says so.
#[proc_macro_derive(Event, attributes(event, bus, serde))]
pub fn event(input: TokenStream) -> TokenStream {
    run(event::expand, &parse_macro_input!(input as DeriveInput))
}

/// Derives `Request`, and the schema with it: `#[request(topic = "orders.price", reply = Price)]`.
///
/// As [`macro@Event`], and both may be derived for one type.
#[proc_macro_derive(Request, attributes(request, bus, serde))]
pub fn request(input: TokenStream) -> TokenStream {
    run(request::expand, &parse_macro_input!(input as DeriveInput))
}

/// Derives the schema of a type that events contain.
///
/// Of serde's attributes it takes `rename`, `rename_all`, `rename_all_fields` and `transparent`, which the schema repeats,
/// and `default`, `bound`, `borrow`, `crate` and `expecting`, which don't touch what is written. Others are refused, with
/// the reason. A type that contains itself has no schema: one that could be followed to its end.
#[proc_macro_derive(Schema, attributes(bus, serde))]
pub fn schema(input: TokenStream) -> TokenStream {
    run(schema::expand, &parse_macro_input!(input as DeriveInput))
}

fn run(
    expand: fn(&DeriveInput) -> syn::Result<proc_macro2::TokenStream>,
    input: &DeriveInput,
) -> TokenStream {
    expand(input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
