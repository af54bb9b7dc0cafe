//! Connections that the master accepted and hands over.
//!
//! ```text
//!  master ── connections, as many as a window holds ──► queue ── taken: said to the master, then given to the app
//!         ◄── taken, refused, closed ──────────────────┘  └─ refused: this worker has as many as it may
//! ```
//! The master keeps its copy of each until it hears that it was taken; so what this process doesn't get to, because it
//! dies, drains or is full, others do. When the master has this worker drain, it says so and cuts the channel: from then
//! on nothing can be taken, whatever lies in the queue, and the master gives it to others at once.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, Shutdown, recvmsg, send,
        shutdown,
    },
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::{JoinHandle, coop},
    time::{Instant, sleep, sleep_until},
};

use super::{
    connection::{Connection, Stream},
    tally::{Open, Tally},
};
use crate::{
    handover::{Account, FromMaster, MasterWord, WINDOW, WorkerWord},
    sys,
};

const CONTROL: usize = rustix::cmsg_space!(ScmRights(WINDOW));

/// How long to wait when this process has no descriptor left for another connection.
const AGAIN: Duration = Duration::from_millis(50);

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A connection, this worker's own.
    Connection(Connection),
    /// Nothing more: this worker drains.
    Drained,
    /// Nothing more: the master has gone, or has given this up.
    Lost,
}

/// The worker's end of a channel.
#[derive(Debug)]
pub(super) struct Handed {
    channel: Arc<AsyncFd<OwnedFd>>,
    is_unix: bool,
    tally: Arc<Tally>,
    /// Handed over and not taken yet, in the master's order; `None` where this process had no descriptor for it.
    queue: VecDeque<Option<Stream>>,
    /// The master knows that connections are wanted, and how many.
    said: bool,
    /// The master has said that nothing more comes. To be remembered: whoever waits may be dropped and come again, and what it would
    /// find then is a channel that was cut, as by a master that is gone.
    ended: bool,
    /// Nothing is asked for before: there was no descriptor for another connection.
    not_before: Option<Instant>,
    /// Tells the master of closed connections while nobody waits for another.
    teller: Option<JoinHandle<()>>,
}

impl Handed {
    pub(super) fn new(channel: OwnedFd, is_unix: bool, tally: Arc<Tally>) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&channel, true)?;
        // None yet; but the master knows from now on that this worker will ask. There is room: it is the first word.
        let comes = WorkerWord::Take { limit: 0 }.encode();
        let _gone = send(&channel, &comes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        Ok(Self {
            // Not for room to write: whenever the master hears a word there is more of it, and each time this process would wake.
            channel: Arc::new(sys::watch(channel, Interest::READABLE)?),
            is_unix,
            tally,
            queue: VecDeque::with_capacity(WINDOW),
            said: false,
            ended: false,
            not_before: None,
            teller: None,
        })
    }

    /// The master is told the limit again.
    pub(super) fn say_again(&mut self) {
        self.said = false;
    }

    /// Whether connections may be on their way.
    pub(super) fn has_asked(&self) -> bool {
        self.teller.is_some()
    }

    /// The next connection. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> io::Result<Next> {
        while !self.ended {
            // So that a flood of connections lets those that are open go on.
            coop::consume_budget().await;
            if let Some(until) = self.not_before {
                sleep_until(until).await;
                self.not_before = None;
            }
            if !self.said {
                self.ask().await;
            }
            if self.queue.is_empty() {
                match self.receive().await? {
                    Received::Connections => {}
                    // The channel's end follows, and is not the master's.
                    Received::End => self.ended = true,
                    Received::Lost => return Ok(Next::Lost),
                }
            } else if self.tally.is_full() {
                self.refuse(self.queue.len()).await;
            } else if let Some(Some(_)) = self.queue.front() {
                let taken = self.account(1, 0).await;
                if let (true, Some(Some(stream))) = (taken, self.queue.pop_front()) {
                    let connection = Connection::new(stream, Open::count(&self.tally));
                    return Ok(Next::Connection(connection));
                }
            } else {
                self.refuse(1).await;
                self.not_before = Some(Instant::now() + AGAIN);
                self.said = false;
            }
        }
        Ok(Next::Drained)
    }

    /// Says that connections are wanted: only when the app first waits for one, or what is handed over would lie here.
    async fn ask(&mut self) {
        let limit = self.tally.most();
        // That nobody hears it any more is seen when it is received from.
        say(&self.channel, || WorkerWord::Take { limit }, drop).await;
        self.said = true;
        let (channel, tally) = (Arc::clone(&self.channel), Arc::clone(&self.tally));
        self.teller
            .get_or_insert_with(|| tokio::spawn(tell_of_closed(channel, tally)));
    }

    async fn refuse(&mut self, count: usize) {
        let refused = u32::try_from(count).unwrap_or(u32::MAX);
        self.account(0, refused).await;
        self.queue.drain(..count.min(self.queue.len()));
    }

    /// Gives account; false if the master takes none any more. What was handed over is then others'.
    async fn account(&mut self, taken: u32, refused: u32) -> bool {
        let said = account(&self.channel, &self.tally, taken, refused).await;
        if !said {
            self.queue.clear();
        }
        said
    }

    async fn receive(&mut self) -> io::Result<Received> {
        loop {
            let mut ready = self.channel.readable().await?;
            let mut bytes = FromMaster::default();
            let mut space = [MaybeUninit::uninit(); CONTROL];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let mut into = [IoSliceMut::new(&mut bytes)];
            let channel = self.channel.get_ref();
            let length = match recvmsg(channel, &mut into, &mut control, flags) {
                Ok(received) => received.bytes,
                Err(Errno::WOULDBLOCK) => {
                    ready.clear_ready();
                    continue;
                }
                // That the other end was closed with words unread is told once, and before what there is still to read.
                Err(Errno::INTR | Errno::CONNRESET) => continue,
                Err(_) => return Ok(Received::Lost),
            };
            let mut came: Vec<OwnedFd> = Vec::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    came.extend(rights);
                }
            }
            return Ok(match MasterWord::decode(&bytes[..length]) {
                Some(MasterWord::End) => Received::End,
                Some(MasterWord::Connections(count)) => {
                    let mut came = came.into_iter();
                    let streams = (0..count).map(|_| Stream::new(came.next()?, self.is_unix).ok());
                    self.queue.extend(streams);
                    Received::Connections
                }
                // The end, or a master that speaks otherwise.
                None => Received::Lost,
            });
        }
    }
}

