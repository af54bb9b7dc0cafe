//! The handle: how the rest of the process speaks to the hub's thread.

use std::{
    io,
    os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
};

use tokio::{
    io::DuplexStream,
    sync::{mpsc, oneshot},
};

use super::{
    notice::{self, Notices},
    principal::{Admission, Principal},
    rules::Rules,
    stats::{HubStats, StatsPage},
    thread,
};
use crate::{Limits, Topic, TypeSchema, transport::MemoryTransport};

/// Commands that may wait for the hub's thread: it takes them between two batches of frames.
const COMMANDS: usize = 1024;

/// How a hub begins.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Its name, shown in WELCOME.
    pub name: String,
    /// What it allows.
    pub limits: Limits,
    /// Who may do what, and what travels in the control lane.
    pub rules: Rules,
    /// Topics whose type is fixed. Several entries for one topic: the first holds.
    pub builtins: Vec<(Topic, TypeSchema)>,
}

/// What the handle asks of the thread.
#[derive(Debug)]
pub(super) enum Command {
    Listen(StdUnixListener, Admission),
    Attach(StdUnixStream, Principal),
    AttachMemory(DuplexStream, Principal),
    Stats(StatsPage, oneshot::Sender<HubStats>),
    Shutdown(oneshot::Sender<()>),
    #[cfg(test)]
    Panic,
}

/// A running hub. Cheap to clone; the hub stops when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Hub {
    commands: mpsc::Sender<Command>,
}

impl Hub {
    /// Starts a hub on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread or no event queue.
    pub fn start(options: HubOptions) -> io::Result<(Self, Notices)> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (sender, notices) = notice::channel();
        thread::start(options, inbox, sender)?;
        Ok((Self { commands }, notices))
    }

    /// Accepts peers on `listener`, which is taken over with its path left alone. Only the hub's own uid and root are let
    /// in; others are told so.
    ///
    /// # Errors
    /// If the hub has ended.
    pub fn listen(&self, listener: StdUnixListener, admission: Admission) -> io::Result<()> {
        self.send(Command::Listen(listener, admission))
    }

    /// Takes over a connected socket whose peer is known: `principal`, whatever it says at HELLO.
    ///
    /// # Errors
    /// If the hub has ended.
    pub fn attach(&self, stream: StdUnixStream, principal: Principal) -> io::Result<()> {
        self.send(Command::Attach(stream, principal))
    }

    /// A way in for a feature of this process: same handshake, same rules.
    ///
    /// # Errors
    /// If the hub has ended.
    pub fn attach_memory(&self, principal: Principal) -> io::Result<MemoryTransport> {
        let (transport, stream) = MemoryTransport::pair();
        self.send(Command::AttachMemory(stream, principal))?;
        Ok(transport)
    }

    /// Who is connected, what waits for whom, what was lost; `None` if the hub has ended. Taken between two batches of
    /// frames, in a time that grows with the number of connections (about a millisecond for 10,000).
    pub async fn stats(&self, page: StatsPage) -> Option<HubStats> {
        let (answer, stats) = oneshot::channel();
        self.commands
            .send(Command::Stats(page, answer))
            .await
            .ok()?;
        stats.await.ok()
    }

    /// Tells every connection that the hub stops, writes what is queued for at most two seconds, and ends.
    pub async fn shutdown(&self) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).await.is_ok() {
            // An error means the same: the thread is gone.
            let _ = ended.await;
        }
    }

    /// Whether it has stopped for good. One that panicked begins anew, and has not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    fn send(&self, command: Command) -> io::Result<()> {
        self.commands.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => io::Error::new(
                io::ErrorKind::WouldBlock,
                "the hub has a thousand commands waiting; try again",
            ),
            mpsc::error::TrySendError::Closed(_) => {
                io::Error::new(io::ErrorKind::NotConnected, "the hub has ended")
            }
        })
    }

    #[cfg(test)]
    pub(super) fn panic(&self) {
        self.send(Command::Panic).expect("the hub runs");
    }
}
