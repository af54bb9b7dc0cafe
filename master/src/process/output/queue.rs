//! The bounded queues between workers' output and those who want it. **Overflow policy: the newest lines are dropped**,
//! counted, and said in the queue, in their place, as soon as there is room again ([`LogItem::Lost`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::mpsc;

use super::{Identity, Outlet, Outlets, Streams};

/// What a line weighs beside its text.
const LINE_OVERHEAD: usize = 96;

/// How long a reader that is done waits for room to say that lines were lost.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Which of a worker's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a worker printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLine {
    /// Who.
    pub worker: Arc<Identity>,
    /// Its process.
    pub pid: u32,
    /// Which line of this worker, of both streams, from 1 on.
    pub number: u64,
    /// Where.
    pub stream: Stream,
    /// When it was read.
    pub at: SystemTime,
    /// What, without its line ending; bytes that are no UTF-8 are replaced. Not escaped.
    pub text: Arc<str>,
    /// It goes on in the next line of this worker and stream: it was longer than [`super::LINE_BYTES`].
    pub cut: bool,
}

/// What a queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// A line.
    Line(OutputLine),
    /// Lines of this worker that were dropped here.
    Lost {
        /// Whose.
        worker: Arc<Identity>,
        /// How many.
        count: u64,
    },
    /// So many lines of anybody's were taken from the queue and could not be written here. Nobody queues it.
    Unwritten {
        /// How many.
        count: u64,
    },
    /// A line of the master's own, rendered already, with its newline.
    Own(Vec<u8>),
    /// Nothing follows.
    End,
}

impl LogItem {
    fn weight(&self) -> usize {
        match self {
            Self::Line(line) => line.text.len() + LINE_OVERHEAD,
            Self::Lost { .. } | Self::Unwritten { .. } | Self::End => LINE_OVERHEAD,
            Self::Own(line) => line.len() + LINE_OVERHEAD,
        }
    }
}

/// The end of a queue that lines are put into. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LineQueue {
    sender: mpsc::Sender<LogItem>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    max_bytes: usize,
    bytes: AtomicUsize,
    lost: AtomicU64,
    wanted: AtomicBool,
}

/// The end of a queue that lines are taken from.
#[derive(Debug)]
pub struct LogReceiver {
    receiver: mpsc::Receiver<LogItem>,
    shared: Arc<Shared>,
}

/// A queue bounded in lines and in bytes. The master's log is well served by 65,536 lines and 16 MiB: a burst of
/// 10,000 lines of any length up to 1.5 KiB is not lost even while the log's reader is stuck.
#[must_use]
pub fn line_queue(max_lines: usize, max_bytes: usize) -> (LineQueue, LogReceiver) {
    let (sender, receiver) = mpsc::channel(max_lines.max(1));
    let shared = Arc::new(Shared {
        max_bytes,
        bytes: AtomicUsize::new(0),
        lost: AtomicU64::new(0),
        wanted: AtomicBool::new(true),
    });
    let queue = LineQueue {
        sender,
        shared: Arc::clone(&shared),
    };
    (queue, LogReceiver { receiver, shared })
}

impl LineQueue {
    /// Whether lines are wanted at all; those that aren't are neither queued nor counted. At first they are.
    pub fn set_wanted(&self, wanted: bool) {
        self.shared.wanted.store(wanted, Ordering::Relaxed);
    }

