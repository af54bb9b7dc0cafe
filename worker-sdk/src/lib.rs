//! What an app links to be a worker of Ostler.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use ostler_worker_sdk::{Event, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(topic = "greetings.sent")]
//! struct GreetingSent { to: String }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let worker = Worker::start().await?;                          // the bus, the sockets, the signals
//!     let listener = worker.listen("http", "127.0.0.1:8080")?;      // the master's socket; alone, one's own
//!     let bus = worker.bus().clone();
//!     let greet = move || async move {
//!         // Every worker and client that subscribes to it hears of it.
//!         let _told = bus.emit(&GreetingSent { to: "you".into() }).await;
//!         "hello\n"
//!     };
//!     let app = Router::new().route("/", get(greet));
//!     worker.ready().await?;                                        // from here on the master counts on it
//!     worker.serve(listener, app).await?;                           // until told to drain, and done with that
//!     worker.finish().await?;                                       // the last events are at the hub
//!     Ok(())
//! }
//! ```
//!
//! Started by `ostler run -l http=8080 -- my-app`, it is one of several that share the port; started by itself, it binds the
//! fallback address, and a hub in its own process stands in for the bus.
//!
//! A socket may be asked for at run time, too: `worker.listen_at("127.0.0.1:0").await?` is one that all workers of the app share that
//! ask for the same address.
//!
//! A server that speaks TLS has session tickets from [`Worker::ticket_secrets`]: clients that come back resume whichever worker they reach.
//!
//! # Order
//!
//! [`Worker::start`] returns when the hub knows the worker; nothing sent to it from then on is missed. A worker says
//! [`Worker::ready`] once; the master starts the next only then. [`Worker::draining`] goes off once: by the master's word, by
//! TERM or by INT; a second signal cuts what is left. A worker whose master is gone serves on, and looks for it where the bus was.

mod accepted;
mod alone;
mod count;
mod direct;
mod drain;
mod error;
pub mod handover;
mod hear;
mod heartbeat;
mod holding;
pub mod http;
mod identity;
mod inherited;
mod listener;
pub mod passing;
pub mod proxy_protocol;
mod sys;
pub mod tickets;
mod udp;
mod worker;

pub use count::{RequestCounter, RequestUnderWay};
pub use direct::{DirectCalls, DirectEvents};
pub use drain::{DrainSignal, Draining};
pub use error::StartError;
pub use identity::Identity;
pub use listener::{Connection, Listener, Peer};
pub use ostler_bus as bus;
pub use ostler_bus::{Event, Request, Schema};
pub use passing::{
    AskFor, NotSent, Received, ReceivedConnections, SendConnection, SendError, SharedUdp,
};
pub use tickets::TicketSecrets;
pub use worker::Worker;