impl Drop for Handed {
    /// The master sees at once that nothing more is taken here, and gives what lies in the queue to others.
    fn drop(&mut self) {
        let _gone = shutdown(self.channel.as_fd(), Shutdown::Both);
        if let Some(teller) = &self.teller {
            teller.abort();
        }
    }
}

/// What was received.
enum Received {
    Connections,
    End,
    Lost,
}

/// Says a word; false if nobody hears it any more. It is made anew for each try, and taken back if there was no room for
/// it: so this may be dropped while it waits.
async fn say(
    channel: &AsyncFd<OwnedFd>,
    mut word: impl FnMut() -> WorkerWord,
    mut take_back: impl FnMut(WorkerWord),
) -> bool {
    loop {
        let said = word();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(channel.get_ref(), &said.encode(), flags) {
            Ok(_) => return true,
            Err(Errno::WOULDBLOCK) => {
                take_back(said);
                if until_writable(channel).await.is_err() {
                    // No descriptor is left to wait with.
                    sleep(AGAIN).await;
                }
            }
            Err(Errno::INTR) => take_back(said),
            Err(_) => return false,
        }
    }
}

/// Waits for room in a channel that is full, as it is when the master doesn't get to hearing.
async fn until_writable(channel: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let copy = channel.as_fd().try_clone_to_owned()?;
    let watched = sys::watch(copy, Interest::WRITABLE)?;
    watched.writable().await.map(drop)
}

/// Gives account of what was taken and refused, and of what was closed meanwhile.
async fn account(channel: &AsyncFd<OwnedFd>, tally: &Tally, taken: u32, refused: u32) -> bool {
    let word = || {
        WorkerWord::Account(Account {
            taken,
            refused,
            closed: tally.take_closed(),
        })
    };
    let take_back = |word| {
        if let WorkerWord::Account(account) = word {
            tally.put_back(account.closed);
        }
    };
    say(channel, word, take_back).await
}

/// Tells the master of closed connections. One that takes another tells of them with it, which costs nothing: what
/// closed in one turn of the runtime is told at its end, by whichever comes first.
async fn tell_of_closed(channel: Arc<AsyncFd<OwnedFd>>, tally: Arc<Tally>) {
    loop {
        tally.something_closed().await;
        tokio::task::yield_now().await;
        if tally.has_closed() && !account(&channel, &tally, 0, 0).await {
            return;
        }
    }
}
