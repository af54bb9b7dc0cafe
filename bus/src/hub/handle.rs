//! The handle: how the rest of the process speaks to the hub's thread.

use std::{
    io,
    net::TcpListener,
    os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::DuplexStream,
    sync::{mpsc, oneshot, watch},
};

use super::{
    history::HistoryRule,
    notice::{self, Notices},
    principal::{Admission, Principal},
    rules::Rules,
    stats::{HubStats, StatsPage},
    thread::{self, Orders, TcpDoor},
    tokens::Tokens,
};
use crate::{Limits, Topic, TypeSchema, WorkerId, transport::MemoryTransport};

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
    /// Topics that keep their last events.
    pub history: Vec<HistoryRule>,
}

/// What the handle asks of the thread.
#[derive(Debug)]
pub(super) enum Command {
    Listen(StdUnixListener, Admission),
    Attach(StdUnixStream, Principal),
    AttachMemory(DuplexStream, Principal),
    SetRules(Arc<Rules>),
    ListenTcp(TcpListener, TcpDoor),
    SetTokens(Tokens),
    Revoke(WorkerId),
    Stats(StatsPage, oneshot::Sender<HubStats>),
    Shutdown(oneshot::Sender<()>),
    /// Nothing but its place among the others.
    Mark(oneshot::Sender<()>),
    #[cfg(test)]
    Panic,
}

/// A running hub. Cheap to clone; the hub stops when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Hub {
    commands: mpsc::Sender<Command>,
    rules: watch::Sender<Arc<Rules>>,
    revision: Arc<AtomicU64>,
}

impl Hub {
    /// Starts a hub on a thread of its own.
    ///
    /// # Errors
    /// If the [limits](Limits::check) can't be kept together (`InvalidInput`), or the system gives no thread or no event
    /// queue.
    pub fn start(options: HubOptions) -> io::Result<(Self, Notices)> {
        options.limits.check().map_err(|error| {
            let text = format!("the hub's limits: {error}; {}", error.fix());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (sender, notices) = notice::channel();
        let rules = watch::Sender::new(Arc::new(options.rules.clone()));
        let revision = Arc::default();
        let orders = Orders {
            inbox,
            sender: commands.downgrade(),
        };
        thread::start(options, Arc::clone(&revision), orders, sender)?;
        let hub = Self {
            commands,
            rules,
            revision,
        };
        Ok((hub, notices))
    }

    /// Accepts peers on `listener`, which is taken over with its path left alone. Only the hub's own uid and root are let
    /// in; others are told so.
    ///
    /// # Errors
    /// If the hub has ended.
    pub fn listen(&self, listener: StdUnixListener, admission: Admission) -> io::Result<()> {
        self.send(Command::Listen(listener, admission))
    }

    /// Accepts peers on `listener` who show one of the [tokens](Self::set_tokens). What they say can be read on the way: for
    /// this machine only.
    ///
    /// # Errors
    /// If it can be reached from other machines, or the hub has ended.
    pub fn listen_tcp(&self, listener: TcpListener) -> io::Result<()> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{address} can be reached from other machines: that needs TLS"),
            ));
        }
        self.send(Command::ListenTcp(listener, TcpDoor::Plain))
    }

    /// Accepts peers on `listener` who speak TLS and show one of the [tokens](Self::set_tokens).
    ///
    /// # Errors
    /// If the hub has ended.
    #[cfg(feature = "tls")]
    pub fn listen_tls(&self, listener: TcpListener, tls: super::TlsServer) -> io::Result<()> {
        self.send(Command::ListenTcp(listener, TcpDoor::Tls(tls)))
    }

    /// Who may come in over a network, from here on. Whoever is in by a token that is there no longer has to go.
    ///
    /// # Errors
    /// If the hub has ended.
    pub fn set_tokens(&self, tokens: Tokens) -> io::Result<()> {
        self.send(Command::SetTokens(tokens))
    }

    /// This worker is no more: nobody comes back by its token.
    ///
    /// # Errors
    /// If the hub has ended.
    pub fn revoke(&self, worker: WorkerId) -> io::Result<()> {
        self.send(Command::Revoke(worker))
    }

    /// Takes over a connected socket whose peer is known: `principal`, whatever it says at HELLO. A worker is given a token there
    /// with which it may come back by path.
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

    /// Other rules from here on: for every frame, and for subscriptions that stand. Those that are denied now hear nothing
    /// more, and are told so.
    ///
    /// # Errors
    /// If the hub has ended.
    pub fn set_rules(&self, rules: Rules) -> io::Result<()> {
        let rules = Arc::new(rules);
        self.send(Command::SetRules(Arc::clone(&rules)))?;
        self.rules.send_replace(rules);
        Ok(())
    }

    /// The rules that hold.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.borrow())
    }

    /// What this process knows has changed: no [answer that stands](crate::client::Call::reply_for) is given any more if its question was put
    /// before. Whoever hears of the change afterwards, and asks, is told how things are since.
    pub fn outdate(&self) {
        self.revision.fetch_add(1, Ordering::Release);
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
