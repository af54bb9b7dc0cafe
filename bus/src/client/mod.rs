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
//! [`Bus`] is a cloneable handle. One task owns the socket, of one connection after the other, and everything that is known of the hub
//! (publishers, their types, who subscribed). Handles and task share two things only, each behind a short lock:
//!
//! - the **link** (`link.rs`): the outgoing buffer, what was announced, which topics are held, and who waits for which reference. An emit
//!   encodes its event outside the lock and copies it in; nothing is allocated per event. The task swaps the whole buffer
//!   for its own and writes it in one call; what queues meanwhile is the next write. Nobody wakes the task while it writes.
//! - one **queue per subscription** (`queue`): whole runs of events as they came, decoded only when the reader polls.
//!
//! The task never waits for a reader: a subscription's queue is bounded in messages and bytes, and when its reader falls
//! behind loses what was asked for (`.policy(…)`; its *oldest* events by default), told in band as [`Delivery::Lagged`]. Where nothing is to be lost the hub is
//! told what the reader has taken, and sends a window's worth ahead of that: then it is its queue that fills, and publishers
//! that are held ([`OverflowPolicy::Backpressure`]). So one slow reader stalls nobody who didn't agree to it, and a reader
//! may emit, request and subscribe from within its own loop: writing never depends on anybody's reading. (Except to a
//! topic that it holds up itself: that wait has a bound.)
//!
//! Order: what one task emits is published in that order, and so are subscriptions and requests among them. Events
//! of one lane arrive in the hub's order.
//!
//! # When the connection is lost
//!
//! The task makes another, again and again, as [`ReconnectPolicy`] says; [`Bus::state`] can be watched. Meanwhile what is emitted and asked
//! waits in the outgoing buffer, and no longer than there is room. On the next connection the types are announced again, then the
//! subscriptions are asked for again, then [acknowledged](Bus::emit_acked) events are sent again that the hub had not answered, then what waited is sent; `session.rs` has the table.
//! Each reader is told in its place, [`Delivery::Reconnected`], with what is missing. What is lost: plain events whose last byte had been
//! handed to the system when the connection broke and that the hub had not read; questions under way fail, as they may
//! have been answered, and are not asked twice; calls that had come can't be answered any more.
//!
//! It is over by [`Bus::drain`]; when the last handle, subscription and call is gone (what was emitted
//! is still written); when the hub says something that would be the same again ([`CloseKind`](crate::wire::control::CloseKind) `Denied`, `Hello`, `Replaced`, `Framing`); or when
//! another connection is given up or can't be had. Every wait then fails with [`Disconnected`], every subscription is told in band.

mod announce;
mod connection;
mod direct;
mod emit;
mod ending;
mod error;
#[cfg(all(test, feature = "explore"))]
mod explored;
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
mod sync;
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
