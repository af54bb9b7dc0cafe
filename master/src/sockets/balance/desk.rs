//! One socket: its listener, the channels of its workers, and the pool that decides.

mod listening;
mod sticky;

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use ostler_bus::{
    WorkerId,
    vocab::status::{BalanceStatus, BalancedWorker},
};
use ostler_worker_sdk::handover::{UNLIMITED, WorkerWord};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SocketFlags, accept_with},
};

use self::listening::Listening;
use super::{
    Served,
    channel::{Channel, Heard},
    connection::Connection,
    inbox::Begins,
    pool::Pool,
    proxied::Proxied,
};
use crate::{shortage::Told, sockets::foreign::Kind};

/// Connections accepted at once, before others have their turn.
const BATCH: usize = 64;

/// How long to wait when the system has no room for another connection.
const AGAIN: Duration = Duration::from_millis(50);

/// How long a worker that was let go of may take to take what it was handed: it needs no more than a turn of its own.
const LET_GO: Duration = Duration::from_secs(1);

/// A socket whose connections are handed over.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) socket: Served,
    pub(super) listener: OwnedFd,
    pub(super) kind: Kind,
    pool: Pool<Connection>,
    /// Members that listen and have not asked for connections.
    listening: Listening,
    /// Members stand otherwise than when that was last looked at.
    changed: bool,
    /// What more there is to it if its clients keep their slots.
    proxied: Option<Proxied>,
    channels: HashMap<WorkerId, Channel>,
    /// Workers that count as ready as soon as they ask for connections.
    probed: HashSet<WorkerId>,
    /// Workers that were let go of; until when they may take what they were handed.
    released: HashMap<WorkerId, Instant>,
    /// The socket has gone.
    closed: bool,
    /// There may be connections to accept.
    readable: bool,
    /// It was said just now that there are.
    told: bool,
    /// Nothing is accepted or sent until then.
    pause: Option<Instant>,
    /// It was said that nothing can be accepted.
    short: bool,
}

impl Desk {
    pub(super) fn new(socket: Served, listener: OwnedFd) -> Self {
        Self {
            socket,
            kind: Kind::of(&listener),
            listener,
            pool: Pool::new(UNLIMITED),
            listening: Listening::default(),
            changed: false,
            proxied: None,
            channels: HashMap::new(),
            probed: HashSet::new(),
            released: HashMap::new(),
            closed: false,
            readable: false,
            told: false,
            pause: None,
            short: false,
        }
    }

    /// So many connections each worker may have open from now on; `None`: any number.
    pub(super) fn limit(&mut self, most: Option<u32>) {
        self.pool.limit = most.unwrap_or(UNLIMITED);
    }

    /// A worker joins; if it did before, by a channel that is given back, what it has not taken by that is others'.
    #[must_use = "a channel is watched until it is let go of"]
    pub(super) fn join(
        &mut self,
        id: WorkerId,
        begins: Begins,
        channel: Channel,
    ) -> Option<Channel> {
        let before = self.part_with(id);
        self.pool.join(id, begins == Begins::Now);
        if begins == Begins::Asked {
            self.probed.insert(id);
        }
        self.channels.insert(id, channel);
        before
    }

    pub(super) fn ready(&mut self, id: WorkerId) {
        self.pool.ready(id);
        self.members_changed();
    }

    pub(super) fn knows(&self, id: WorkerId) -> bool {
        self.channels.contains_key(&id)
    }

    /// A connection has come, or a new listener.
    pub(super) fn has_come(&mut self) {
        self.readable = true;
        self.told = true;
    }

    /// Hears what a worker says; its channel if that has broken.
    #[must_use = "a channel is watched until it is let go of"]
    pub(super) fn hear(&mut self, id: WorkerId) -> Option<Channel> {
        let words = self.channels.get(&id)?.hear();
        for heard in words {
            let sound = match heard {
                Heard::Word(word) => self.take_in(id, word),
                Heard::Nonsense | Heard::End => false,
            };
            if !sound {
                if heard != Heard::End {
                    tracing::warn!(
                        "{}: worker {id} doesn't keep to the protocol of the socket {:?}: it is handed no more connections",
                        self.socket.app,
                        self.socket.name
                    );
                }
                return self.part_with(id);
            }
        }
        None
    }

    fn take_in(&mut self, id: WorkerId, word: WorkerWord) -> bool {
        match word {
            WorkerWord::Take { limit } => {
                self.pool.takes(id, limit);
                if limit > 0 && self.probed.remove(&id) {
                    self.pool.ready(id);
                }
                self.members_changed();
            }
            WorkerWord::Account(account) => return self.pool.account(id, account).is_ok(),
        }
        true
    }

    /// A worker that drains gets no more.
    pub(super) fn drain(&mut self, id: WorkerId) {
        self.pool.drain(id);
        self.members_changed();
    }

    /// A worker was let go of: it takes what it was handed, and accepts for itself then.
    pub(super) fn release(&mut self, id: WorkerId, now: Instant) {
        if self.knows(id) {
            self.pool.release(id);
            self.members_changed();
            self.released.insert(id, now + LET_GO);
        }
    }

    /// The socket has gone: nothing more is accepted. Whether nobody is to take anything any more.
    pub(super) fn close(&mut self) -> bool {
        self.closed = true;
        self.readable = false;
        self.is_done()
    }

    /// Whether its socket has gone, and nobody is to take anything any more.
    pub(super) fn is_done(&self) -> bool {
        self.closed && self.released.is_empty()
    }

