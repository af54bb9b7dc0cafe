//! A way to the hub that breaks: bytes pass in pieces of any length, stop for a while, or end in the middle of a frame.

use std::{io, path::Path, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::AbortHandle,
};

use crate::account::Dice;

/// A connection lasts this many pieces at most. With pieces of 4 KiB on average, that is some hundred thousand small events.
const PIECES: u64 = 3_000;

/// The longest time for which nothing passes.
const STALL: Duration = Duration::from_millis(400);

/// A proxy in front of the hub; gone when dropped.
pub(crate) struct Cutter(AbortHandle);

impl Cutter {
    pub(crate) fn start(path: &Path, hub: &Path, seed: u64) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let task = tokio::spawn(accept(listener, hub.to_owned(), Dice::new(seed)));
        Ok(Self(task.abort_handle()))
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: UnixListener, hub: PathBuf, mut dice: Dice) {
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = UnixStream::connect(&hub).await else {
            continue;
        };
        let (there, back) = (Dice::new(dice.roll()), Dice::new(dice.roll()));
        let (mut near_read, mut near_write) = near.into_split();
        let (mut far_read, mut far_write) = far.into_split();
        // One after the other: a client has one connection.
        tokio::select! {
            () = pass(&mut near_read, &mut far_write, there) => {}
            () = pass(&mut far_read, &mut near_write, back) => {}
        }
        // Both ends are dropped here, whatever was under way.
    }
}

/// Passes bytes on until either end does, or chance has it.
async fn pass(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut dice: Dice,
) {
    let mut buffer = vec![0; 16 << 10];
    for _ in 0..1 + dice.below(PIECES) {
        let most = 1 + dice.below(8 << 10) as usize;
        let count = match from.read(&mut buffer[..most]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        if dice.below(500) == 0 {
            tokio::time::sleep(STALL.mul_f64(dice.below(1_000) as f64 / 1e3)).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
