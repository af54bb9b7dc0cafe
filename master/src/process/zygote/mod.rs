//! The **zygote**: this program once more, small and with one thread, that copies itself whenever a worker is to be started.
//!
//! A shim that is executed maps, links and sets up the whole program, which takes longer than all the rest of a worker's
//! start. A copy of a process that has just begun has all of that already.
//!
//! ```text
//! master ── channel, stdout, stderr ──► zygote ── twin ──► shim, the master's own child
//!    │ ◄──────────── pidfd ───────────────────────────────── │
//!    └── order ────────────────────────────────────────────► │ ── exec ──► worker
//! ```
//!
//! The copy is the zygote's sibling: the master watches and reaps it as if it had executed it itself. It tells the master who
//! it is before it listens to anybody, so whoever is not known is no worker and never becomes one.
//!
//! What a worker takes over from the master, it takes over from the zygote: so the copy looks whether the master is still
//! [like](likeness) the zygote was when it began. If not, or if there is no answer in time, the zygote is [replaced](place).

mod birth;
mod likeness;
mod main;
mod place;

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::Path,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::{io::Interest, net::UnixStream, sync::Semaphore, time::timeout};

use self::birth::Word;
use super::{
    Child,
    child::Unfinished,
    spawner::{Ours, Pipes, Shim, this_program},
};
use crate::sys;

pub use self::main::{ZYGOTE_COMMAND, zygote_main};
pub(super) use self::place::Place;

/// A zygote that has not answered after this long is killed: somebody has stopped it. It answers within a millisecond.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How many copies it is asked for at once: so many words fit its socket, whatever the system's settings. Others wait.
const AT_ONCE: usize = 64;

/// A living zygote. It ends when this is dropped, and by itself when the master has gone.
#[derive(Debug)]
pub(super) struct Zygote {
    process: Arc<Child>,
    control: OwnedFd,
    places: Semaphore,
}

/// Why there is no copy, and what that says of the zygote.
#[derive(Debug)]
pub(super) enum NoTwin {
    /// There is a shortage of something; the zygote may well serve next time.
    Shortage(io::Error),
    /// It has gone, hangs, or is not like the master any more: the next one may serve.
    Replace(io::Error),
    /// It can't be done here.
    Never(io::Error),
}

impl Zygote {
    /// Starts one; `program` is as for [`super::Spawner::new`]. It is reaped when it ends, and then `gone` is called.
    pub(super) fn start(
        program: &Path,
        ours: Ours,
        gone: impl FnOnce(u32) + Send + 'static,
    ) -> io::Result<Self> {
        let (control, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::io::ioctl_fionbio(&control, true)?;
        let mut command = this_program(program, ZYGOTE_COMMAND);
        command
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Arc::new(Child::run(command, ours)?);
        // It has no kin: a copy that has told who it is lives on, and one that hasn't finds that it can't.
        process.let_go();
        let watched = Arc::clone(&process);
        tokio::spawn(async move {
            watched.exited().await;
            gone(watched.pid());
        });
        Ok(Self {
            process,
            control,
            places: Semaphore::new(AT_ONCE),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Has it copy itself. What has been begun is ended if this is dropped.
    pub(super) async fn twin(&self, ours: &Ours) -> Result<Shim, NoTwin> {
        // Never closed; and whoever is before us is answered, or gives up, in time.
        let _place = self.places.acquire().await;
        let (pipes, ends) = Pipes::new().map_err(NoTwin::Shortage)?;
        let wanted = Wanted::new(pipes.channel, ours).map_err(NoTwin::Shortage)?;
        let fds = [
            ends.channel.as_fd(),
            ends.stdout.as_fd(),
            ends.stderr.as_fd(),
        ];
        sys::send_fds(self.control.as_fd(), &fds).map_err(NoTwin::Replace)?;
        drop(ends);
        let answer = timeout(ANSWERS_WITHIN, wanted.answer()).await;
        let process = match answer.map_err(io::Error::from) {
            Ok(Ok(Word::Born { pid, pidfd })) => wanted.take(pid, pidfd),
            Ok(Ok(Word::Unlike)) => return Err(NoTwin::Replace(unlike())),
            Ok(Ok(Word::Refused(error))) => return Err(refused(error)),
            Ok(Err(error)) | Err(error) => return Err(NoTwin::Replace(error)),
        };
        let (process, channel) = process.map_err(NoTwin::Shortage)?;
        Ok(Shim {
            process,
            channel,
            stdout: pipes.stdout,
            stderr: pipes.stderr,
        })
    }

    /// Kills it: others who wait for it needn't any more. ESRCH: it has ended. The end of its socket would be the end of it
    /// as well, unless it is stopped.
    pub(super) fn end(&self) {
        let _ = self.process.signal(libc::SIGKILL);
    }
}

fn refused(error: io::Error) -> NoTwin {
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EINVAL) => NoTwin::Never(error),
        Some(_) | None => NoTwin::Shortage(error),
    }
}

fn unlike() -> io::Error {
    io::Error::other(
        "the master's limits, cores, scheduling, priorities or control group are not the zygote's",
    )
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.end();
    }
}

/// A copy that has been asked for, and is not known yet.
struct Wanted {
    /// `None` once it is known.
    channel: Option<UnixStream>,
    ours: Ours,
}

impl Wanted {
    fn new(channel: StdUnixStream, ours: &Ours) -> io::Result<Self> {
        Ok(Self {
            channel: Some(UnixStream::from_std(channel)?),
            ours: ours.clone(),
        })
    }

    /// The first word on the channel.
    async fn answer(&self) -> io::Result<Word> {
        let channel = self.channel.as_ref().expect("taken by `take` alone");
        let receive = || birth::receive(channel.as_fd());
        channel.async_io(Interest::READABLE, receive).await
    }

    /// It is known: watched from now on, and killed unless it is finished.
    fn take(mut self, pid: u32, pidfd: OwnedFd) -> io::Result<(Unfinished, UnixStream)> {
        let channel = self.channel.take().expect("taken here alone");
        let child = Child::held(pid, pidfd, self.ours.clone())?;
        Ok((Unfinished::new(child), channel))
    }
}

impl Drop for Wanted {
    /// Nobody waits for it any more. Either it has told who it is, and is killed, or it finds that it can't, and ends.
    fn drop(&mut self) {
        let Some(channel) = self.channel.take() else {
            return;
        };
        // From here on its word can't be sent any more: there is no moment between the last look and the end.
        let _ = rustix::net::shutdown(&channel, rustix::net::Shutdown::Both);
        if let Ok(Word::Born { pid, pidfd }) = birth::receive(channel.as_fd())
            && let Ok(child) = Child::held(pid, pidfd, self.ours.clone())
        {
            drop(Unfinished::new(child));
        }
    }
}
