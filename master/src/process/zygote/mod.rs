//! The **zygote**: this program once more, small and with one thread, that copies itself whenever a worker is to be started.
//!
//! A shim that is executed maps, links and sets up the whole program, which takes longer than all the rest of a worker's
//! start. A copy of a process that has just begun has all of that already.
//!
//! ```text
//! master ── channel, stdout, stderr ──► zygote ── twin ──► shim, the master's own child
//!    ├── order, along the channel ─────────────────────────► │
//!    │ ◄──────────── pidfd ───────────────────────────────── │ ── exec ──► worker
//! ```
//!
//! The copy is the zygote's sibling: the master watches and reaps it as if it had executed it itself. It tells the master who
//! it is before it listens to anybody, and says a word more before it becomes the worker. So where nobody waits for it any
//! more there is no worker.
//!
//! A worker's order goes ahead of it, as the master has others to prepare meanwhile: before the master knows who it is, it may
//! have become the worker. If it can't be watched then, it is killed and its start fails; it is not started twice.
//!
//! What a worker takes over from the master, it takes over from the zygote: so that looks whether it is still [like](likeness)
//! the master before it copies itself. If not, or if there is no answer in time, the zygote is [replaced](place).

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
use tokio::{
    io::Interest,
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use self::birth::Word;
use super::{
    Child,
    child::Unfinished,
    spawner::{Ours, Pipes, Shim, this_program},
    spec::Order,
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
    places: Arc<Semaphore>,
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
    /// There was one, which may have become the worker, and can't be watched. It has been killed.
    Lost(io::Error),
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
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks for a copy; `None` if as many as may be are asked for already.
    pub(super) fn ask_at_once(
        &self,
        ours: &Ours,
        order: &mut Order,
    ) -> Option<Result<Asked, NoTwin>> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(self.ask_in(place, ours, order))
    }

    /// Asks for a copy when it may. Whoever is before us is answered, or gives up, in time.
    pub(super) async fn ask(&self, ours: &Ours, order: &mut Order) -> Result<Asked, NoTwin> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|closed| NoTwin::Replace(io::Error::other(closed)))?;
        self.ask_in(place, ours, order)
    }

    fn ask_in(
        &self,
        place: OwnedSemaphorePermit,
        ours: &Ours,
        order: &mut Order,
    ) -> Result<Asked, NoTwin> {
        let (pipes, ends) = Pipes::new().map_err(NoTwin::Shortage)?;
        let mut wanted = Wanted::new(pipes.channel, ours).map_err(NoTwin::Shortage)?;
        if order.may_go_ahead() {
            wanted.tell_ahead(order);
        }
        let fds = [
            ends.channel.as_fd(),
            ends.stdout.as_fd(),
            ends.stderr.as_fd(),
        ];
        sys::send_fds(self.control.as_fd(), &fds).map_err(unasked)?;
        Ok(Asked {
            wanted,
            stdout: pipes.stdout,
            stderr: pipes.stderr,
            _place: place,
        })
    }

    /// Kills it: others who wait for it needn't any more. ESRCH: it has ended. The end of its socket would be the end of it
    /// as well, unless it is stopped.
    pub(super) fn end(&self) {
        let _ = self.process.signal(libc::SIGKILL);
    }
}

/// A copy that has been asked for: what has been begun is ended if this is dropped.
#[derive(Debug)]
pub(super) struct Asked {
    wanted: Wanted,
    stdout: OwnedFd,
    stderr: OwnedFd,
    _place: OwnedSemaphorePermit,
}

