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

/// Writes what the queue gives: workers' standard output to `out` if there is one, all else to `err`. `render` turns an item
/// into bytes, as [`super::render_human`] does. A destination that fails (a full disk, a closed pipe) is tried again with what
/// comes next, and told then how many lines are missing there.
///
/// # Errors
/// If no thread can be started.
pub fn write_log(
    mut queue: LogReceiver,
    out: Option<impl Write + Send + 'static>,
    err: impl Write + Send + 'static,
    mut render: impl FnMut(&LogItem, &mut Vec<u8>) + Send + 'static,
) -> io::Result<LogWriter> {
    let (say_done, done) = oneshot::channel();
    let work = move || {
        let (mut out, mut err) = (out.map(Batch::new), Batch::new(err));
        let mut more = true;
        while more && let Some(first) = queue.blocking_recv() {
            let (mut next, mut length) = (Some(first), 0);
            while let Some(item) = next {
                let batch = match (&item, &mut out) {
                    (LogItem::Line(line), Some(out)) if line.stream == Stream::Stdout => {
                        &mut out.bytes
                    }
                    (LogItem::End, _) => {
                        more = false;
                        break;
                    }
                    (
                        LogItem::Line(_)
                        | LogItem::Lost { .. }
                        | LogItem::Unwritten { .. }
                        | LogItem::Own(_),
                        _,
                    ) => &mut err.bytes,
                };
                let before = batch.len();
                render(&item, batch);
                length += batch.len() - before;
                next = if length >= BATCH_BYTES {
                    None
                } else {
                    queue.try_recv()
                };
            }
            if let Some(out) = &mut out {
                out.flush(&mut render);
            }
            err.flush(&mut render);
        }
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
    /// Lines that could not be written since it last could.
    unwritten: u64,
    /// The last of what was written is no whole line.
    torn: bool,
}

impl<W: Write> Batch<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            bytes: Vec::new(),
            unwritten: 0,
            torn: false,
        }
    }

    fn flush(&mut self, render: &mut impl FnMut(&LogItem, &mut Vec<u8>)) {
        let count = self.unwritten;
        if count == 0 || self.write_note(&LogItem::Unwritten { count }, render) {
            let bytes = std::mem::take(&mut self.bytes);
            let written = self.write(&bytes);
            self.unwritten = lines(&bytes[written..]);
            self.bytes = bytes;
        } else {
            self.unwritten += lines(&self.bytes);
        }
        self.bytes.clear();
        // Whatever is wrong shows again in the next write.
        let _ = self.to.flush();
    }

    /// Whether it could be written.
    fn write_note(
        &mut self,
        note: &LogItem,
        render: &mut impl FnMut(&LogItem, &mut Vec<u8>),
    ) -> bool {
        let mut bytes = Vec::new();
        if self.torn {
            bytes.push(b'\n');
        }
        render(note, &mut bytes);
        self.write(&bytes) == bytes.len()
    }

    /// How many of them it could.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            match self.to.write(&bytes[done..]) {
                Ok(0) => break,
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::park_timeout(RETRY);
                }
                // There is no place left to say it.
                Err(_) => break,
            }
        }
        if let Some(last) = bytes[..done].last() {
            self.torn = *last != b'\n';
        }
        done
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::SystemTime,
    };

    use ostler_bus::{Generation, Slot, WorkerId};

    use super::*;
    use crate::{
        config::app::AppName,
        process::{Identity, OutputLine, line_queue, render_human},
    };

    /// A disk with room for so many bytes.
    #[derive(Clone, Debug, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Disk {
        fn give(&self, room: usize) {
            self.0.lock().expect("no panic").1 = room;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic").0.clone()).expect("text")
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (text, room) = &mut *self.0.lock().expect("no panic");
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let some = bytes.len().min(*room);
            text.extend_from_slice(&bytes[..some]);
            *room -= some;
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_and_told_in_their_place() {
        let disk = Disk::default();
        let mut batch = Batch::new(disk.clone());
        let mut say = |room: usize, text: &str| {
            disk.give(room);
            batch.bytes.extend_from_slice(text.as_bytes());
            batch.flush(&mut render_human);
        };
        say(100, "one\n");
        say(6, "two\nthree\nfour\n");
        say(0, "five\n");
        // Not even room for the note.
        say(5, "six\n");
        say(200, "seven\n");
        say(200, "eight\n");
        let text = disk.text();
        let note = "(4 lines lost here: the log could not be written)";
        let expected = format!("one\ntwo\nth\n(3 l\n{note}\nseven\neight\n");
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn one_destination_takes_both_streams_in_their_order() {
        let (queue, receiver) = line_queue(100, 1 << 20);
        let disk = Disk::default();
        disk.give(1000);
        let log = write_log(receiver, None::<io::Sink>, disk.clone(), render_human);
        for (number, stream) in [
            (1, Stream::Stdout),
            (2, Stream::Stderr),
            (3, Stream::Stdout),
        ] {
            queue.line(&line(number, stream), &mut 0);
        }
        queue.end().await;
        assert!(log.expect("a thread").finish(Duration::from_secs(20)).await);
        assert_eq!(disk.text(), "web.0 | 1\nweb.0 ! 2\nweb.0 | 3\n");
    }

    fn line(number: u64, stream: Stream) -> OutputLine {
        let worker = Identity {
            app: AppName::new("web").expect("a name"),
            slot: Slot(0),
            id: WorkerId(1),
            generation: Generation(1),
        };
        OutputLine {
            worker: Arc::new(worker),
            pid: 1,
            number,
            stream,
            at: SystemTime::UNIX_EPOCH,
            text: number.to_string().into(),
            cut: false,
        }
    }
}
