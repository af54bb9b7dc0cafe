//! The client: how a program takes part in the bus.
//!
//! ```no_run
//! # use ostler_bus::{client::{Bus, ConnectOptions, Delivery}, transport::UnixTransport, Event};
//! # use serde::{Deserialize, Serialize};
//! # use futures::StreamExt;
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(topic = "orders.created")]
//! struct OrderCreated { id: u64, total: f64 }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::connect(UnixTransport::new("/run/ostler/bus"), ConnectOptions::client("shop")).await?;
//! let mut orders = bus.subscribe::<OrderCreated>().await?; // the hub has it: nothing emitted from here on is missed
//! bus.emit(&OrderCreated { id: 1, total: 9.5 }).await?;
//! while let Some(delivery) = orders.next().await {
//!     match delivery {
//!         Delivery::Event(order) => println!("{} from {:?}", order.event.id, order.origin),
//!         Delivery::Lagged { missed } => println!("too slow: {missed} orders were dropped"),
//!         Delivery::Misfit { reason, .. } => println!("somebody's orders have another shape: {reason}"),
//!         Delivery::Reconnected { missed } => println!("the hub was away; missed: {missed:?}"),
//!         Delivery::Disconnected(why) => println!("no more orders: {why}"),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Theory of operation
//!
//! [`Bus`] is a cloneable handle. One task per connection owns the socket and everything that is known of the hub
//! (publishers, their types, who subscribed). Handles and task share two things only, each behind a short lock:
//!
//! - the **link** (`link.rs`): the outgoing buffer, what was announced, and who waits for which reference. An emit encodes
//!   its event outside the lock and copies it in; nothing is allocated per event. The task swaps the whole buffer
//!   for its own and writes it in one call; what queues meanwhile is the next write. Nobody wakes the task while it writes.
//! - one **queue per subscription** (`queue.rs`): whole runs of events as they came, decoded only when the reader polls.
//!
//! The task never waits for a reader: a subscription's queue is bounded in messages and bytes, and when its reader falls
//! behind loses its *oldest* events, told in band as [`Delivery::Lagged`]. So one slow reader stalls nobody, and a reader
//! may emit, request and subscribe from within its own loop: writing never depends on anybody's reading.
//!
//! Order: what one task emits is published in that order, and so are subscriptions and requests among them. Events
//! of one lane arrive in the hub's order.
//!
//! The connection ends by [`Bus::drain`], when the last handle, subscription and call is gone (what was emitted
//! is still written), or when the hub ends it. Every wait then fails with [`Disconnected`], every subscription is told in band.

mod announce;
mod connection;
mod direct;
mod emit;
mod ending;
mod error;
mod handle;
mod handshake;
mod holds;
mod lease;
mod ledger;
mod link;
mod options;
mod outbox;
mod payload;
mod problems;
mod publishers;
mod queue;
mod receive;
mod reconnect;
mod reliable;
mod request;
mod scratch;
mod serve;
mod session;
mod standing;
mod state;
mod subscribe;
mod subscription;
mod task;
mod trace;

pub use direct::direct_topics;
pub use emit::Emission;
pub use error::{ConnectError, Disconnected, DrainError, EmitError, RequestError, SubscribeError};
pub use handle::{Bus, ConnectionState};
pub use options::ConnectOptions;
pub use payload::{Payload, ToJsonError};
pub use problems::{Problem, Problems};
pub use reconnect::ReconnectPolicy;
pub use request::{Answer, Answers, Many, One, Question};
pub use serve::{Call, Calls};
pub use subscribe::SubscribeBuilder;
pub use subscription::{Delivery, Received, Subscription};
pub use trace::TraceContext;

pub use crate::wire::{
    control::OverflowPolicy,
    headers::{BadHeaders, Headers},
};