impl Asked {
    /// Waits for it. It has its order, or waits for it, or for the rest.
    pub(super) async fn born(self) -> Result<Shim, NoTwin> {
        let answer = match timeout(ANSWERS_WITHIN, self.wanted.answer()).await {
            Ok(answer) => answer,
            // The runtime may not have heard yet what has been said.
            Err(elapsed) => self.wanted.said().map_err(|_| elapsed.into()),
        };
        let (process, channel) = match answer {
            Ok(Word::Born { pid, pidfd }) => self.wanted.take(pid, pidfd)?,
            Ok(Word::Unlike) => return Err(NoTwin::Replace(unlike())),
            Ok(Word::Refused(error)) => return Err(refused(error)),
            Err(error) => return Err(self.wanted.given_up(error)),
        };
        Ok(Shim {
            process,
            channel,
            stdout: self.stdout,
            stderr: self.stderr,
        })
    }
}

/// It can't be asked.
fn unasked(error: io::Error) -> NoTwin {
    match error.raw_os_error() {
        Some(libc::ENOBUFS | libc::ENOMEM | libc::ETOOMANYREFS) => NoTwin::Shortage(error),
        Some(_) | None => NoTwin::Replace(error),
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

/// A copy that is not known yet.
#[derive(Debug)]
struct Wanted {
    /// `None` once it is known, or nobody waits for it any more.
    channel: Option<UnixStream>,
    /// It may have its order.
    ahead: bool,
    ours: Ours,
}

impl Wanted {
    fn new(channel: StdUnixStream, ours: &Ours) -> io::Result<Self> {
        Ok(Self {
            channel: Some(UnixStream::from_std(channel)?),
            ahead: false,
            ours: ours.clone(),
        })
    }

    /// Its order waits for it. What doesn't fit, or can't be sent now, goes when it is there.
    fn tell_ahead(&mut self, order: &mut Order) {
        if let Some(channel) = &self.channel {
            self.ahead = true;
            self.ours.expect_one();
            let _ = order.send(channel.as_fd());
        }
    }

    /// The first word on the channel.
    async fn answer(&self) -> io::Result<Word> {
        let channel = self.channel();
        let receive = || birth::receive(channel.as_fd());
        channel.async_io(Interest::READABLE, receive).await
    }

    /// The same, if it is there.
    fn said(&self) -> io::Result<Word> {
        birth::receive(self.channel().as_fd())
    }

    fn channel(&self) -> &UnixStream {
        let channel = self.channel.as_ref();
        channel.expect("there until it is known or given up")
    }

    /// It is known: watched from now on, and killed unless it is finished.
    fn take(
        mut self,
        pid: u32,
        pidfd: Option<OwnedFd>,
    ) -> Result<(Unfinished, UnixStream), NoTwin> {
        let channel = self.channel.take().expect("there until it is known");
        match self.held(pid, pidfd) {
            Ok(child) => Ok((child, channel)),
            Err(error) if self.ahead => Err(NoTwin::Lost(error)),
            Err(error) => Err(NoTwin::Shortage(error)),
        }
    }

    /// If it can't be watched it doesn't live.
    fn held(&self, pid: u32, pidfd: Option<OwnedFd>) -> io::Result<Unfinished> {
        let child = pidfd
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))
            .and_then(|pidfd| Child::held(pid, pidfd, self.ours.clone()))
            .inspect_err(|_| sys::kill_child(pid));
        Ok(Unfinished::new(child?))
    }

    /// It has not answered, and is not waited for.
    fn given_up(mut self, why: io::Error) -> NoTwin {
        match self.give_up() && self.ahead {
            true => NoTwin::Lost(why),
            false => NoTwin::Replace(why),
        }
    }

    /// Nobody waits for it any more. Either it has told who it is, and is killed, or it finds that it can't, and ends. True if
    /// it was there.
    fn give_up(&mut self) -> bool {
        let Some(channel) = self.channel.take() else {
            return false;
        };
        // From here on its words can't be sent any more: there is no moment between the last look and the end.
        let _ = rustix::net::shutdown(&channel, rustix::net::Shutdown::Both);
        let Ok(Word::Born { pid, pidfd }) = birth::receive(channel.as_fd()) else {
            return false;
        };
        // Killed one way or the other.
        drop(self.held(pid, pidfd));
        true
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.give_up();
        if self.ahead {
            self.ours.expect_no_more();
        }
    }
}