    /// Parts with those whose time has come. Who drains is told so; who was let go of accepts for itself.
    fn part(&mut self, now: Instant) -> Vec<Channel> {
        let mut parting = self.pool.parting();
        let overdue = self.released.iter().filter(|(_, until)| **until <= now);
        parting.extend(overdue.map(|(id, _)| *id));
        let part = |id| {
            if !self.released.contains_key(&id) {
                self.channels.get(&id)?.end();
            }
            // Once, if both were so.
            self.part_with(id)
        };
        parting.into_iter().filter_map(part).collect()
    }

    /// Parts with a worker that is gone.
    #[must_use = "a channel is watched until it is let go of"]
    pub(super) fn part_with(&mut self, id: WorkerId) -> Option<Channel> {
        let channel = self.channels.remove(&id)?;
        self.released.remove(&id);
        self.probed.remove(&id);
        channel.cut();
        loop {
            let mut heard_more = false;
            for heard in channel.hear() {
                match heard {
                    Heard::Word(word) => heard_more |= self.take_in(id, word),
                    Heard::Nonsense => heard_more = true,
                    Heard::End => {
                        heard_more = false;
                        break;
                    }
                }
            }
            if !heard_more {
                break;
            }
        }
        self.pool.leave(id);
        self.members_changed();
        Some(channel)
    }

    /// Accepts as much as workers have room for, and hands it over; gives the channels that are done with.
    pub(super) fn serve(&mut self, now: Instant) -> Vec<Channel> {
        let mut broken = self.part(now);
        self.review(now);
        if self.pause.is_some_and(|until| now < until) {
            self.told = false;
            return broken;
        }
        self.pause = None;
        self.accept(now);
        loop {
            self.pool.deal();
            let lost = self.send(now);
            if lost.is_empty() {
                return broken;
            }
            for id in lost {
                broken.extend(self.part_with(id));
            }
            // Nobody tells of a channel that is not watched any more.
            self.review(now);
        }
    }

    /// Whether there is more to do already.
    pub(super) fn has_more(&self) -> bool {
        self.pause.is_none() && self.readable && self.room() > 0
    }

    /// Whether something waits for workers to make room.
    pub(super) fn is_full(&self) -> bool {
        self.room() == 0 || (self.proxied.is_some() && self.pool.waiting() > 0)
    }

    /// When to try again what could not be done, or to part with somebody.
    pub(super) fn due(&self) -> Option<Instant> {
        let released = self.released.values().copied();
        let late = self.proxied.as_ref().and_then(Proxied::due);
        let listening = self.listening.due();
        let others = self.pause.into_iter().chain(late).chain(listening);
        released.chain(others).min()
    }

    fn accept(&mut self, now: Instant) {
        let mut tries = match self.readable {
            true => self.room().min(BATCH),
            false => 0,
        };
        let mut told = std::mem::take(&mut self.told);
        while tries > 0 {
            tries -= 1;
            // Trying in vain costs several times as much as asking; and where a worker has set its listener to wait, it is long.
            if !std::mem::take(&mut told) && !is_readable(&self.listener) {
                self.readable = false;
                return;
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match accept_with(&self.listener, flags) {
                Ok(connection) => {
                    self.short = false;
                    self.arrived(connection, now);
                }
                // Shut down by a worker: whoever mends it says so.
                Err(Errno::WOULDBLOCK | Errno::INVAL) => {
                    self.readable = false;
                    return;
                }
                Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    if !std::mem::replace(&mut self.short, true) {
                        let (app, error) = (&self.socket.app, io::Error::from(error));
                        tracing::warn!(
                            "{app}: can't accept: {}; trying until it can",
                            Told(&error)
                        );
                    }
                    self.pause = Some(now + AGAIN);
                    return;
                }
                Err(error @ (Errno::BADF | Errno::NOTSOCK | Errno::OPNOTSUPP)) => {
                    tracing::error!("{}: can't accept: {error}", self.socket.app);
                    self.readable = false;
                    return;
                }
                // Of one connection that has gone already.
                Err(_) => {}
            }
        }
    }

    /// Sends what was dealt; gives the workers whose channels are broken.
    fn send(&mut self, now: Instant) -> Vec<WorkerId> {
        let mut outcomes = Vec::new();
        for (id, connections) in self.pool.unsent() {
            let connections: Vec<BorrowedFd<'_>> = connections.map(AsFd::as_fd).collect();
            let channel = self.channels.get(&id);
            let sent = channel.map_or(Err(Errno::PIPE), |c| c.hand_over(&connections));
            outcomes.push((id, sent));
        }
        let mut lost = Vec::new();
        for (id, sent) in outcomes {
            match sent {
                Ok(()) => self.pool.sent(id),
                Err(
                    Errno::WOULDBLOCK
                    | Errno::NOBUFS
                    | Errno::NOMEM
                    | Errno::TOOMANYREFS
                    | Errno::INTR,
                ) => {
                    self.pool.not_sent(id);
                    self.pause = Some(now + AGAIN);
                }
                Err(_) => {
                    self.pool.not_sent(id);
                    lost.push(id);
                }
            }
        }
        lost
    }

    /// How things stand.
    pub(super) fn status(&self) -> BalanceStatus {
        BalanceStatus {
            proxied: self.proxied.as_ref().map(Proxied::status),
            accepted: self.pool.accepted,
            given_again: self.pool.given_again,
            refused: Some(self.pool.refused),
            waiting: self.pool.waiting() as u64,
            workers: self
                .pool
                .members()
                .filter(|member| member.has_asked())
                .map(|member| BalancedWorker {
                    id: member.id,
                    open: member.open,
                    handed: member.handed() as u32,
                    taken: member.taken,
                    refused: Some(member.refused),
                    max_connections: member.limit(self.pool.limit),
                })
                .collect(),
        }
    }
}

/// Whether there is a connection to accept, or what else `accept` would tell.
fn is_readable(listener: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())) != Ok(0)
}
