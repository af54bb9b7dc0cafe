//! What the thread waits on, and whose news each of it is.
//!
//! A listener tells of a connection once (edge-triggered): while no worker has room, whatever comes wakes nobody twice,
//! and waits in the kernel. A channel tells as long as there is something to read; channels are watched apart, so that words
//! can be left for later while connections come quickly.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
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

use super::DeskNumber;
use crate::sockets::balance::channel::Channel;

/// The tokens of the bell and of the beat; the others grow from the next one on and are never used twice.
pub(super) const BELL: u64 = 0;
pub(super) const BEAT: u64 = 1;

/// Told once for each that comes.
const ONCE: EventFlags = EventFlags::IN.union(EventFlags::ET);

/// Whose event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listener(DeskNumber),
    /// Connections of which more has come.
    Headers(DeskNumber),
    Channel(DeskNumber, WorkerId),
}

/// All that is waited for.
pub(super) struct Watch {
    /// The bell, the beat, the listeners and the headers.
    connections: OwnedFd,
    channels: OwnedFd,
    sources: HashMap<u64, Source>,
    /// The last token given.
    last: u64,
}

impl Watch {
    pub(super) fn new(bell: impl AsFd, beat: impl AsFd) -> io::Result<Self> {
        let connections = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&connections, bell, EventData::new_u64(BELL), EventFlags::IN)?;
        epoll::add(&connections, beat, EventData::new_u64(BEAT), ONCE)?;
        Ok(Self {
            connections,
            channels: epoll::create(CreateFlags::CLOEXEC)?,
            sources: HashMap::new(),
            last: BEAT,
        })
    }

    /// Whose event this token stands for, if they are watched still.
    pub(super) fn source(&self, token: u64) -> Option<Source> {
        self.sources.get(&token).copied()
    }

    /// Waits for anything but words.
    pub(super) fn connections(
        &self,
        events: &mut Vec<epoll::Event>,
        timeout: Option<&Timespec>,
    ) -> io::Result<()> {
        passing(epoll::wait(
            &self.connections,
            spare_capacity(events),
            timeout,
        ))
    }

    /// Waits for anything, and takes in what has come but words.
    pub(super) fn anything(
        &self,
        events: &mut Vec<epoll::Event>,
        timeout: Option<&Timespec>,
    ) -> io::Result<()> {
        let mut fds = [
            PollFd::new(&self.connections, PollFlags::IN),
            PollFd::new(&self.channels, PollFlags::IN),
        ];
        passing(poll(&mut fds, timeout))?;
        self.connections(events, Some(&Timespec::default()))
    }

    /// Takes in the words that are there.
    pub(super) fn words(&self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        passing(epoll::wait(
            &self.channels,
            spare_capacity(events),
            Some(&Timespec::default()),
        ))
    }

    /// From now on a desk's listener is watched.
    pub(super) fn listener(&mut self, desk: DeskNumber, listener: &OwnedFd) -> io::Result<()> {
        let token = self.token();
        epoll::add(&self.connections, listener, EventData::new_u64(token), ONCE)?;
        self.sources.insert(token, Source::Listener(desk));
        Ok(())
    }

    /// From now on the connections are watched whose headers a desk waits for.
    pub(super) fn headers(&mut self, desk: DeskNumber, edges: impl AsFd) -> io::Result<()> {
        let token = self.token();
        let data = EventData::new_u64(token);
        epoll::add(&self.connections, edges, data, EventFlags::IN)?;
        self.sources.insert(token, Source::Headers(desk));
        Ok(())
    }

    /// From now on a worker's channel is watched, and none that it had before.
    pub(super) fn channel(
        &mut self,
        desk: DeskNumber,
        id: WorkerId,
        channel: &Channel,
    ) -> io::Result<()> {
        let (its, token) = (Source::Channel(desk, id), self.token());
        let data = EventData::new_u64(token);
        epoll::add(&self.channels, channel, data, EventFlags::IN)?;
        self.sources.retain(|_, source| *source != its);
        self.sources.insert(token, its);
        Ok(())
    }

    /// A desk's listener is watched no longer. The description is others' too: closing ours would not end that.
    pub(super) fn drop_listener(&mut self, desk: DeskNumber, listener: &OwnedFd) {
        unwatch(&self.connections, listener);
        let its = Source::Listener(desk);
        self.sources.retain(|_, source| *source != its);
    }

    /// These channels are watched no longer; `knows`: whether a desk has one of this worker's still.
    pub(super) fn drop_channels(
        &mut self,
        channels: impl IntoIterator<Item = Channel>,
        knows: impl Fn(DeskNumber, WorkerId) -> bool,
    ) {
        let mut any = false;
        for channel in channels {
            unwatch(&self.channels, &channel);
            any = true;
        }
        if any {
            self.sources.retain(|_, source| match source {
                Source::Listener(_) | Source::Headers(_) => true,
                Source::Channel(desk, id) => knows(*desk, *id),
            });
        }
    }

    /// A desk is no more.
    pub(super) fn drop_desk(&mut self, desk: DeskNumber) {
        self.sources.retain(|_, source| match source {
            Source::Listener(its) | Source::Headers(its) | Source::Channel(its, _) => *its != desk,
        });
    }

    fn token(&mut self) -> u64 {
        self.last += 1;
        self.last
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
