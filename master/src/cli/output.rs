//! Standard output: data alone, and a quiet end when nobody reads on (`ostler tail | head -1`).

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
};

use tokio::io::Interest;

use super::error::{CliError, Exit};
use crate::sys;

/// Prints a text, to the last byte. A reader that has gone has had enough: that is no failure.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    match write_now(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(&error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether standard output is still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// It took everything.
    Reads,
    /// It has gone.
    Gone,
}

/// Prints a text while the runtime goes on: a reader that doesn't read must not keep Ctrl-C from being heard.
pub(crate) async fn print_later(text: String) -> Result<Reader, CliError> {
    let written = tokio::task::spawn_blocking(move || write_now(&text)).await;
    match written.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(unwritable(&error)),
    }
}

/// Waits until nobody can read standard output any more; for ever where that can't be told (files, terminals).
pub(crate) async fn reader_gone() {
    let watched = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|out| sys::watch_fd(out, Interest::ERROR));
    match watched {
        Ok(out) => drop(out.ready(Interest::ERROR).await),
        Err(_) => std::future::pending().await,
    }
}

fn write_now(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn unwritable(error: &io::Error) -> CliError {
    CliError::new(Exit::Failed, "can't write to standard output").because(error)
}
