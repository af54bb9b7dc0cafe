//! Waits for a connection that takes its output slowly, and writes it as it does.

use std::{io, time::Duration};

use tokio::time::timeout;

use super::{
    core::Output,
    shell::{Link, Shell},
};

/// How long after a peer was slow it may well be slow again.
const SLOW: Duration = Duration::from_secs(1);

/// Writes whatever could not be written at once, until writing fails.
pub(super) async fn write(shell: &Shell, link: &Link) -> String {
    loop {
        if link.stream.is_watched_for_room() {
            // Boxed, as the drain is: most connections never need them.
            if Box::pin(timeout(SLOW, link.wake_writer.rung()))
                .await
                .is_err()
            {
                link.stream.forget_room();
                continue;
            }
        } else {
            link.wake_writer.rung().await;
        }
        if let Err(e) = Box::pin(drain(shell, link)).await {
            return format!("writing failed: {e}");
        }
    }
}

/// Writes all that waits for the connection.
pub(super) async fn drain(shell: &Shell, link: &Link) -> io::Result<()> {
    link.writer_busy.set(true);
    loop {
        if let Some(e) = link.broken.take() {
            return Err(e);
        }
        // In hand while waiting, and put back at once: whoever looks sees nothing of a frame half written.
        let mut rest = link.rest.take();
        let written = write_all(link, &mut rest).await;
        rest.reset();
        link.rest.replace(rest);
        written?;
        link.wake_reader.ring();
        if !shell.refill(link) {
            break;
        }
    }
    // An idle connection holds no buffer.
    link.rest.replace(Output::default());
    link.writer_busy.set(false);
    link.wake_reader.ring();
    Ok(())
}

async fn write_all(link: &Link, rest: &mut Output) -> io::Result<()> {
    while !rest.is_empty() {
        match link.stream.write(&rest.slices()).await {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => rest.advance(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
