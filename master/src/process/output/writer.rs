//! The thread that writes the master's log. It alone may block: on a terminal that was stopped, on a pipe nobody reads.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{LogItem, LogReceiver, Stream};

/// What is collected before it is written, if more is there already.
const BATCH_BYTES: usize = 64 << 10;

/// How long to wait before a destination that is non-blocking and full is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// The log's thread.
#[derive(Debug)]
pub struct LogWriter {
    done: oneshot::Receiver<()>,
}

/// Writes what the queue gives: workers' standard output to `out`, their standard error and notes of loss to `err`.
/// `render` turns an item into bytes, as [`super::render_human`] does. A destination that fails (a full disk, a closed
/// pipe) is tried again with what comes next.
///
/// # Errors
/// If no thread can be started.
pub fn write_log(
    mut queue: LogReceiver,
    out: impl Write + Send + 'static,
    err: impl Write + Send + 'static,
    mut render: impl FnMut(&LogItem, &mut Vec<u8>) + Send + 'static,
) -> io::Result<LogWriter> {
    let (say_done, done) = oneshot::channel();
    let work = move || {
        let mut out = Batch::new(out);
        let mut err = Batch::new(err);
        'log: while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            while let Some(item) = next {
                let batch = match &item {
                    LogItem::Line(line) if line.stream == Stream::Stdout => &mut out.bytes,
                    LogItem::Line(_) | LogItem::Lost { .. } | LogItem::Own(_) => &mut err.bytes,
                    LogItem::End => break 'log,
                };
                render(&item, batch);
                let full = out.bytes.len() + err.bytes.len() >= BATCH_BYTES;
                next = if full { None } else { queue.try_recv() };
            }
            out.flush();
            err.flush();
        }
        out.flush();
        err.flush();
        // Nobody may be waiting.
        let _ = say_done.send(());
    };
    thread::Builder::new().name("log".into()).spawn(work)?;
    Ok(LogWriter { done })
}

impl LogWriter {
    /// Waits until all is written, which takes until every [`super::LineQueue`] is dropped, or one is ended. False if that took longer
    /// than `at_most`: the destination is stuck, and the rest is lost.
    pub async fn finish(self, at_most: Duration) -> bool {
        matches!(tokio::time::timeout(at_most, self.done).await, Ok(Ok(())))
    }
}

struct Batch<W> {
    to: W,
    bytes: Vec<u8>,
}

impl<W: Write> Batch<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            bytes: Vec::new(),
        }
    }

    fn flush(&mut self) {
        let mut bytes = self.bytes.as_slice();
        while !bytes.is_empty() {
            match self.to.write(bytes) {
                Ok(0) => break,
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::park_timeout(RETRY);
                }
                // There is no place left to say it; the next lines are tried again.
                Err(_) => break,
            }
        }
        self.bytes.clear();
        // As above.
        let _ = self.to.flush();
    }
}
