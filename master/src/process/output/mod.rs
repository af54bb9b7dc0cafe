//! What a worker prints. Its pipes are read as soon as there is something in them and never wait for a consumer: a
//! worker whose pipe is full stops dead. Lines go into bounded queues, first of all to the master's log, which has a
//! thread of its own and is the only one that may block.

mod book;
mod files;
mod journal;
mod outlets;
mod queue;
mod render;
mod split;
mod stamp;
mod tail;
mod writer;

use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};

pub use book::{LineBook, SLOT_BYTES, Wanted as WantedLines};
pub use files::{FileSink, LogFiles};
pub use outlets::{Outlet, Outlets, Streams};
pub use queue::{LineQueue, LogItem, LogReceiver, OutputLine, Stream, line_queue};
pub use render::{render_human, render_json};
pub use split::LINE_BYTES;
pub(crate) use stamp::stamp;
pub use tail::TAIL_LINES;
use tokio::{net::unix::pipe, sync::oneshot, task::JoinHandle, time::Instant};
pub use writer::{LogWriter, write_log};

use self::{queue::Feed, split::Splitter, tail::Tail};
use super::Identity;

/// What one read takes at most. On the stack, so that an idle worker holds no buffer.
const READ_BYTES: usize = 16 << 10;

/// How much of what a pipe holds at a worker's end is read at once: Linux lets an unprivileged pipe hold 1 MiB.
const PIPE_BYTES: usize = 1 << 20;

/// A worker's output being read, until [`finish`](Self::finish). If it is dropped the worker is still read to its end.
#[derive(Debug)]
pub struct Output {
    exited: oneshot::Sender<Duration>,
    task: JoinHandle<OutputEnd>,
}

/// What is left of a worker's output after its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputEnd {
    /// Its last lines on standard error, oldest first: at most [`TAIL_LINES`], at most 8 KiB.
    pub stderr_tail: Vec<String>,
    /// How many lines found every queue's bound exceeded and were dropped, over all queues.
    pub lost: u64,
}

/// Begins to read the output of `worker`, which runs as `pid`. Each line goes to each of the outlets for its stream.
///
/// # Errors
/// If the descriptors are no pipes, or can't be watched.
pub fn capture(
    stdout: OwnedFd,
    stderr: OwnedFd,
    (worker, pid): (Arc<Identity>, u32),
    outlets: impl Into<Outlets>,
) -> io::Result<Output> {
    let stdout = pipe::Receiver::from_owned_fd(stdout)?;
    let stderr = pipe::Receiver::from_owned_fd(stderr)?;
    let (exited, hear_exit) = oneshot::channel();
    let reader = Reader {
        stdout: Some(Source::new(stdout, Stream::Stdout)),
        stderr: Some(Source::new(stderr, Stream::Stderr)),
        tail: Tail::default(),
        feed: Feed::new((worker, pid), outlets.into()),
    };
    let task = tokio::spawn(reader.run(hear_exit));
    Ok(Output { exited, task })
}

impl Output {
    /// The process has ended: reads what it has written, then for `grace` what its children still write, unless they
    /// close the pipes before. Not until their end: a grandchild that lives on may hold them for ever.
    pub async fn finish(self, grace: Duration) -> OutputEnd {
        // A reader that has seen both pipes end doesn't listen any more.
        let _ = self.exited.send(grace);
        self.task.await.unwrap_or_default()
    }
}

/// One pipe.
#[derive(Debug)]
struct Source {
    pipe: pipe::Receiver,
    stream: Stream,
    lines: Splitter,
}

impl Source {
    fn new(pipe: pipe::Receiver, stream: Stream) -> Self {
        Self {
            pipe,
            stream,
            lines: Splitter::default(),
        }
    }
}

impl Source {
    /// Asks the kernel even where the runtime knows of nothing to read: it may only not have looked yet.
    fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.pipe.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(rustix::io::read(&self.pipe, buffer)?)
            }
            read => read,
        }
    }
}

/// Whether a pipe has more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Perhaps,
    NotNow,
    Never,
}

#[derive(Debug)]
struct Reader {
    stdout: Option<Source>,
    stderr: Option<Source>,
    tail: Tail,
    feed: Feed,
}

impl Reader {
    async fn run(mut self, exited: oneshot::Receiver<Duration>) -> OutputEnd {
        let grace = tokio::select! {
            // If nobody will ever ask how it ended, the worker is read to its end all the same.
            Ok(grace) = exited => Some(grace),
            () = self.read_to_end() => None,
        };
        if let Some(grace) = grace {
            let until = Instant::now() + grace;
            self.read_what_is_there().await;
            // The grace over is not an error: somebody else holds the pipe. Or this process was not given the time.
            let _ = tokio::time::timeout_at(until, self.read_to_end()).await;
            self.read_what_is_there().await;
        }
        self.end()
    }

    /// Until both pipes have ended. Cancel-safe: what was read is kept.
    async fn read_to_end(&mut self) {
        loop {
            let stream = tokio::select! {
                Some(()) = readable(self.stdout.as_ref()) => Stream::Stdout,
                Some(()) = readable(self.stderr.as_ref()) => Stream::Stderr,
                else => return,
            };
            if self.read(stream) == More::Perhaps {
                // One worker's flood must not keep the master from the others.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Until both pipes would block; of a grandchild that writes without end, what pipes can hold.
    async fn read_what_is_there(&mut self) {
        for _ in 0..PIPE_BYTES / READ_BYTES {
            let more = [Stream::Stdout, Stream::Stderr].map(|stream| self.read(stream));
            if !more.contains(&More::Perhaps) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Reads once, without waiting.
    fn read(&mut self, stream: Stream) -> More {
        let place = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(source) = place else {
            return More::Never;
        };
        let mut buffer = [0; READ_BYTES];
        match source.take(&mut buffer) {
            Ok(length @ 1..) => {
                let Self { tail, feed, .. } = self;
                source.lines.push(&buffer[..length], |line, cut| {
                    take(stream, line, cut, tail, feed);
                });
                More::Perhaps
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => More::NotNow,
            // The end, or a pipe that can't be read any more.
            Ok(_) | Err(_) => {
                if let Some(line) = source.lines.rest() {
                    take(stream, &line, false, &mut self.tail, &mut self.feed);
                }
                *place = None;
                More::Never
            }
        }
    }

    fn end(mut self) -> OutputEnd {
        for mut source in [self.stdout.take(), self.stderr.take()]
            .into_iter()
            .flatten()
        {
            if let Some(line) = source.lines.rest() {
                take(source.stream, &line, false, &mut self.tail, &mut self.feed);
            }
        }
        OutputEnd {
            stderr_tail: self.tail.into_lines(),
            lost: self.feed.end(),
        }
    }
}

async fn readable(source: Option<&Source>) -> Option<()> {
    // An error shows again in the read.
    let _ = source?.pipe.readable().await;
    Some(())
}

fn take(stream: Stream, line: &[u8], cut: bool, tail: &mut Tail, feed: &mut Feed) {
    let text = String::from_utf8_lossy(line);
    if stream == Stream::Stderr {
        tail.push(&text);
    }
    feed.line(stream, &text, cut);
}
