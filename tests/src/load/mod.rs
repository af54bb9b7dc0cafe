//! A load generator that accounts for every request.
//!
//! "No request was lost" is a claim about each single request, so this generator puts each into exactly one of five
//! boxes ([`Outcome`]), and the sum of the boxes is the number of requests begun. General HTTP clients can't be used for
//! that: they retry, pool and rename errors. This one is a few hundred lines over a `TcpStream`, and does none of it.
//!
//! # What is counted as what
//! - **answered**: a complete answer arrived, with the expected status, and the body passed the check.
//! - **refused**: `connect` was refused, the request was never sent.
//! - **reset**: the connection ended, by RST or by an early end of stream, before the answer was complete. This includes
//!   a request *written* on a kept-alive connection that the server closed before any byte of an answer: other clients
//!   may repeat such a request silently, this one reports it.
//! - **timed out**: no complete answer within [`Plan::timeout`], counted from before `connect`.
//! - **wrong**: a complete answer with another status or a body that failed the check, or bytes that are not HTTP.
//!
//! Not a failure, and counted aside as `reconnects`: the server ended a kept-alive connection when no request was under
//! way, whether it had announced that with `Connection: close` or the end of stream was there before the next request
//! was written (looked for with one `recv(MSG_PEEK)` immediately before each write).
//!
//! What fails on the generator's own side before anything reached the server (no descriptors, no local ports) is no
//! outcome: it ends the run and stands in [`Tally::fault`].
//!
//! # Shape
//! A run has a thread with a current-thread runtime of its own, so that it can be used from any test and a busy test
//! doesn't slow it. [`Plan::connections`] drivers each own their connection and their part of the tally; the parts are
//! merged at the end. Every run is bounded in time, and only loopback addresses are accepted.

mod answer;
mod connection;
mod driver;
mod latencies;
mod plan;
mod run;
mod spread;
mod tally;

pub use answer::Answer;
pub use latencies::Latencies;
pub use plan::{By, Check, Connections, Pace, Plan, Target};
pub use run::{Load, LoadHandle};
pub use tally::{Failure, Outcome, Progress, Tally};
