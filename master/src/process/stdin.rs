//! Lines for a worker's standard input. They wait in a bounded queue for a worker that is slow to read; **overflow
//! policy: what doesn't fit is refused**, and whoever sent it is told.

use std::{io, os::fd::OwnedFd, sync::Arc};

use tokio::{
    io::{AsyncWriteExt, Interest},
    net::unix::pipe,
    sync::mpsc::{self, error::TrySendError},
};

/// The longest line, in bytes.
pub const STDIN_LINE: usize = 64 << 10;

/// Lines that may wait.
const WAITING: usize = 64;

/// Where lines are put in. Once the last clone is dropped the worker reads what is left, and then the end of its input:
/// unless [its end](Self::end) is held elsewhere.
#[derive(Clone, Debug)]
pub struct StdinLines {
    lines: mpsc::Sender<Vec<u8>>,
    write: Arc<OwnedFd>,
}

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// As many as may wait do so already.
    Full,
    /// The worker has closed its standard input.
    Closed,
}

impl StdinLines {
    /// A pipe's two ends: where lines go in, and what the worker reads. Call it inside a runtime.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = io::pipe()?;
        let end = Arc::new(write.try_clone()?.into());
        let mut write = pipe::Sender::from_owned_fd(write.into())?;
        let (sender, mut lines) = mpsc::channel::<Vec<u8>>(WAITING);
        tokio::spawn(async move {
            // It doesn't read any more: the queue ends with this task, and that is told to whoever sends next.
            loop {
                let line = tokio::select! {
                    line = lines.recv() => line,
                    _ = write.ready(Interest::ERROR) => None,
                };
                let Some(line) = line else { return };
                if write.write_all(&line).await.is_err() {
                    return;
                }
            }
        });
        let lines = Self {
            lines: sender,
            write: end,
        };
        Ok((lines, read.into()))
    }

    /// The end of the pipe that is written to: the worker's input has not ended while somebody holds it.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn end(&self) -> io::Result<OwnedFd> {
        self.write.try_clone()
    }

    /// Takes a line, which is given its ending.
    ///
    /// # Errors
    /// If the worker doesn't read.
    pub fn send(&self, line: &str) -> Result<(), NotTaken> {
        let line = [line.as_bytes(), b"\n"].concat();
        self.lines.try_send(line).map_err(|error| match error {
            TrySendError::Full(_) => NotTaken::Full,
            TrySendError::Closed(_) => NotTaken::Closed,
        })
    }
}
