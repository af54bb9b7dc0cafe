//! What is thrown at the bus by fuzzers, and by ordinary tests over the fuzzers' corpora: each function takes any bytes, and
//! returns. It panics only if the bus breaks a promise.
//!
//! `bus/fuzz` has the targets for `cargo fuzz`; `tests.rs` replays their corpora, and thousands of random changes to them, in every
//! run of the tests. Not part of the public interface.

mod frames;
mod resolution;
#[cfg(test)]
mod tests;
mod topics;
mod transcoding;

pub use crate::hub::fuzzing::{conversation, handshake};
pub use frames::frames;
pub use resolution::resolution;
pub use topics::topics;
pub use transcoding::transcoding;