    /// How many lines were dropped so far because the queue was full.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Puts in a line of the master's own. Without room it is dropped and counted, like any other.
    pub fn own_line(&self, line: Vec<u8>) {
        if !self.offer(vec![LogItem::Own(line)]) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has whoever writes the log look where it goes, even if there is nothing to write. Without room it is busy, and looks
    /// anyway.
    pub fn look(&self) {
        self.offer(vec![LogItem::Own(Vec::new())]);
    }

    /// Ends the log, behind everything that waits in it.
    pub async fn end(&self) {
        self.send(LogItem::End).await;
    }

    fn wanted(&self) -> bool {
        self.shared.wanted.load(Ordering::Relaxed)
    }

    /// Takes a line, and before it a note of those that were lost; false if there is no room.
    pub(super) fn line(&self, line: &OutputLine, untold: &mut u64) -> bool {
        if !self.wanted() {
            return true;
        }
        let note = (*untold > 0).then(|| lost(&line.worker, *untold));
        let line = LogItem::Line(line.clone());
        if self.offer(note.into_iter().chain([line]).collect()) {
            *untold = 0;
            return true;
        }
        *untold += 1;
        self.shared.lost.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Takes all of these or none: a note of loss without the line after it would only fill the queue with notes.
    fn offer(&self, items: Vec<LogItem>) -> bool {
        let weight = items.iter().map(LogItem::weight).sum();
        let before = self.shared.bytes.fetch_add(weight, Ordering::Relaxed);
        if before + weight <= self.shared.max_bytes
            && let Ok(permits) = self.sender.try_reserve_many(items.len())
        {
            permits
                .zip(items)
                .for_each(|(permit, item)| permit.send(item));
            return true;
        }
        self.shared.bytes.fetch_sub(weight, Ordering::Relaxed);
        false
    }

    async fn send(&self, item: LogItem) {
        self.shared
            .bytes
            .fetch_add(item.weight(), Ordering::Relaxed);
        // A receiver that is gone needs nothing.
        let _ = tokio::time::timeout(LAST_WORD, self.sender.send(item)).await;
    }
}

impl LogReceiver {
    /// The next item; `None` once every [`LineQueue`] is gone and all was taken.
    pub async fn recv(&mut self) -> Option<LogItem> {
        let item = self.receiver.recv().await?;
        Some(self.taken(item))
    }

    /// The same for a thread outside the runtime.
    pub fn blocking_recv(&mut self) -> Option<LogItem> {
        let item = self.receiver.blocking_recv()?;
        Some(self.taken(item))
    }

    /// The next item if there is one.
    pub fn try_recv(&mut self) -> Option<LogItem> {
        let item = self.receiver.try_recv().ok()?;
        Some(self.taken(item))
    }

    fn taken(&self, item: LogItem) -> LogItem {
        self.shared
            .bytes
            .fetch_sub(item.weight(), Ordering::Relaxed);
        item
    }
}

/// One worker's way to its outlets, with what it has yet to tell each of them.
#[derive(Debug)]
pub(super) struct Feed {
    worker: Arc<Identity>,
    pid: u32,
    label: Option<&'static str>,
    outlets: Vec<Fed>,
    lines: u64,
    lost: u64,
}

#[derive(Debug)]
struct Fed {
    to: Outlet,
    of: Streams,
    untold: u64,
}

impl Feed {
    pub(super) fn new((worker, pid): (Arc<Identity>, u32), outlets: Outlets) -> Self {
        let fed = |(to, of)| Fed { to, of, untold: 0 };
        Self {
            worker,
            pid,
            label: outlets.label(),
            outlets: outlets.into_iter().map(fed).collect(),
            lines: 0,
            lost: 0,
        }
    }

    pub(super) fn line(&mut self, stream: Stream, text: &str, cut: bool) {
        self.lines += 1;
        let line = OutputLine {
            worker: Arc::clone(&self.worker),
            pid: self.pid,
            number: self.lines,
            stream,
            at: SystemTime::now(),
            text: match self.label {
                Some(label) => format!("{label}: {text}").into(),
                None => text.into(),
            },
            cut,
        };
        for fed in self.outlets.iter_mut().filter(|fed| fed.of.has(stream)) {
            let taken = match &fed.to {
                Outlet::Queue(queue) => queue.line(&line, &mut fed.untold),
                // It tells itself what it lost.
                Outlet::File(file) => file.push(&line),
                Outlet::Book(book) => {
                    book.keep(&line);
                    true
                }
            };
            self.lost += u64::from(!taken);
        }
    }

    /// Says what was lost last, later if there is no room yet. Returns how much was lost in all.
    pub(super) fn end(self) -> u64 {
        for fed in self.outlets {
            if let Outlet::Queue(queue) = fed.to
                && fed.untold > 0
            {
                let item = lost(&self.worker, fed.untold);
                tokio::spawn(async move { queue.send(item).await });
            }
        }
        self.lost
    }
}

fn lost(worker: &Arc<Identity>, count: u64) -> LogItem {
    LogItem::Lost {
        worker: Arc::clone(worker),
        count,
    }
}
