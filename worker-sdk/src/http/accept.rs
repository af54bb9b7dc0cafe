//! Taking connections from a listener that others may break.

use std::{io, time::Duration};

use rustix::io::Errno;
use tokio::time::Instant;

use super::connection::Stream;
use crate::Listener;

/// How long to wait when the process has no descriptor left for another connection, or the listener doesn't listen.
const AGAIN: Duration = Duration::from_millis(50);

/// How long a listener may not listen. Another worker may have shut it down for all; the master then opens it again, at
/// once. One that stays shut is given up, so that this worker ends and its successor gets a new one.
const SHUT: Duration = Duration::from_secs(2);

/// Takes connections.
#[derive(Debug)]
pub(super) struct Acceptor {
    /// `None` only while it is registered anew.
    listener: Option<Listener>,
    shut_since: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(listener: Listener) -> Self {
        Self {
            listener: Some(listener),
            shut_since: None,
        }
    }

    /// The next connection. May be dropped while it waits.
    ///
    /// # Errors
    /// If the listener can't be used any more.
    pub(super) async fn next(&mut self) -> io::Result<Stream> {
        loop {
            let Some(listener) = &self.listener else {
                return Err(io::Error::other("the listener was lost"));
            };
            match accept(listener).await {
                Ok(stream) => {
                    self.shut_since = None;
                    return Ok(stream);
                }
                Err(error) => self.wait_out(error).await?,
            }
        }
    }

    /// Errors of one connection are passed over, those that pass are waited out, all others are the listener's.
    async fn wait_out(&mut self, error: io::Error) -> io::Result<()> {
        match Errno::from_io_error(&error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                tracing::warn!("can't take a connection: {error}; trying again");
                tokio::time::sleep(AGAIN).await;
                Ok(())
            }
            Some(Errno::INVAL) if self.shut_since.is_none_or(|since| since.elapsed() < SHUT) => {
                self.shut_since.get_or_insert_with(Instant::now);
                tokio::time::sleep(AGAIN).await;
                self.register_anew()
            }
            Some(Errno::BADF | Errno::NOTSOCK | Errno::INVAL | Errno::OPNOTSUPP) => Err(error),
            Some(_) | None => Ok(()),
        }
    }

    /// The runtime remembers a hang-up for ever, and would try again without pause even when the socket listens again.
    fn register_anew(&mut self) -> io::Result<()> {
        self.listener = self
            .listener
            .take()
            .map(Listener::register_anew)
            .transpose()?;
        Ok(())
    }
}

async fn accept(listener: &Listener) -> io::Result<Stream> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            // Answers are written whole; waiting to fill a packet only delays them. It can fail only for a connection that
            // has ended already, and then that is found out soon enough.
            let _ended = stream.set_nodelay(true);
            Ok(Stream::Tcp(stream))
        }
        Listener::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
    }
}
