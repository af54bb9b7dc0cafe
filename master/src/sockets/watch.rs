//! A worker that calls `shutdown` on a shared listener closes it for all. The kernel says so at once, and costs nothing
//! until then: the watch asks for a readiness that no listener has and no connection announces, so connections don't wake
//! it. (The kernel announces a connection as something to read *and* as priority data: who asks for the latter sleeps on
//! only after it has looked.)

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{Interest, unix::AsyncFd};

use crate::sys::watch_fd;

/// Whether a listener has been shut down.
#[must_use]
pub fn listener_is_dead(fd: BorrowedFd<'_>) -> bool {
    let closed = PollFlags::HUP | PollFlags::RDHUP;
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::RDHUP)];
    let now = Timespec::default();
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(closed)
}

/// Tells when a listener is shut down. Once: after that a new watch is needed.
#[derive(Debug)]
pub struct ListenerWatch(AsyncFd<OwnedFd>);

impl ListenerWatch {
    /// Watches a duplicate of a listener.
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn new(listener: OwnedFd) -> io::Result<Self> {
        // A listener is never writable; a hang-up is told whatever is asked for.
        watch_fd(listener, Interest::WRITABLE).map(Self)
    }

    /// Waits until the listener is shut down.
    ///
    /// # Errors
    /// If the runtime is going away.
    pub async fn died(self) -> io::Result<()> {
        self.0.ready(Interest::WRITABLE).await.map(drop)
    }
}
