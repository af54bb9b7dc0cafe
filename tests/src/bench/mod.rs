//! Benchmarks that compare: contenders take turns in one run, and what counts is the ratio of their medians.
//!
//! Absolute figures belong to the machine and the minute; two contenders measured in turns under the same conditions
//! can be compared anywhere. [`Contest`] runs the rounds, [`Results`] has the medians, ratios and the table;
//! [`relay`] is the ceiling for the hub, [`serial`] the peer for starting workers.

pub mod bus;
mod contest;
pub mod fleet;
pub mod peers;
pub mod relay;
pub mod roles;
pub mod serial;
pub mod sockets;
pub mod supervisors;
pub mod system;

pub use contest::{Contender, Contest, Results, Samples};
