//! Starting a worker: run the shim, give it its order, hear how it went.
//!
//! One shim more is always kept, started and waiting for its order: starting this program a second time for every worker
//! would be half of what a worker's start costs.

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd, OwnedFd},
    os::unix::{net::UnixStream as StdUnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ostler_bus::{WorkerId, vocab::worker::ExitStatus};
use tokio::{
    io::{AsyncReadExt, Interest},
    net::UnixStream,
};

use super::{
    Child, Failure, SHIM_COMMAND, SpawnSpec,
    child::Unfinished,
    kin::{self, Cleared},
    spec::{ABOUT_TO_EXEC, FAILED, Order},
};
use crate::{shortage, sys};

/// A shim that has not become the worker after this long is killed: its directory may be on a disk that hangs.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer answers are cut off: a [`Failure`] names one path or two.
const ANSWER_BYTES: u64 = 64 << 10;

/// Starts workers, and knows which of this process's children they are. Cheap to clone; clones know the same children.
/// The last clone's end is that of the shim that waits.
#[derive(Clone, Debug)]
pub struct Spawner {
    shim: PathBuf,
    ours: Ours,
    spare: Spare,
}

/// A started worker.
#[derive(Debug)]
pub struct Spawned {
    /// The process.
    pub child: Child,
    /// What it writes to standard output.
    pub stdout: OwnedFd,
    /// What it writes to standard error.
    pub stderr: OwnedFd,
}

/// Why a worker could not be started. Nothing of it is left behind.
#[derive(Debug)]
pub enum SpawnError {
    /// The shim could not be run (process table full, out of memory, out of descriptors).
    Shim(io::Error),
    /// The shim could not become the worker.
    Refused(Failure),
    /// The shim ended, or was killed, before it could become the worker.
    Ended(ExitStatus),
    /// The shim took longer than [`HANDSHAKE_TIMEOUT`].
    TimedOut,
}

impl Default for Spawner {
    fn default() -> Self {
        Self::new(Path::new("/proc/self/exe"))
    }
}

impl Spawner {
    /// A spawner whose shim is this program: one that calls [`super::exec_shim_main`] if its first argument is
    /// [`SHIM_COMMAND`]. By default that is the running program itself, even if its file has been replaced on disk.
    #[must_use]
    pub fn new(shim: &Path) -> Self {
        Self {
            shim: shim.to_owned(),
            ours: Ours::default(),
            spare: Spare::default(),
        }
    }

    /// Starts the shim that waits for the next worker, if there is none. It is a convenience: if it can't be started,
    /// the next worker's own start will tell why.
    pub fn keep_spare(&self) {
        let mut spare = self.spare.lock();
        if spare.is_none() {
            *spare = self.run_shim().ok();
        }
    }

    /// The process id of the shim that waits, if there is one.
    #[must_use]
    pub fn spare(&self) -> Option<u32> {
        self.spare.lock().as_ref().map(|shim| shim.process.pid())
    }

    /// Starts a worker. Descriptors become its numbers 3, 4, … in this order; ours are closed. Returns when the exec
    /// has succeeded. The future owns all it needs, and kills what it has begun if it is dropped.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(
        &self,
        spec: SpawnSpec,
        fds: Vec<OwnedFd>,
    ) -> impl Future<Output = Result<Spawned, SpawnError>> + Send + 'static {
        let this = self.clone();
        async move {
            let order = Order::new(&spec, fds).map_err(SpawnError::Shim)?;
            let Shim {
                process,
                channel,
                stdout,
                stderr,
            } = this.take_shim().map_err(SpawnError::Shim)?;
            let handshake = Handshake::begin(channel, order).map_err(SpawnError::Shim)?;
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake.run()).await {
                Err(_elapsed) => Err(SpawnError::TimedOut),
                Ok(Err(error)) => Err(SpawnError::Shim(error)),
                Ok(Ok(Heard::Started)) => Ok(Spawned {
                    child: process.finish(),
                    stdout,
                    stderr,
                }),
                Ok(Ok(Heard::Failure(failure))) => Err(SpawnError::Refused(failure)),
                Ok(Ok(Heard::Nothing)) => {
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, process.exited()).await {
                        Ok(status) => Err(SpawnError::Ended(status)),
                        Err(_elapsed) => Err(SpawnError::TimedOut),
                    }
                }
            }
        }
    }

    /// Reaps orphans that have become this process's children, and leaves workers to those who watch them. Call it on
    /// SIGCHLD, if this is PID 1 or adopts orphans. Returns how many.
    ///
    /// # Errors
    /// If `/proc` can't be read.
    pub fn reap_orphans(&self) -> io::Result<usize> {
        sys::reap_children(|pid| self.ours.contains(pid))
    }

    /// The worker has ended, or was never started: kills whatever it or a command beside it has left behind, in sessions of
    /// its own or not, and waits for that to end.
    pub async fn clear(&self, worker: WorkerId, child: Option<&Child>) -> Cleared {
        let kin = child.map(Child::take_kin).unwrap_or_default();
        kin::end_all(worker, kin, |pid| self.ours.contains(pid)).await
    }

    /// The shim that waits, unless somebody has ended it meanwhile; else a new one.
    fn take_shim(&self) -> io::Result<Shim> {
        let spare = self.spare.lock().take();
        match spare.filter(|shim| shim.process.lives()) {
            Some(shim) => Ok(shim),
            None => self.run_shim(),
        }
    }

    /// Runs a shim, which waits for its order. `Command` uses `posix_spawn` here, so nothing of ours runs between fork
    /// and exec: standard input is the channel, and every other descriptor of the master is closed on exec.
    fn run_shim(&self) -> io::Result<Shim> {
        let (ours, theirs) = StdUnixStream::pair()?;
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(&self.shim);
        command
            .arg0("ostler")
            .arg(SHIM_COMMAND)
            // What the master's own starter told the master alone.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(stdout_end)
            .stderr(stderr_end);
        let mut shim = command.spawn()?;
        let process = match Child::new(shim.id(), self.ours.clone()) {
            Ok(child) => Unfinished::new(child),
            Err(error) => {
                // It can't be watched, so it must not live; killed, it is reaped at once.
                shim.kill().and_then(|()| shim.wait())?;
                return Err(error);
            }
        };
        Ok(Shim {
            process,
            channel: ours,
            stdout: stdout.into(),
            stderr: stderr.into(),
        })
    }
}

