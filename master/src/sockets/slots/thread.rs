//! The thread: waits for commands, for connections to groups whose queues nobody looks at just now, and for the moments at
//! which to look at those of the others.
//!
//! A group tells of a connection once, and is then looked at as its pace says; only when it is quiet it is listened to again. So
//! connections wake the thread a few hundred times a second at most, however many there are, and none keeps it awake.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Instant,
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
    io::Errno,
};

use super::{
    desk::Desk,
    inbox::{Command, InGroup},
};
use crate::{
    config::app::AppName,
    sockets::{SocketId, mailbox::Mailbox},
};

/// Events taken in at once.
const EVENTS: usize = 64;

/// What it needs is small, but for programs of a thousand leaves.
const STACK: usize = 256 << 10;

/// The bell's token; those of groups grow from the next one on and are never used twice.
const BELL: u64 = 0;

/// Told once, then not again until it is asked for.
const ONCE: EventFlags = EventFlags::IN.union(EventFlags::ONESHOT);

/// Starts the thread. It ends when it is told to, or when what it waits on fails.
pub(super) fn start(mailbox: Arc<Mailbox<Command>>) -> io::Result<()> {
    let thread = Thread::new(mailbox)?;
    std::thread::Builder::new()
        .name("slots".into())
        .stack_size(STACK)
        .spawn(move || thread.run())
        .map(drop)
}

struct Thread {
    epoll: OwnedFd,
    mailbox: Arc<Mailbox<Command>>,
    desks: BTreeMap<u64, Desk>,
    last: u64,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.mailbox.close();
        if std::thread::panicking() {
            tracing::error!(
                "choosing among slots has failed, which is a fault of ostler's: the kernel goes on as it was told last"
            );
            return;
        }
        // Nobody would tell the kernel of slots that serve again.
        self.desks.values_mut().for_each(Desk::let_go);
    }
}

impl Thread {
    fn new(mailbox: Arc<Mailbox<Command>>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let data = EventData::new_u64(BELL);
        epoll::add(&epoll, &mailbox.bell, data, EventFlags::IN)?;
        Ok(Self {
            epoll,
            mailbox,
            desks: BTreeMap::new(),
            last: BELL,
        })
    }

    fn run(mut self) {
        loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(
                        "choosing among slots ends: {error}; the kernel chooses among all of them by itself"
                    );
                    return;
                }
            }
        }
    }

    /// Waits, and does what there is to do; false if that was to end.
    fn turn(&mut self) -> io::Result<bool> {
        let mut events = Vec::with_capacity(EVENTS);
        let timeout = self.timeout(Instant::now());
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut rung = false;
        let now = Instant::now();
        for event in events {
            match event.data.u64() {
                BELL => rung = true,
                token => {
                    if let Some(desk) = self.desks.get_mut(&token) {
                        desk.came(now);
                    }
                }
            }
        }
        let mut done = Vec::new();
        if rung {
            for command in self.mailbox.take() {
                match command {
                    Command::End => return Ok(false),
                    Command::Settle(settled) => done.push(settled),
                    other => self.obey(other)?,
                }
            }
        }
        self.look(rung)?;
        for settled in done {
            // Whoever asked has gone.
            let _gone = settled.send(());
        }
        Ok(true)
    }

    fn timeout(&self, now: Instant) -> Option<Timespec> {
        let next = self.desks.values().filter_map(|desk| desk.due).min()?;
        Timespec::try_from(next.saturating_duration_since(now)).ok()
    }

    /// Looks at the queues whose time has come, and tells the kernel what has changed.
    fn look(&mut self, commanded: bool) -> io::Result<()> {
        let now = Instant::now();
        for (token, desk) in &mut self.desks {
            let due = desk.due.is_some_and(|due| due <= now);
            if due {
                desk.look(now)?;
            }
            if due || commanded {
                desk.direct();
            }
            if desk.due.is_none() && desk.watches() && (due || commanded) {
                let data = EventData::new_u64(*token);
                epoll::modify(&self.epoll, &desk.edges, data, ONCE)?;
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Join(listeners) => {
                for it in listeners {
                    self.join(it)?;
                }
            }
            Command::Stand {
                app,
                size,
                services,
            } => {
                for desk in self.desks.values_mut().filter(|desk| desk.app == app) {
                    desk.stand(size, &services);
                    // It may have begun to watch, or have none to watch any more.
                    desk.due = desk.watches().then(Instant::now);
                }
            }
            Command::Shut(ids) => {
                if let Some(first) = ids.first() {
                    self.with(*first, |desk| desk.shut(&ids));
                }
            }
            Command::Mended(id, meanwhile) => {
                self.with(id, |desk| desk.mended(id, &meanwhile));
            }
            Command::Part(id) => self.with(id, |desk| desk.part(id)),
            Command::Keep(id) => self.with(id, |desk| desk.keep(id)),
            Command::Spread { app, name, spread } => {
                let mut desks = self.desks.values_mut();
                if let Some(desk) = desks.find(|desk| desk.app == app && desk.name == name) {
                    desk.spread(spread);
                    desk.due = desk.watches().then(Instant::now);
                }
            }
            Command::Forget(app, name, _forgotten) => self.forget(&app, name.as_deref()),
            Command::Report(report) => {
                let all = self.desks.values().flat_map(Desk::report);
                // Whoever asked has gone.
                let _gone = report.send(all.collect());
            }
            Command::Settle(_) | Command::End => {}
        }
        Ok(())
    }

    fn with(&mut self, id: SocketId, what: impl FnOnce(&mut Desk)) {
        if let Some(desk) = self.desks.values_mut().find(|desk| desk.knows(id)) {
            what(desk);
        }
    }

    fn join(&mut self, it: InGroup) -> io::Result<()> {
        let is_its = |desk: &&mut Desk| desk.app == it.app && desk.name == it.name;
        if let Some(desk) = self.desks.values_mut().find(is_its) {
            return desk.join(it);
        }
        let mut desk = Desk::of(&it)?;
        desk.join(it)?;
        self.last += 1;
        // Listened to when there is something to learn.
        let data = EventData::new_u64(self.last);
        epoll::add(&self.epoll, &desk.edges, data, EventFlags::ONESHOT)?;
        self.desks.insert(self.last, desk);
        Ok(())
    }

    fn forget(&mut self, app: &AppName, name: Option<&str>) {
        let goes = |desk: &Desk| desk.app == *app && name.is_none_or(|name| desk.name == name);
        let gone = self.desks.extract_if(.., |_, desk| goes(desk));
        for (_, mut desk) in gone {
            desk.let_go();
            if let Err(error) = epoll::delete(&self.epoll, desk.edges.as_fd()) {
                tracing::debug!("it was not watched: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
