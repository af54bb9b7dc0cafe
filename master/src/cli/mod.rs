//! The command line: what was asked ([`args`]), how failures are told ([`error`]) and how state is shown ([`render`]).
//!
//! Nothing here talks to a master; the verbs that do are handed a parsed [`args::Verb`] and return a [`error::CliError`].

pub mod args;
pub mod error;
mod examples;
pub mod render;
pub mod select;
pub mod style;
mod table;
mod values;
