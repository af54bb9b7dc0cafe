//! The thread: waits for connections, for what workers say and for commands, and has each socket's desk do its work.
//!
//! A listener tells of a connection once (edge-triggered): while no worker has room, whatever comes wakes nobody twice,
//! and waits in the kernel. A channel tells as long as there is something to read.
//!
//! Where connections come quickly, one after the other, words are heard together: each half a millisecond ([`Pace`]), or when somebody must make room.
//! To be woken by them, and by a time-out set anew for each sleep, would cost several times what the hand-over does. Otherwise they
//! are heard when they are said. Commands are obeyed after all that was said before them.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Instant,
};

use ostler_bus::WorkerId;
use rustix::{
    buffer::spare_capacity,
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
        poll,
    },
    io::Errno,
};

use super::{
    channel::Channel,
    desk::Desk,
    inbox::{Command, Inbox, Joins, Sticks},
    pace::Pace,
    proxied::Proxied,
};
use crate::sockets::SocketId;

/// Events taken in at once.
const EVENTS: usize = 128;

/// What it needs is small.
const STACK: usize = 256 << 10;

/// The tokens of the bell and of the beat; the others grow from the next one on and are never used twice.
const BELL: u64 = 0;
const BEAT: u64 = 1;

/// Starts the thread. It ends when it is told to, or when what it waits on fails.
pub(super) fn start(inbox: Arc<Inbox>) -> io::Result<()> {
    let thread = Thread::new(inbox)?;
    std::thread::Builder::new()
        .name("balance".into())
        .stack_size(STACK)
        .spawn(move || thread.run())
        .map(drop)
}

/// A desk's number, never used twice.
type DeskNumber = u64;

/// Whose event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Listener(DeskNumber),
    /// Connections of which more has come.
    Headers(DeskNumber),
    Channel(DeskNumber, WorkerId),
}

struct Thread {
    /// The bell, the beat and the listeners.
    epoll: OwnedFd,
    /// The channels.
    channels: OwnedFd,
    pace: Pace,
    inbox: Arc<Inbox>,
    desks: BTreeMap<DeskNumber, Desk>,
    sources: HashMap<u64, Source>,
    /// The last number given to a source or a desk.
    numbers: u64,
    /// Desks that something has happened to.
    busy: Vec<DeskNumber>,
}

impl Drop for Thread {
    /// Channels break with it, and workers accept for themselves.
    fn drop(&mut self) {
        self.inbox.close();
        if std::thread::panicking() {
            tracing::error!(
                "handing over connections has failed, which is a fault of ostler's: workers accept for themselves"
            );
        }
    }
}

