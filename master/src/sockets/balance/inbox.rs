//! How the shell speaks to the thread that hands connections over.

use std::{collections::BTreeMap, io, os::fd::OwnedFd, sync::Arc};

use ostler_bus::{Slot, WorkerId, vocab::status::BalanceStatus};
use tokio::sync::oneshot;

use super::{channel::Channel, thread};
use crate::{
    config::app::{AppName, ProxyHeader},
    fleet::Service,
    sockets::{SocketId, mailbox::Mailbox},
};

/// Which socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The very one, as long as it is bound.
    pub id: SocketId,
    /// Whose.
    pub app: AppName,
    /// Its name.
    pub name: String,
}

/// A worker that takes connections of a socket.
#[derive(Debug)]
pub struct Joins {
    /// Which worker.
    pub id: WorkerId,
    /// Which socket.
    pub socket: Served,
    /// Our end of its channel; its first word is still unread.
    pub channel: Channel,
    /// When it may be handed connections.
    pub begins: Begins,
    /// The socket's listener, for the first.
    pub listener: OwnedFd,
    /// How many connections a worker may have open; `None`: any number.
    pub max_connections: Option<u32>,
    /// Where clients keep their slots, by what a proxy tells of them.
    pub sticks: Option<Sticks>,
}

/// When a worker may be handed connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// Once it is ready.
    Later,
    /// As soon as it asks for some: whoever finds out whether it is ready may do so at this very socket.
    Asked,
    /// Now: it is ready.
    Now,
}

/// A worker of a socket whose clients keep their slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sticks {
    /// Its slot.
    pub slot: Slot,
    /// What becomes of the header that tells who the client is.
    pub header: ProxyHeader,
}

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    Joins(Box<Joins>),
    Ready(WorkerId),
    Drains(WorkerId),
    Gone(WorkerId),
    /// A worker no longer has this socket.
    Leaves(WorkerId, SocketId),
    Released(WorkerId),
    /// A worker had shut the listener down: this is the one that listens now.
    Mended(SocketId, OwnedFd),
    /// An app's slots stand so.
    Stand {
        app: AppName,
        services: Vec<Service>,
    },
    /// An app has gone; these sockets, which were its, are other apps' by now.
    Forget(AppName, Vec<Served>),
    Close(SocketId),
    Report(oneshot::Sender<Vec<(Served, BalanceStatus)>>),
    End,
}

/// Commands on their way to the thread.
pub(super) type Inbox = Mailbox<Command>;

/// Has connections handed to workers; by a thread that begins with the first that takes any, and ends with this.
#[derive(Debug, Default)]
pub struct Balancer {
    inbox: Option<Arc<Inbox>>,
    /// Apps whose clients keep their slots, and what the thread was told last of how those stand.
    sticky: BTreeMap<AppName, Option<Vec<Service>>>,
}

impl Balancer {
    /// A worker takes connections.
    ///
    /// # Errors
    /// If the thread can't be started: the worker then accepts for itself.
    pub fn join(&mut self, joins: Joins) -> io::Result<()> {
        let inbox = match self.running() {
            Some(inbox) => Arc::clone(inbox),
            None => {
                let inbox = Arc::new(Inbox::new()?);
                thread::start(Arc::clone(&inbox))?;
                self.inbox = Some(Arc::clone(&inbox));
                inbox
            }
        };
        if joins.sticks.is_some() {
            // This socket may be a new one.
            let app = joins.socket.app.clone();
            self.sticky.insert(app, None);
        }
        inbox.send(Command::Joins(Box::new(joins)));
        Ok(())
    }

    /// The apps whose clients keep their slots.
    #[must_use]
    pub fn sticky_apps(&self) -> Vec<AppName> {
        self.sticky.keys().cloned().collect()
    }

    /// An app's slots stand so, by their numbers; to be said anew of an app after each worker that [joins](Self::join) and keeps clients.
    pub fn stand(&mut self, app: &AppName, services: Vec<Service>) {
        let Some(told) = self.sticky.get_mut(app) else {
            return;
        };
        if told.as_ref() != Some(&services) {
            *told = Some(services.clone());
            let app = app.clone();
            self.tell(Command::Stand { app, services });
        }
    }

    /// A worker is ready.
    pub fn ready(&self, id: WorkerId) {
        self.tell(Command::Ready(id));
    }

    /// A worker drains: it is handed nothing more, and what it has not taken goes to others.
    pub fn drains(&self, id: WorkerId) {
        self.tell(Command::Drains(id));
    }

    /// A worker is gone: what it has not taken goes to others.
    pub fn gone(&self, id: WorkerId) {
        self.tell(Command::Gone(id));
    }

    /// A worker no longer has a socket, whether it hangs up or not: what it has not taken goes to others.
    pub fn leaves(&self, id: WorkerId, socket: SocketId) {
        self.tell(Command::Leaves(id, socket));
    }

    /// A worker runs on as nobody's: it is handed nothing more, and accepts for itself as soon as it has taken what it was
    /// handed, even if its app or the socket is forgotten meanwhile.
    pub fn released(&self, id: WorkerId) {
        self.tell(Command::Released(id));
    }

    /// A listener was mended; this is a duplicate of the one that listens now.
    pub fn mended(&self, socket: SocketId, listener: OwnedFd) {
        self.tell(Command::Mended(socket, listener));
    }

    /// An app has gone, and its sockets, but for those that others have now: they are theirs, and their slots are to be said anew.
    pub fn forget(&mut self, app: &AppName, passed_on: Vec<Served>) {
        self.sticky.remove(app);
        for socket in &passed_on {
            if let Some(told) = self.sticky.get_mut(&socket.app) {
                *told = None;
            }
        }
        self.tell(Command::Forget(app.clone(), passed_on));
    }

    /// A socket has gone.
    pub fn close(&self, socket: SocketId) {
        self.tell(Command::Close(socket));
    }

    /// How things stand; the answer never comes if the thread ends meanwhile, and there is none if it doesn't run.
    #[must_use]
    pub fn report(&self) -> Option<oneshot::Receiver<Vec<(Served, BalanceStatus)>>> {
        let inbox = self.running()?;
        let (sender, report) = oneshot::channel();
        inbox.send(Command::Report(sender));
        Some(report)
    }

    fn running(&self) -> Option<&Arc<Inbox>> {
        let inbox = self.inbox.as_ref()?;
        inbox.is_read().then_some(inbox)
    }

    fn tell(&self, command: Command) {
        if let Some(inbox) = self.running() {
            inbox.send(command);
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tell(Command::End);
    }
}
