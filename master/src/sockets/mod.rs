//! Sockets. The master binds each declared one once, before the first worker, and holds it for as long as the
//! app is known: workers inherit it and come and go, and whoever connects meanwhile waits in the kernel's queue. What the
//! master's own starter has bound and passed on ([`StarterSockets`]) is used the same way, and stays the starter's.
//!
//! [`bind`] puts the listener into the master's [`FdTable`] and says
//! where it listens ([`BoundSocket`]); [`ListenerWatch`] tells when a worker has called `shutdown` on it, which closes it
//! for all, and [`BoundSocket::listen_again`] mends that.
//!
//! Connections of a socket may be accepted by the master and handed over: see [`balance`]. Or each slot has a listener at the one
//! address, and the kernel is told which of them to choose from: see [`slots`].
//!
//! [`FdTable`]: crate::sys::FdTable

pub mod balance;
mod bind;
mod bound;
mod closing;
mod connections;
mod diagnosis;
mod error;
mod foreign;
mod holder;
mod ip;
mod mailbox;
mod options;
mod queue;
mod registry;
mod rights;
pub mod slots;
mod starter;
mod unix;
mod watch;

pub use bind::{bind, bind_all};
pub use bound::{BoundSocket, Mended, NOBODY_TAKES};
pub use closing::begin as begin_to_close;
pub use connections::{Door, open_connections};
pub use error::{BindError, Problem};
pub use foreign::Foreign;
pub use holder::Holder;
pub use registry::{
    Added, Again, GivenBack, Got, LeftOut, Next, Reach, Retired, Shared, SocketId, Sockets,
    Stranger, strangers,
};
pub use rights::may_bind;
pub use starter::StarterSockets;
pub use watch::{ListenerWatch, listener_is_dead};
