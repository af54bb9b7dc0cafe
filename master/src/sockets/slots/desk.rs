//! One socket: the listeners of its slots, the group that decides, and what the kernel was told last.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use ostler_bus::{Slot, vocab::status::SlotShare};
use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    net::sockopt,
};

use super::{
    group::{Group, Spread},
    inbox::{InGroup, SlotReport},
    pace::{Next, Pace, Seen},
    program::{Choice, compile},
};
use crate::{
    config::app::{AppName, socket::SocketKind},
    fleet::Service,
    sockets::{
        SocketId,
        queue::{self, Queue},
    },
    sys,
};

/// A socket of which each slot has its own.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) app: AppName,
    pub(super) name: String,
    /// What it carries.
    kind: SocketKind,
    group: Group,
    listeners: BTreeMap<SocketId, OwnedFd>,
    /// Readable once a connection has come to one of the listeners.
    pub(super) edges: OwnedFd,
    pace: Pace,
    /// When to look at the queues; `None`: when a connection comes.
    pub(super) due: Option<Instant>,
    /// What the kernel was told last.
    told: Option<Choice>,
    /// It did not take that.
    refused: bool,
}

impl Desk {
    /// For the group that this listener is to begin.
    pub(super) fn of(it: &InGroup) -> io::Result<Self> {
        Ok(Self {
            app: it.app.clone(),
            name: it.name.clone(),
            kind: it.kind,
            group: Group::new(it.spread),
            listeners: BTreeMap::new(),
            edges: epoll::create(CreateFlags::CLOEXEC)?,
            pace: Pace::default(),
            due: None,
            told: None,
            refused: false,
        })
    }

    pub(super) fn join(&mut self, it: InGroup) -> io::Result<()> {
        let before = self.group.join(it.id, it.slot.0);
        let listener = match before.and_then(|id| self.listeners.remove(&id)) {
            // The same one, which is watched.
            Some(kept) => kept,
            None => {
                let (data, flags) = (EventData::new_u64(0), EventFlags::IN | EventFlags::ET);
                epoll::add(&self.edges, &it.listener, data, flags)?;
                it.listener
            }
        };
        self.listeners.insert(it.id, listener);
        Ok(())
    }

    pub(super) fn knows(&self, id: SocketId) -> bool {
        self.listeners.contains_key(&id)
    }

    pub(super) fn spread(&mut self, spread: Spread) {
        self.group.spread = spread;
    }

    pub(super) fn stand(&mut self, size: u32, services: &[Service]) {
        self.group.stand(size, services);
    }

    pub(super) fn shut(&mut self, ids: &[SocketId]) {
        self.moves(|group| group.shut_down(ids));
    }

    pub(super) fn mended(&mut self, id: SocketId, meanwhile: &[SocketId]) {
        self.moves(|group| group.listens_again(id, meanwhile));
    }

    pub(super) fn part(&mut self, id: SocketId) {
        self.moves(|group| group.part(id));
        if let Some(listener) = self.listeners.remove(&id) {
            // The description is its workers' too: closing ours would not end the watch.
            if let Err(error) = epoll::delete(&self.edges, &listener) {
                tracing::debug!("it was not watched: {error}");
            }
        }
    }

    /// The kernel has listeners in other places by this.
    fn moves(&mut self, how: impl FnOnce(&mut Group)) {
        let before = self.group.unsure();
        how(&mut self.group);
        self.told = None;
        let unsure = self.group.unsure();
        if !unsure.is_subset(&before) {
            tracing::error!(
                "{}: workers have called shutdown on several slots' sockets {:?} at once, and in which order is not known: the kernel may have those of the slots {unsure:?} \
                 in each other's places. So they get connections together: while one of them is to be left out all are, unless no other slot is there; \
                 hint: a worker that wants no more connections must close its descriptor instead. With one slot (`ostler scale`) all is known again",
                self.app,
                self.name
            );
        }
    }

    pub(super) fn keep(&mut self, id: SocketId) {
        self.group.keep(id);
    }

    /// Nothing is known of the slots any more: all that are in use are chosen from.
    pub(super) fn let_go(&mut self) {
        self.group.stand(u32::MAX, &[]);
        self.direct();
    }

    /// A connection has come.
    pub(super) fn came(&mut self, now: Instant) {
        if self.watches() {
            self.due = Some(self.pace.came(now));
        }
    }

    /// Whether queues are looked at.
    pub(super) fn watches(&self) -> bool {
        self.group.looks_at_queues()
    }

    /// Looks at the queues.
    pub(super) fn look(&mut self, now: Instant) -> io::Result<()> {
        // First: what comes after that is told again.
        self.forget_edges()?;
        let length = |listener: &OwnedFd| queue::length(listener.as_fd(), self.kind);
        let members = self.group.members().iter();
        let listeners = members.map(|member| self.listeners.get(&member.id));
        let queues: Vec<Queue> = listeners
            .map(|listener| listener.map(length).unwrap_or_default())
            .collect();
        let changed = self.group.measured(&queues);
        let seen = match (self.group.is_empty(), changed) {
            (true, _) => Seen::Empty,
            (false, true) => Seen::Changed,
            (false, false) => Seen::Same,
        };
        self.due = match self.pace.seen(now, seen) {
            Next::At(next) => Some(next),
            Next::AtConnection => None,
        };
        Ok(())
    }

    fn forget_edges(&self) -> io::Result<()> {
        let mut events = [const {
            Event {
                flags: EventFlags::empty(),
                data: EventData::new_u64(0),
            }
        }; 64];
        let now = Timespec::default();
        // Each listener is told once, so there is an end to it.
        while epoll::wait(&self.edges, &mut events[..], Some(&now))? == events.len() {}
        Ok(())
    }

    /// Tells the kernel whom to choose from, if that is not what it was told.
    pub(super) fn direct(&mut self) {
        let choice = self.group.choice();
        if choice.is_none() || choice == self.told {
            return;
        }
        let members = self.group.members().iter();
        let mut listeners = members.filter_map(|member| self.listeners.get(&member.id));
        // One that a worker has just shut down would begin a group of its own by being told, and could then never listen again.
        let listens = |it: &&OwnedFd| match self.kind {
            SocketKind::Stream | SocketKind::Seqpacket => {
                sockopt::socket_acceptconn(it).unwrap_or(false)
            }
            SocketKind::Datagram => true,
        };
        let (Some(choice), Some(listener)) = (choice, listeners.find(listens)) else {
            return;
        };
        match sys::choose_by(listener.as_fd(), &compile(&choice)) {
            Ok(()) => self.refused = false,
            Err(error) if !self.refused => {
                self.refused = true;
                tracing::error!(
                    "{}: the kernel does not take what is to choose among the slots of the socket {:?}: {error}; it goes on as before",
                    self.app,
                    self.name
                );
            }
            Err(_) => {}
        }
        self.told = Some(choice);
    }

    /// How things stand with each listener.
    pub(super) fn report(&self) -> Vec<SlotReport> {
        let all = self.group.report().into_iter();
        let report = all.map(|(member, buckets, left_out)| SlotReport {
            app: self.app.clone(),
            name: self.name.clone(),
            slot: Slot(member.slot),
            share: SlotShare {
                left_out: left_out.map(|why| why.in_words().to_owned()),
                buckets,
                longest: member.longest,
                times_long: member.times_long,
            },
        });
        report.collect()
    }
}

#[cfg(test)]
mod datagrams;
#[cfg(test)]
mod tests;
