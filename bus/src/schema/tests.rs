//! Whether types, bytes and JSON agree with `postcard` and `serde_json`, and whether hostile input stays cheap.

mod attacks;
mod derived;
pub(crate) mod invent;
mod misfits;
mod random;
mod renamed;
mod schemas;
