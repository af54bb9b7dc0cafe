//! How far the subscribers are, told beside the bus, so that the publisher can wait for the slowest.

use std::io::{self, Write};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::watch,
};

/// A subscriber reports each time it has read so many more; so many are published at a time.
pub(super) const STRIDE: u64 = 512;

/// Events the publisher may be ahead of the slowest: half of a subscription's queue.
const WINDOW: u64 = 32 << 10;

/// The same in bytes of payload.
const WINDOW_BYTES: u64 = 4 << 20;

/// Says how many events were read so far.
pub(super) fn tell(out: &mut impl Write, read: u64) -> io::Result<()> {
    out.write_all(&read.to_be_bytes())?;
    out.flush()
}

/// The publisher's side.
#[derive(Debug)]
pub(super) struct Credits {
    readers: Vec<watch::Receiver<u64>>,
    window: u64,
}

impl Credits {
    /// Hears the subscribers that report on `outputs`, for events of so many bytes; returns when all of them are ready.
    pub(super) async fn hear(
        outputs: Vec<impl AsyncRead + Unpin + Send + 'static>,
        bytes: usize,
    ) -> Result<Self, String> {
        let mut readers = Vec::new();
        for mut output in outputs {
            // Each says 0 once it has subscribed.
            output
                .read_u64()
                .await
                .map_err(|_| "a subscriber has failed")?;
            let (told, heard) = watch::channel(0);
            tokio::spawn(async move {
                while let Ok(read) = output.read_u64().await {
                    told.send_replace(read);
                }
            });
            readers.push(heard);
        }
        Ok(Self {
            readers,
            window: WINDOW.min(WINDOW_BYTES / bytes.max(1) as u64),
        })
    }

    /// Waits until so many more may be published, `published` being out.
    pub(super) async fn for_more(&mut self, published: u64) -> Result<(), String> {
        self.read((published + STRIDE).saturating_sub(self.window))
            .await
    }

    /// Waits until everybody has read so many.
    pub(super) async fn read(&mut self, events: u64) -> Result<(), String> {
        for reader in &mut self.readers {
            let there = reader.wait_for(|read| *read >= events).await;
            there.map_err(|_| "a subscriber has ended: it was too slow, or lost an event")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_slowest_holds_the_publisher_and_one_that_ends_stops_it() {
        let said = |reports: &[u64]| {
            let mut out = Vec::new();
            for read in reports {
                tell(&mut out, *read).unwrap();
            }
            io::Cursor::new(out)
        };
        let last = 10 * STRIDE;
        let both = vec![said(&[0, STRIDE, last]), said(&[0, last])];
        let mut credits = Credits::hear(both, 1024).await.unwrap();
        assert_eq!(credits.window, 4096);
        credits.for_more(0).await.unwrap();
        credits.read(last).await.unwrap();
        assert!(
            credits
                .read(last + 1)
                .await
                .unwrap_err()
                .contains("has ended")
        );
        let silent = Credits::hear(vec![said(&[])], 64).await;
        assert!(silent.unwrap_err().contains("failed"));
    }
}
