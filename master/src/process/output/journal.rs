//! Lines for systemd's journal, by its native protocol: a datagram of fields for each line, and for one that is larger than a
//! datagram may be a sealed memory file that holds it.
//!
//! One thread sends what waits in a [queue](super::LineQueue), so that a journal that is slow delays nobody; it is started
//! with the first app that wants it. **A journal that isn't there, or takes nothing for a second, loses lines**: they are
//! counted, and that is said once, as is its coming back; on the bus they are all the same.

use std::{
    fs::File,
    io::{self, IoSlice, Write as _},
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::Mutex,
    thread,
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, SealFlags},
    io::Errno,
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
        SocketFlags, SocketType, sockopt,
    },
};
use tokio::sync::oneshot;

use super::{LineQueue, LogItem, LogReceiver, OutputLine, line_queue, queue::Stream};
use crate::process::Identity;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Names another place: for containers that have it elsewhere.
const ELSEWHERE: &str = "OSTLER_JOURNAL_SOCKET";

/// Lines and bytes that may wait for a journal that is slow.
const WAITING: (usize, usize) = (16_384, 4 << 20);

/// How long one line waits for a journal that takes none.
const PATIENCE: Duration = Duration::from_secs(1);

/// Standard output is information, standard error an error, unless a line says `<N>` itself.
const PRIORITIES: [char; 2] = ['6', '3'];

/// The way to the journal.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    queue: LineQueue,
    done: oneshot::Receiver<()>,
}

impl Journal {
    /// Where lines for it go.
    pub(super) fn queue(&self) -> io::Result<LineQueue> {
        let place = std::env::var_os(ELSEWHERE).map_or_else(|| SOCKET.into(), PathBuf::from);
        self.queue_to(place)
    }

    fn queue_to(&self, place: PathBuf) -> io::Result<LineQueue> {
        let mut running = super::files::lock(&self.0);
        if let Some(running) = &*running {
            return Ok(running.queue.clone());
        }
        let mut sender = Sender::new(place)?;
        let (queue, mut waiting) = line_queue(WAITING.0, WAITING.1);
        let (say_done, done) = oneshot::channel();
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                sender.send_all(&mut waiting);
                // Nobody may be waiting.
                let _ = say_done.send(());
            })?;
        *running = Some(Running {
            queue: queue.clone(),
            done,
        });
        Ok(queue)
    }

    /// Waits until all is sent that was printed before.
    pub(super) async fn finish(&self) {
        let running = super::files::lock(&self.0).take();
        if let Some(Running { queue, done }) = running {
            queue.end().await;
            // An error means the same: the thread is gone.
            let _ = done.await;
        }
    }
}

/// Sends lines.
#[derive(Debug)]
struct Sender {
    socket: OwnedFd,
    place: PathBuf,
    /// Lines lost since it could last be reached; `None` while it can.
    failed: Option<u64>,
}

impl Sender {
    fn new(place: PathBuf) -> io::Result<Self> {
        let kind = SocketType::DGRAM;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE))?;
        let mut this = Self {
            socket,
            place,
            failed: None,
        };
        if let Err(error) = std::fs::metadata(&this.place) {
            this.fail(&error, 0);
        }
        Ok(this)
    }

    fn send_all(&mut self, waiting: &mut LogReceiver) {
        let mut message = Vec::new();
        while let Some(item) = waiting.blocking_recv() {
            message.clear();
            match &item {
                LogItem::Line(line) => of_line(line, &mut message),
                LogItem::Lost { worker, count } => of_loss(worker, *count, &mut message),
                LogItem::Own(_) | LogItem::Unwritten { .. } => continue,
                LogItem::End => return,
            }
            match self.send(&message) {
                Ok(()) => self.reached(),
                Err(error) => self.fail(&error, 1),
            }
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        let to = SocketAddrUnix::new(&self.place)?;
        // It was waited for once.
        let flags = match self.failed {
            Some(_) => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            None => SendFlags::NOSIGNAL,
        };
        match rustix::net::sendto(&self.socket, message, flags, &to) {
            Ok(_) => Ok(()),
            Err(Errno::MSGSIZE | Errno::NOBUFS) => self.send_file(message, &to, flags),
            Err(error) => Err(error.into()),
        }
    }

    /// A file of its own that nobody can change any more: the journal takes no other.
    fn send_file(&self, message: &[u8], to: &SocketAddrUnix, flags: SendFlags) -> io::Result<()> {
        let how = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("line", how)?);
        file.write_all(message)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [file.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let nothing: [IoSlice<'_>; 0] = [];
        rustix::net::sendmsg_addr(&self.socket, to, &nothing, &mut control, flags)?;
        Ok(())
    }

    fn fail(&mut self, error: &io::Error, lines: u64) {
        if self.failed.is_none() {
            tracing::warn!(
                "no lines can be written to the journal at {}: {error}; workers' lines for it stay on the bus alone (`ostler logs`)",
                self.place.display()
            );
        }
        *self.failed.get_or_insert(0) += lines;
    }

    fn reached(&mut self) {
        if let Some(lost) = self.failed.take() {
            tracing::info!(
                "the journal at {} takes lines; {lost} were lost before",
                self.place.display()
            );
        }
    }
}

fn of_line(line: &OutputLine, out: &mut Vec<u8>) {
    let (stream, usual) = match line.stream {
        Stream::Stdout => ("stdout", PRIORITIES[0]),
        Stream::Stderr => ("stderr", PRIORITIES[1]),
    };
    let (priority, text) = priority(&line.text).unwrap_or((usual, &line.text));
    field("MESSAGE", text, out);
    field("PRIORITY", &priority.to_string(), out);
    field("SYSLOG_PID", &line.pid.to_string(), out);
    field("OSTLER_PID", &line.pid.to_string(), out);
    field("OSTLER_STREAM", stream, out);
    if line.cut {
        field("OSTLER_CUT", "1", out);
    }
    of_worker(&line.worker, out);
}

fn of_loss(worker: &Identity, count: u64, out: &mut Vec<u8>) {
    let text = format!("({count} lines lost here: they came faster than the journal takes them)");
    field("MESSAGE", &text, out);
    field("PRIORITY", "4", out);
    of_worker(worker, out);
}

fn of_worker(worker: &Identity, out: &mut Vec<u8>) {
    field("SYSLOG_IDENTIFIER", worker.app.as_str(), out);
    field("OSTLER_APP", worker.app.as_str(), out);
    field("OSTLER_SLOT", &worker.slot.to_string(), out);
    field("OSTLER_WORKER_ID", &worker.id.to_string(), out);
    field("OSTLER_GENERATION", &worker.generation.to_string(), out);
}

/// `<3>text`, as programs write it that know of the journal: the priority and the text.
fn priority(text: &str) -> Option<(char, &str)> {
    let (level, text) = text.strip_prefix('<')?.split_once('>')?;
    let mut digits = level.chars();
    let level = digits.next().filter(|digit| ('0'..='7').contains(digit))?;
    digits.next().is_none().then_some((level, text))
}

/// `NAME=value`, or where a value has line breaks, its length before it.
fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
