//! How the shell speaks to the thread that tells the kernel whom to choose.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, mpsc},
    time::Duration,
};

use ostler_bus::{Slot, vocab::status::SlotShare};
use tokio::{
    io::Interest,
    sync::oneshot::{self, error::TryRecvError},
};

use super::{group::Spread, thread};
use crate::{
    config::app::{AppName, socket::SocketKind},
    fleet::Service,
    sockets::{SocketId, mailbox::Mailbox, queue},
    sys::watch_fd,
};

/// How long the thread may take to let go of an app's listeners: it does so at once, unless the machine is very busy.
const LET_GO: Duration = Duration::from_millis(100);

/// A slot's listener.
#[derive(Debug)]
pub struct InGroup {
    /// The very one, as long as it is bound. One that was bound later has a greater one.
    pub id: SocketId,
    /// Whose.
    pub app: AppName,
    /// Its name.
    pub name: String,
    /// Which slot's.
    pub slot: Slot,
    /// What it carries.
    pub kind: SocketKind,
    /// How connections are spread over the group.
    pub spread: Spread,
    /// Itself.
    pub listener: OwnedFd,
}

impl InGroup {
    /// Waits until something waits there.
    ///
    /// # Errors
    /// If it can't be watched, or the runtime is going away.
    pub async fn is_come_to(self) -> io::Result<()> {
        let watched = watch_fd(self.listener, Interest::READABLE)?;
        loop {
            let mut ready = watched.readable().await?;
            // Its end is told as well.
            if queue::length(watched.get_ref().as_fd(), self.kind).waiting > 0 {
                return Ok(());
            }
            ready.clear_ready();
        }
    }

    /// Whether nothing waits there.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        queue::length(self.listener.as_fd(), self.kind).waiting == 0
    }
}

/// How things stand with a slot's listener.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotReport {
    /// Whose.
    pub app: AppName,
    /// Its name.
    pub name: String,
    /// Which slot's.
    pub slot: Slot,
    /// What it gets.
    pub share: SlotShare,
}

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Listeners have been bound, in this order.
    Join(Vec<InGroup>),
    Stand {
        app: AppName,
        size: u32,
        services: Vec<Service>,
    },
    /// Workers have shut these listeners of one socket down.
    Shut(Vec<SocketId>),
    /// One listens again, and these were shut down while it began to.
    Mended(SocketId, Vec<SocketId>),
    /// It is about to be closed.
    Part(SocketId),
    /// Its slot has gone, and it is kept.
    Keep(SocketId),
    Spread {
        app: AppName,
        name: String,
        spread: Spread,
    },
    /// An app has gone, or its sockets of this name; the sender is dropped when nothing of it is held any more.
    Forget(AppName, Option<String>, mpsc::SyncSender<()>),
    /// All that was said before has been done.
    Settle(oneshot::Sender<()>),
    Report(oneshot::Sender<Vec<SlotReport>>),
    End,
}

/// Has the kernel choose among slots' listeners; by a thread that begins with the first of them, and ends with this.
#[derive(Debug, Default)]
pub struct Groups {
    mailbox: Option<Arc<Mailbox<Command>>>,
    apps: BTreeMap<AppName, Told>,
    /// Comes when the kernel knows how slots stand.
    telling: Option<oneshot::Receiver<()>>,
}

/// What the thread knows of an app.
#[derive(Debug, Default)]
struct Told {
    /// The last of its listeners.
    last: Option<SocketId>,
    stands: Option<(u32, Vec<Service>)>,
}

impl Groups {
    /// Takes an app's listeners in, in the order in which they were bound; those that are known already are passed over.
    ///
    /// # Errors
    /// If the thread can't be started, or has ended: the kernel then chooses by itself.
    pub fn join(&mut self, listeners: Vec<InGroup>) -> io::Result<()> {
        let mut new = listeners;
        new.retain(|it| {
            let told = self.apps.get(&it.app);
            told.is_none_or(|told| told.last < Some(it.id))
        });
        new.sort_by_key(|it| it.id);
        if new.is_empty() {
            return Ok(());
        }
        match &self.mailbox {
            Some(mailbox) if mailbox.is_read() => {}
            // A second one would not know those that are there, and so take the places of new ones for others'.
            Some(_) => return Err(io::Error::other("choosing among slots has ended")),
            None => {
                let mailbox = Arc::new(Mailbox::new()?);
                thread::start(Arc::clone(&mailbox))?;
                self.mailbox = Some(mailbox);
            }
        }
        for it in &new {
            let told = self.apps.entry(it.app.clone()).or_default();
            told.last = Some(it.id);
            // It may be the first of its name: then nobody knows there how slots stand.
            told.stands = None;
        }
        self.tell(Command::Join(new));
        Ok(())
    }

