//! Whether types, bytes and JSON agree with `postcard` and `serde_json`, whether one version of a type becomes another, and
//! whether hostile input stays cheap.

mod attacks;
mod derived;
mod evolve;
pub(crate) mod invent;
mod misfits;
mod random;
mod renamed;
mod resolve;
mod schemas;