impl Thread {
    fn new(inbox: Arc<Inbox>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let data = EventData::new_u64(BELL);
        epoll::add(&epoll, &inbox.bell, data, EventFlags::IN)?;
        let pace = Pace::new()?;
        let (data, flags) = (EventData::new_u64(BEAT), EventFlags::IN | EventFlags::ET);
        epoll::add(&epoll, &pace.timer, data, flags)?;
        Ok(Self {
            epoll,
            channels: epoll::create(CreateFlags::CLOEXEC)?,
            pace,
            inbox,
            desks: BTreeMap::new(),
            sources: HashMap::new(),
            numbers: BEAT,
            busy: Vec::new(),
        })
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            if let Err(error) = self.wait(&mut events) {
                tracing::error!("handing over connections ends: {error}");
                return;
            }
            let (mut rung, mut come, mut beat) = (false, false, false);
            for event in events.drain(..) {
                match event.data.u64() {
                    BELL => rung = true,
                    BEAT => beat = true,
                    token => {
                        come = true;
                        self.happened(token);
                    }
                }
            }
            let now = Instant::now();
            let hears = self.pace.goes_on(now, come, beat);
            // Before what was said by a worker that is told to be gone.
            if (hears || rung || self.is_full())
                && let Err(error) = self.hear(&mut events)
            {
                tracing::error!("handing over connections ends: {error}");
                return;
            }
            if rung && !self.obey() {
                return;
            }
            self.serve(now);
        }
    }

    /// Waits for commands and connections; and for words, unless they are heard together and nobody must make room.
    fn wait(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let mut timeout = self.timeout(Instant::now());
        if self.pace.together && !self.pace.full {
            self.pace.beats()?;
        } else {
            let mut fds = [
                PollFd::new(&self.epoll, PollFlags::IN),
                PollFd::new(&self.channels, PollFlags::IN),
            ];
            passing(poll(&mut fds, timeout.as_ref()))?;
            timeout = Some(Timespec::default());
        }
        passing(epoll::wait(
            &self.epoll,
            spare_capacity(events),
            timeout.as_ref(),
        ))
    }

    /// Whether no worker of a socket has room to which something has happened.
    fn is_full(&self) -> bool {
        let mut busy = self.busy.iter();
        busy.any(|number| self.desks.get(number).is_some_and(Desk::is_full))
    }

    /// Hears what workers have said by now.
    fn hear(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let now = Timespec::default();
        passing(epoll::wait(
            &self.channels,
            spare_capacity(events),
            Some(&now),
        ))?;
        for event in events.drain(..) {
            self.happened(event.data.u64());
        }
        Ok(())
    }

    /// How long to wait for something to happen; `None` for as long as it takes.
    fn timeout(&self, now: Instant) -> Option<Timespec> {
        let desks = || self.busy.iter().filter_map(|number| self.desks.get(number));
        if desks().any(Desk::has_more) {
            return Some(Timespec::default());
        }
        let next = desks().filter_map(Desk::due).min()?;
        Timespec::try_from(next.saturating_duration_since(now)).ok()
    }

    fn happened(&mut self, token: u64) {
        match self.sources.get(&token) {
            Some(Source::Listener(number)) => {
                let number = *number;
                if let Some(desk) = self.desks.get_mut(&number) {
                    desk.has_come();
                    self.is_busy(number);
                }
            }
            Some(Source::Headers(number)) => {
                let number = *number;
                if let Some(desk) = self.desks.get_mut(&number) {
                    desk.more_has_come();
                    self.is_busy(number);
                }
            }
            Some(Source::Channel(number, id)) => {
                let (number, id) = (*number, *id);
                let broken = self.desks.get_mut(&number).and_then(|desk| desk.hear(id));
                self.is_busy(number);
                self.let_go(broken);
            }
            None => {}
        }
    }

    /// Does what it was told; false if that is to end.
    fn obey(&mut self) -> bool {
        for command in self.inbox.take() {
            match command {
                Command::Joins(joins) => self.join(*joins),
                Command::Ready(id) => self.each(|desk| {
                    desk.ready(id);
                    None
                }),
                Command::Drains(id) => self.each(|desk| {
                    desk.drain(id);
                    None
                }),
                Command::Gone(id) => self.each(|desk| desk.part_with(id)),
                Command::Leaves(id, socket) => {
                    self.each(|desk| match desk.socket.id == socket {
                        true => desk.part_with(id),
                        false => None,
                    });
                }
                Command::Released(id) => {
                    let now = Instant::now();
                    self.each(|desk| {
                        desk.release(id, now);
                        None
                    });
                }
                Command::Mended(socket, listener) => self.mended(socket, listener),
                Command::Stand { app, services } => self.each(|desk| {
                    if desk.socket.app == app {
                        desk.stand(&services);
                    }
                    None
                }),
                Command::Forget(app) => self.forget(|desk| desk.socket.app == app),
                Command::Close(socket) => self.forget(|desk| desk.socket.id == socket),
                Command::Report(report) => {
                    let desks = self.desks.values();
                    let status = desks.map(|desk| (desk.socket.clone(), desk.status()));
                    // Whoever asked has gone.
                    let _gone = report.send(status.collect());
                }
                Command::End => return false,
            }
        }
        true
    }

    /// A worker may have several sockets.
    fn each(&mut self, what: impl FnMut(&mut Desk) -> Option<Channel>) {
        let broken: Vec<Channel> = self.desks.values_mut().filter_map(what).collect();
        self.busy = self.desks.keys().copied().collect();
        self.let_go(broken);
    }

    fn join(&mut self, joins: Joins) {
        let Joins {
            id,
            socket,
            channel,
            ready,
            listener,
            max_connections,
            sticks,
        } = joins;
        let known = self
            .desks
            .iter()
            .find(|(_, desk)| desk.socket.id == socket.id);
        let known = known.map(|(number, _)| *number);
        let number = known.or_else(|| self.open(Desk::new(socket, listener), sticks));
        let Some(number) = number else {
            return;
        };
        let its = Source::Channel(number, id);
        let token = self.source(its);
        let data = EventData::new_u64(token);
        if let Err(error) = epoll::add(&self.channels, &channel, data, EventFlags::IN) {
            tracing::error!("worker {id} can't be handed connections: {error}");
            self.sources.remove(&token);
            return;
        }
        // It may have another already, which was watched until now.
        self.sources
            .retain(|its_token, source| *source != its || *its_token == token);
        if let Some(desk) = self.desks.get_mut(&number) {
            desk.limit(max_connections);
            let before = desk.join(id, ready, channel);
            if let Some(sticks) = sticks {
                desk.lives(id, sticks.slot);
            }
            self.let_go(before);
        }
        self.is_busy(number);
    }

    /// Begins to accept for a socket.
    fn open(&mut self, desk: Desk, sticks: Option<Sticks>) -> Option<DeskNumber> {
        self.numbers += 1;
        let number = self.numbers;
        self.desks.insert(number, desk);
        let watched = self.watch_headers(number, sticks);
        match watched.and_then(|()| self.watch_listener(number)) {
            Ok(()) => Some(number),
            Err(error) => {
                self.give_up(number, &error);
                None
            }
        }
    }

    fn give_up(&mut self, number: DeskNumber, error: &io::Error) {
        if let Some(desk) = self.desks.get(&number) {
            tracing::error!(
                "{}: connections to the socket {:?} can't be handed over: {error}; workers accept for themselves",
                desk.socket.app,
                desk.socket.name
            );
            let id = desk.socket.id;
            self.forget(|desk| desk.socket.id == id);
        }
    }

    fn watch_headers(&mut self, number: DeskNumber, sticks: Option<Sticks>) -> io::Result<()> {
        let Some(sticks) = sticks else {
            return Ok(());
        };
        let data = EventData::new_u64(self.source(Source::Headers(number)));
        if let Some(desk) = self.desks.get_mut(&number) {
            let proxied = Proxied::new(sticks.header, desk.kind)?;
            epoll::add(&self.epoll, proxied.edges(), data, EventFlags::IN)?;
            desk.sticks(proxied);
        }
        Ok(())
    }

    fn watch_listener(&mut self, number: DeskNumber) -> io::Result<()> {
        let token = self.source(Source::Listener(number));
        let Some(desk) = self.desks.get_mut(&number) else {
            return Ok(());
        };
        rustix::io::ioctl_fionbio(&desk.listener, true)?;
        let (data, flags) = (EventData::new_u64(token), EventFlags::IN | EventFlags::ET);
        epoll::add(&self.epoll, &desk.listener, data, flags)?;
        desk.has_come();
        self.is_busy(number);
        Ok(())
    }

    fn mended(&mut self, socket: SocketId, listener: OwnedFd) {
        let desk = self
            .desks
            .iter_mut()
            .find(|(_, desk)| desk.socket.id == socket);
        let Some((number, desk)) = desk else {
            return;
        };
        let (number, old) = (*number, std::mem::replace(&mut desk.listener, listener));
        unwatch(&self.epoll, &old);
        self.sources
            .retain(|_, source| *source != Source::Listener(number));
        if let Err(error) = self.watch_listener(number) {
            self.give_up(number, &error);
        }
    }

    /// Lets go of sockets. What nobody has taken is closed, as what waits in the kernel will be; but workers that were let go of
    /// take what they were handed.
    fn forget(&mut self, which: impl Fn(&Desk) -> bool) {
        let mut gone = Vec::new();
        for (number, desk) in self.desks.iter_mut().filter(|(_, desk)| which(desk)) {
            // The description is others' too: closing ours would not end the watch.
            unwatch(&self.epoll, &desk.listener);
            gone.push((*number, desk.close()));
        }
        for (number, done) in gone {
            self.sources
                .retain(|_, source| *source != Source::Listener(number));
            if done {
                self.drop_desk(number);
            }
        }
    }

    fn drop_desk(&mut self, number: DeskNumber) {
        self.desks.remove(&number);
        self.sources.retain(|_, source| match source {
            Source::Listener(its) | Source::Headers(its) | Source::Channel(its, _) => {
                *its != number
            }
        });
    }

    fn serve(&mut self, now: Instant) {
        self.pace.full = false;
        let mut busy = std::mem::take(&mut self.busy);
        busy.retain(|number| {
            let Some(desk) = self.desks.get_mut(number) else {
                return false;
            };
            let broken = desk.serve(now);
            // A worker must make room before anything goes on.
            self.pace.full |= desk.is_full();
            let goes_on = desk.has_more() || desk.due().is_some();
            let is_done = desk.is_done();
            self.let_go(broken);
            if is_done {
                self.drop_desk(*number);
            }
            goes_on && !is_done
        });
        self.busy = busy;
    }

    fn is_busy(&mut self, number: DeskNumber) {
        if !self.busy.contains(&number) {
            self.busy.push(number);
        }
    }

    /// Closes channels that no desk has any more.
    fn let_go(&mut self, channels: impl IntoIterator<Item = Channel>) {
        let mut any = false;
        for channel in channels {
            unwatch(&self.channels, &channel);
            any = true;
        }
        if any {
            let desks = &self.desks;
            self.sources.retain(|_, source| match source {
                Source::Listener(_) | Source::Headers(_) => true,
                Source::Channel(number, id) => {
                    desks.get(number).is_some_and(|desk| desk.knows(*id))
                }
            });
        }
    }

    fn source(&mut self, source: Source) -> u64 {
        self.numbers += 1;
        self.sources.insert(self.numbers, source);
        self.numbers
    }
}

fn unwatch(epoll: &OwnedFd, what: impl AsFd) {
    if let Err(error) = epoll::delete(epoll, what) {
        tracing::debug!("it was not watched: {error}");
    }
}

/// An interrupted wait is a short one.
fn passing(waited: Result<usize, Errno>) -> io::Result<()> {
    match waited {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
