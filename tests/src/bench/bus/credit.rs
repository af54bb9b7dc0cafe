//! How far the readers are, told beside the bus, so that the publisher can wait for the slowest.

use std::io::{Read, Write};

use tokio::sync::watch;

/// How many events the publisher may be ahead of the slowest reader: half of a subscription's queue.
const WINDOW: u64 = 32 << 10;

/// A reader reports each time it has read so many more.
const REPORT: u64 = 4 << 10;

/// A reader's word: so many were read, so many were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct Report {
    /// Read.
    pub read: u64,
    /// Told to be lost.
    pub lost: u64,
}

impl Report {
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.read.to_be_bytes());
        bytes[8..].copy_from_slice(&self.lost.to_be_bytes());
        bytes
    }

    pub(in crate::bench) fn from(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self {
            read: (both >> 64) as u64,
            lost: both as u64,
        }
    }
}

/// The reader's side.
#[derive(Debug)]
pub(in crate::bench) struct Reporter<W> {
    to: W,
    events: u64,
    step: u64,
    now: Report,
    due: u64,
}

impl<W: Write> Reporter<W> {
    /// Says that this reader is ready for so many events.
    pub(in crate::bench) fn new(to: W, events: u64) -> Result<Self, String> {
        Self::every(to, events, REPORT)
    }

    /// The same, to say each time that so many more were read.
    pub(in crate::bench) fn every(to: W, events: u64, step: u64) -> Result<Self, String> {
        let mut reporter = Self {
            to,
            events,
            step,
            now: Report::default(),
            due: step.min(events),
        };
        reporter.tell()?;
        Ok(reporter)
    }

    /// Counts; true once all have come or are lost.
    pub(in crate::bench) fn count(&mut self, read: u64, lost: u64) -> Result<bool, String> {
        self.now.read += read;
        self.now.lost += lost;
        let sum = self.now.read + self.now.lost;
        if sum >= self.due {
            self.tell()?;
            self.due = (sum + self.step).min(self.events);
        }
        Ok(sum >= self.events)
    }

    fn tell(&mut self) -> Result<(), String> {
        let told = self.to.write_all(&self.now.bytes());
        told.and_then(|()| self.to.flush())
            .map_err(|e| e.to_string())
    }
}

/// The publisher's side.
#[derive(Debug)]
pub(super) struct Credits {
    readers: Vec<watch::Receiver<Report>>,
    events: u64,
}

/// Watches the readers that report on `outputs`; returns when all of them are ready.
pub(super) fn watch(
    outputs: Vec<impl Read + Send + 'static>,
    events: u64,
) -> Result<Credits, String> {
    let mut readers = Vec::new();
    for mut output in outputs {
        let first = next(&mut output).ok_or("a reader has failed")?;
        let (told, reports) = watch::channel(first);
        std::thread::spawn(move || {
            while let Some(report) = next(&mut output) {
                told.send_replace(report);
            }
        });
        readers.push(reports);
    }
    Ok(Credits { readers, events })
}

fn next(output: &mut impl Read) -> Option<Report> {
    let mut bytes = [0; 16];
    output.read_exact(&mut bytes).ok()?;
    Some(Report::from(bytes))
}

impl Credits {
    /// Waits until the event with this number may be published.
    pub(super) async fn for_event(&self, number: u64) -> Result<(), String> {
        self.until(number.saturating_sub(WINDOW)).await
    }

    async fn until(&self, done: u64) -> Result<(), String> {
        for reader in &self.readers {
            let mut reader = reader.clone();
            let there = reader.wait_for(|report| report.read + report.lost >= done);
            there.await.map_err(|_| "a reader has ended too early")?;
        }
        Ok(())
    }

    /// Waits until every reader has read everything.
    pub(super) fn all_read(&self) -> Result<(), String> {
        futures::executor::block_on(self.until(self.events))?;
        let lost: u64 = self.readers.iter().map(|reader| reader.borrow().lost).sum();
        match lost {
            0 => Ok(()),
            lost => Err(format!("{lost} events were lost")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_and_losses_are_a_failure() {
        let report = Report {
            read: 1 << 40,
            lost: 7,
        };
        assert_eq!(Report::from(report.bytes()), report);
        let run = |lost| {
            let mut said = Vec::new();
            let mut reporter = Reporter::new(&mut said, REPORT + 2).unwrap();
            assert_eq!(reporter.count(REPORT, 0), Ok(false));
            assert_eq!(reporter.count(1, 0), Ok(false));
            assert_eq!(reporter.count(1 - lost, lost), Ok(true));
            assert_eq!(said.len(), 3 * 16);
            let credits = watch(vec![std::io::Cursor::new(said)], REPORT + 2).unwrap();
            futures::executor::block_on(credits.for_event(WINDOW + REPORT)).unwrap();
            credits.all_read()
        };
        assert_eq!(run(0), Ok(()));
        assert_eq!(run(1), Err("1 events were lost".into()));
    }
}
