//! Connections that wait while their clients have gone: whoever times out and tries again would otherwise use up the room of all.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::ioctl_fionread,
};

use super::{
    super::{connection::Connection, pool::Pool},
    peek::{Look, look},
};
use crate::{config::app::ProxyHeader, sockets::foreign::Kind};

/// How often they are looked for: a thousand are asked in some tenth of a millisecond.
pub(super) const EVERY: Duration = Duration::from_millis(50);

/// The end of what a client says, or of it.
const ENDED: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP);

/// Lets go of those that wait and have nobody behind them; how many.
pub(super) fn let_go(pool: &mut Pool<Connection>, kind: Kind, header: ProxyHeader) -> usize {
    let events = |connection| PollFd::new(connection, PollFlags::RDHUP);
    let mut fds: Vec<PollFd<'_>> = pool.nobodys().map(events).collect();
    if !matches!(poll(&mut fds, Some(&Timespec::default())), Ok(some) if some > 0) {
        return 0;
    }
    let gone = |fd: &PollFd<'_>| {
        let flags = fd.revents();
        let reset =
            flags.contains(PollFlags::ERR) || (kind == Kind::Tcp && flags.contains(PollFlags::HUP));
        reset || (flags.intersects(ENDED) && has_said_nothing(fd, header))
    };
    let gone: Vec<bool> = fds.iter().map(gone).collect();
    drop(fds);
    let before = pool.waiting();
    let mut gone = gone.into_iter();
    pool.keep(|| !gone.next().unwrap_or_default());
    before - pool.waiting()
}

/// Whether nothing is there but the header. One that has said something may have sent all it wants, and waits for the answer.
fn has_said_nothing(connection: impl AsFd, header: ProxyHeader) -> bool {
    let header = match (header, look(&connection)) {
        (ProxyHeader::Keep, Look::Whole(header)) => header.length as u64,
        (ProxyHeader::Keep | ProxyHeader::Strip, _) => 0,
    };
    ioctl_fionread(&connection).is_ok_and(|there| there <= header)
}

/// When it is time for that.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    next: Option<Instant>,
}

impl Rounds {
    /// Whether it is now, if it is needed at all.
    pub(super) fn begin(&mut self, needed: bool, now: Instant) -> bool {
        if !needed {
            self.next = None;
            return false;
        }
        let begins = self.next.is_none_or(|next| next <= now);
        if begins {
            self.next = Some(now + EVERY);
        }
        begins
    }

    /// When it is next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }
}