/// A shim that has no order yet, and the pipes that will be the worker's.
#[derive(Debug)]
struct Shim {
    process: Unfinished,
    channel: StdUnixStream,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// The shim that waits for the next worker. If the master ends without a word, so does the channel, and with it the shim.
#[derive(Clone, Debug, Default)]
struct Spare(Arc<Mutex<Option<Shim>>>);

impl Spare {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Shim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the master and the shim say to each other before the worker begins.
struct Handshake {
    channel: UnixStream,
    order: Order,
}

enum Heard {
    Started,
    Failure(Failure),
    Nothing,
}

impl Handshake {
    fn begin(channel: StdUnixStream, mut order: Order) -> io::Result<Self> {
        // Most orders fit the socket's buffer at once. Whatever hinders this one will hinder the rest of it too.
        let _ = order.send(channel.as_fd());
        let channel = UnixStream::from_std(channel)?;
        Ok(Self { channel, order })
    }

    async fn run(self) -> io::Result<Heard> {
        let Self { channel, mut order } = self;
        // A shim that is killed meanwhile breaks the pipe; what it said before, if anything, is in the answer.
        let send = || order.send(channel.as_fd());
        let sent = channel.async_io(Interest::WRITABLE, send).await;
        let mut answer = Vec::new();
        let read = channel.take(ANSWER_BYTES).read_to_end(&mut answer).await;
        let heard = hear(&answer)?;
        match heard {
            Heard::Nothing => gone(sent).and(gone(read.map(drop))).map(|()| heard),
            Heard::Started | Heard::Failure(_) => Ok(heard),
        }
    }
}

fn hear(answer: &[u8]) -> io::Result<Heard> {
    let failure = match answer {
        [] => return Ok(Heard::Nothing),
        [ABOUT_TO_EXEC] => return Ok(Heard::Started),
        [ABOUT_TO_EXEC, FAILED, failure @ ..] | [FAILED, failure @ ..] => failure,
        [..] => return Err(io::ErrorKind::InvalidData.into()),
    };
    postcard::from_bytes(failure)
        .map(Heard::Failure)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// An error that only says that the shim is gone is no error here: how it ended says more.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

impl SpawnError {
    /// What to do about it, where that can be told.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(failure) => failure.hint.clone(),
            Self::Shim(error) => match error.raw_os_error()? {
                libc::EAGAIN => Some(
                    "the limit on processes is reached (ulimit -u, or the control group's pids.max)".into(),
                ),
                libc::ENOMEM => Some("the machine is out of memory".into()),
                _ => shortage::hint(error),
            },
            Self::Ended(_) => None,
            Self::TimedOut => {
                Some("is the program or the working directory on a disk that doesn't answer?".into())
            }
        }
    }
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shim(error) => write!(f, "run the shim: {error}"),
            Self::Refused(failure) => failure.fmt(f),
            Self::Ended(status) => write!(f, "the shim ended before the worker began: {status:?}"),
            Self::TimedOut => write!(
                f,
                "the worker's program did not begin within {} s",
                HANDSHAKE_TIMEOUT.as_secs()
            ),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Shim(error) => Some(error),
            Self::Refused(_) | Self::Ended(_) | Self::TimedOut => None,
        }
    }
}

/// The children that somebody watches, by pid: the reaper of orphans must leave them alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Ours(Arc<Mutex<HashSet<u32>>>);

impl Ours {
    pub(super) fn add(&self, pid: u32) {
        self.lock().insert(pid);
    }

    pub(super) fn remove(&self, pid: u32) {
        self.lock().remove(&pid);
    }

    pub(super) fn contains(&self, pid: u32) -> bool {
        self.lock().contains(&pid)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