    /// The apps that have such sockets.
    #[must_use]
    pub fn apps(&self) -> Vec<AppName> {
        self.apps.keys().cloned().collect()
    }

    /// An app's slots stand so.
    pub fn stand(&mut self, app: &AppName, size: u32, services: Vec<Service>) {
        let Some(told) = self.apps.get_mut(app) else {
            return;
        };
        let stands = Some((size, services.clone()));
        if told.stands != stands {
            told.stands = stands;
            let app = app.clone();
            self.tell(Command::Stand {
                app,
                size,
                services,
            });
            self.telling = Some(self.settled());
        }
    }

    /// Whether the kernel knows how slots stand; also if nobody can tell it any more.
    pub fn has_told(&mut self) -> bool {
        let told =
            |telling: &mut oneshot::Receiver<()>| telling.try_recv() != Err(TryRecvError::Empty);
        self.telling.as_mut().is_none_or(told)
    }

    /// Whether somebody tells the kernel whom to choose.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.running().is_some()
    }

    /// Connections of a socket are spread so from now on.
    pub fn spread(&self, app: &AppName, name: &str, spread: Spread) {
        self.tell(Command::Spread {
            app: app.clone(),
            name: name.to_owned(),
            spread,
        });
    }

    /// Workers have shut these listeners of one socket down, in whatever order; none of them listens again yet.
    pub fn shut(&self, ids: Vec<SocketId>) {
        self.tell(Command::Shut(ids));
    }

    /// One listens again. These were shut down since those that were before it, be it before it listened or after.
    pub fn mended(&self, id: SocketId, meanwhile: Vec<SocketId>) {
        self.tell(Command::Mended(id, meanwhile));
    }

    /// It is about to be closed.
    pub fn part(&self, id: SocketId) {
        self.tell(Command::Part(id));
    }

    /// Its slot has gone, and it stays where it is until the slot comes back: nobody is to be sent there.
    pub fn keep(&self, id: SocketId) {
        self.tell(Command::Keep(id));
    }

    /// An app has gone. If its workers live on, they are all chosen from. As nothing is held of it any more when this returns, the
    /// next app can have its address at once.
    pub fn forget(&mut self, app: &AppName) {
        if self.apps.remove(app).is_some() {
            self.let_go_of(app, None);
        }
    }

    /// The same of its sockets of one name.
    pub fn forget_one(&self, app: &AppName, name: &str) {
        self.let_go_of(app, Some(name.to_owned()));
    }

    fn let_go_of(&self, app: &AppName, name: Option<String>) {
        let (sender, forgotten) = mpsc::sync_channel(0);
        self.tell(Command::Forget(app.clone(), name, sender));
        // It ends as the sender is dropped: nothing is sent.
        if let Err(mpsc::RecvTimeoutError::Timeout) = forgotten.recv_timeout(LET_GO) {
            tracing::warn!("{app}: its address is not free yet, as the machine is very busy");
        }
    }

    /// Comes when the kernel knows all that was said until now, or never will.
    #[must_use]
    pub fn settled(&self) -> oneshot::Receiver<()> {
        let (sender, settled) = oneshot::channel();
        self.tell(Command::Settle(sender));
        settled
    }

    /// How things stand; the answer never comes if the thread ends meanwhile, and there is none if it doesn't run.
    #[must_use]
    pub fn report(&self) -> Option<oneshot::Receiver<Vec<SlotReport>>> {
        let mailbox = self.running()?;
        let (sender, report) = oneshot::channel();
        mailbox.send(Command::Report(sender));
        Some(report)
    }

    fn running(&self) -> Option<&Arc<Mailbox<Command>>> {
        self.mailbox.as_ref().filter(|mailbox| mailbox.is_read())
    }

    fn tell(&self, command: Command) {
        if let Some(mailbox) = self.running() {
            mailbox.send(command);
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.tell(Command::End);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_end_of_its_thread_no_other_begins() {
        let mailbox = Arc::new(Mailbox::new().expect("made"));
        mailbox.close();
        let mut groups = Groups {
            mailbox: Some(mailbox),
            apps: BTreeMap::new(),
            telling: None,
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let late = groups.join(vec![InGroup {
            id: SocketId::made_up(1),
            app: AppName::new("web").expect("a name"),
            name: "http".into(),
            slot: Slot(0),
            kind: SocketKind::Stream,
            spread: Spread::Evenly,
            listener: listener.into(),
        }]);
        assert!(
            late.is_err(),
            "others hold places that it would not know of"
        );
        assert!(groups.apps().is_empty());
    }
}
