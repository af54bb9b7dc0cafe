//! What the master and a shim say to each other before the worker begins: the order, and what became of it.

use std::{io, os::fd::AsFd};

use tokio::{
    io::{AsyncReadExt, Interest},
    net::UnixStream,
};

use super::{
    Failure,
    spec::{ABOUT_TO_EXEC, FAILED, Order},
};

/// Longer answers are cut off: a [`Failure`] names one path or two.
const ANSWER_BYTES: u64 = 64 << 10;

/// What came of an order.
pub(super) enum Heard {
    /// The shim is the worker now.
    Started,
    /// It could not become the worker.
    Failure(Failure),
    /// It ended without a word.
    Nothing,
}

/// Gives a shim its order, and hears what came of it.
pub(super) async fn give(mut order: Order, channel: UnixStream) -> io::Result<Heard> {
    // Most orders fit the socket's buffer at once, or have gone ahead.
    let sent = match order.send(channel.as_fd()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let send = || order.send(channel.as_fd());
            channel.async_io(Interest::WRITABLE, send).await
        }
        sent => sent,
    };
    // A shim that is killed meanwhile breaks the pipe; what it said before, if anything, is in the answer. With any other error
    // it still waits.
    gone(sent)?;
    let mut answer = Vec::new();
    let read = channel.take(ANSWER_BYTES).read_to_end(&mut answer).await;
    let heard = hear(&answer)?;
    match heard {
        Heard::Nothing => gone(read.map(drop)).map(|()| heard),
        Heard::Started | Heard::Failure(_) => Ok(heard),
    }
}

fn hear(answer: &[u8]) -> io::Result<Heard> {
    let failure = match answer {
        [] => return Ok(Heard::Nothing),
        [ABOUT_TO_EXEC] => return Ok(Heard::Started),
        [ABOUT_TO_EXEC, FAILED, failure @ ..] | [FAILED, failure @ ..] => failure,
        [..] => return Err(io::ErrorKind::InvalidData.into()),
    };
    postcard::from_bytes(failure)
        .map(Heard::Failure)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// An error that only says that the shim is gone is no error here: how it ended says more.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
