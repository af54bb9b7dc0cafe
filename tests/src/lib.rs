//! What Ostler is tested and measured with: a harness for real processes, a load generator that accounts for every
//! request, and the arithmetic of benchmarks. Nothing here is part of what a user installs.

pub mod bench;
pub mod harness;
pub mod load;
pub mod ticks;
pub mod words;
