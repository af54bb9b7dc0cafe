//! Taking connections from a listener that others may break.
//!
//! The runtime's own `accept` can't be used: it remembers a hang-up for ever, and on a socket that was shut down by one
//! process and opened again by another would try again without pause, and without letting any other task run.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno,
    net::{SocketFlags, accept_with},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::coop,
    time::Instant,
};

use super::connection::Stream;
use crate::{accepted::AcceptCounter, sys};

/// How long to wait when the process has no descriptor left for another connection, or the listener doesn't listen.
const AGAIN: Duration = Duration::from_millis(50);

/// How long a listener may not listen. Another worker may have shut it down for all; the master then opens it again, at
/// once. One that stays shut is given up, so that this worker ends and its successor gets a new one.
const SHUT: Duration = Duration::from_secs(2);

/// Takes connections.
#[derive(Debug)]
pub(super) struct Direct {
    /// Not watched yet: every connection would wake this process, though others accept it.
    unwatched: Option<OwnedFd>,
    /// `None` until it is watched, and while it is registered anew.
    socket: Option<AsyncFd<OwnedFd>>,
    is_unix: bool,
    shut_since: Option<Instant>,
    /// So that the master hears how many these are.
    counter: Option<AcceptCounter>,
}

impl Direct {
    /// Over a listening socket that doesn't block.
    pub(super) fn new(listener: OwnedFd, is_unix: bool) -> Self {
        Self {
            unwatched: Some(listener),
            socket: None,
            is_unix,
            shut_since: None,
            counter: None,
        }
    }

    /// Has what it takes counted.
    pub(super) fn count_with(&mut self, counter: AcceptCounter) {
        self.counter = Some(counter);
    }

    /// The next connection. May be dropped while it waits.
    ///
    /// # Errors
    /// If the listener can't be used any more.
    pub(super) async fn next(&mut self) -> io::Result<Stream> {
        if let Some(listener) = self.unwatched.take() {
            self.socket = Some(sys::watch(listener, Interest::READABLE)?);
            if let Some(counter) = &mut self.counter {
                counter.begin();
            }
        }
        loop {
            // So that a flood of connections lets those that are open go on.
            coop::consume_budget().await;
            let Some(socket) = &self.socket else {
                return Err(io::Error::other("the listener was lost"));
            };
            let mut ready = socket.readable().await?;
            match accept_with(
                socket.get_ref(),
                SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            ) {
                Ok(connection) => {
                    self.shut_since = None;
                    if let Some(counter) = &self.counter {
                        counter.count();
                    }
                    match Stream::new(connection, self.is_unix) {
                        Ok(stream) => return Ok(stream),
                        Err(error) => tracing::debug!("a connection was lost: {error}"),
                    }
                }
                Err(Errno::WOULDBLOCK) if ready.ready().is_read_closed() => {
                    self.shut_since = None;
                    self.register_anew()?;
                }
                Err(Errno::WOULDBLOCK) => ready.clear_ready(),
                Err(error) => self.wait_out(error).await?,
            }
        }
    }

    /// Errors of one connection are passed over, those that pass are waited out, all others are the listener's.
    async fn wait_out(&mut self, error: Errno) -> io::Result<()> {
        match error {
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {
                tracing::warn!("can't take a connection: {error}; trying again");
                tokio::time::sleep(AGAIN).await;
                Ok(())
            }
            Errno::INVAL if self.shut_since.is_none_or(|since| since.elapsed() < SHUT) => {
                self.shut_since.get_or_insert_with(Instant::now);
                tokio::time::sleep(AGAIN).await;
                self.register_anew()
            }
            Errno::INVAL => Err(io::Error::other(
                "another process has called shutdown on the listening socket, and nobody opened it again",
            )),
            Errno::BADF | Errno::NOTSOCK | Errno::OPNOTSUPP => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Forgets the hang-up.
    fn register_anew(&mut self) -> io::Result<()> {
        if let Some(registered) = self.socket.take() {
            self.socket = Some(sys::watch(registered.into_inner(), Interest::READABLE)?);
        }
        Ok(())
    }
}
