//! Starting a worker: have a shim made, give it its order, hear how it went.
//!
//! Shims are copies of the [zygote](super::zygote). Where there is none that could be copied, this program is executed
//! instead: that takes longer, and blocks the master meanwhile, but it works wherever a program can be run.

use std::{
    collections::HashSet,
    io, mem,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream as StdUnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ostler_bus::WorkerId;
use tokio::{net::UnixStream, time::timeout};

use super::{
    Child, SHIM_COMMAND, SpawnError, SpawnSpec,
    child::Unfinished,
    handshake::{self, Heard},
    kin::{self, Cleared},
    spec::Order,
    zygote::{Asked, NoTwin, Place, Zygote},
};
use crate::sys;

/// A shim that has not become the worker after this long is killed: its directory may be on a disk that hangs.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// A zygote that was asked for a copy, and what came of that.
type Begun = (Arc<Zygote>, Result<Asked, NoTwin>);

/// Starts workers, and knows which of this process's children they are. Cheap to clone; clones know the same children.
/// The last clone's end is that of the zygote.
#[derive(Clone, Debug)]
pub struct Spawner {
    program: PathBuf,
    ours: Ours,
    zygote: Place,
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

impl Default for Spawner {
    fn default() -> Self {
        Self::new(Path::new("/proc/self/exe"))
    }
}

impl Spawner {
    /// A spawner whose shims are this program: one that calls [`super::exec_shim_main`] if its first argument is
    /// [`SHIM_COMMAND`], and [`super::zygote_main`] if it is [`super::ZYGOTE_COMMAND`]. By default that is the running
    /// program itself, even if its file has been replaced on disk.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            ours: Ours::default(),
            zygote: Place::default(),
        }
    }

    /// Starts the zygote, if there is none: it is ready when the first worker is to be started. What it will be like is
    /// what the master is like now. That it can't be started is told by the first worker's own start.
    pub fn warm_up(&self) {
        let _zygote = self.zygote.zygote(&self.program, &self.ours);
    }

    /// The process id of the zygote, if there is one.
    #[must_use]
    pub fn zygote(&self) -> Option<u32> {
        self.zygote.pid()
    }

    /// Begins a worker at once. Descriptors become its numbers 3, 4, … in this order; ours are closed. The future is ready when the
    /// exec has succeeded. It owns all it needs, and kills what has been begun if it is dropped: that may have run for a moment.
    /// To be called in a runtime with one thread.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn begin(
        &self,
        spec: &SpawnSpec,
        fds: Vec<OwnedFd>,
    ) -> impl Future<Output = Result<Spawned, SpawnError>> + Send + use<> {
        let mut order = Order::new(spec, fds).map(Order::ahead);
        let asked = order.as_mut().ok();
        let asked = asked.and_then(|order| self.ask_at_once(order));
        self.clone().go_on(order, asked)
    }

    /// Starts a command, as [`begin`](Self::begin) does, when the future is polled. It runs nothing before it is known who it
    /// is: so whoever ends a worker's processes leaves it alone, though it bears the worker's mark.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(
        &self,
        spec: &SpawnSpec,
        fds: Vec<OwnedFd>,
    ) -> impl Future<Output = Result<Spawned, SpawnError>> + Send + use<> {
        self.clone().go_on(Order::new(spec, fds), None)
    }

    async fn go_on(
        self,
        order: io::Result<Order>,
        begun: Option<Begun>,
    ) -> Result<Spawned, SpawnError> {
        let mut order = order.map_err(SpawnError::Shim)?;
        let shim = self.shim(begun, &mut order).await;
        let shim = shim.map_err(SpawnError::Shim)?;
        let given = handshake::give(order, shim.channel);
        match timeout(HANDSHAKE_TIMEOUT, given).await {
            Err(_elapsed) => Err(SpawnError::TimedOut),
            Ok(Err(error)) => Err(SpawnError::Shim(error)),
            Ok(Ok(Heard::Started)) => Ok(Spawned {
                child: shim.process.finish(),
                stdout: shim.stdout,
                stderr: shim.stderr,
            }),
            Ok(Ok(Heard::Failure(failure))) => Err(SpawnError::Refused(failure)),
            Ok(Ok(Heard::Nothing)) => {
                match timeout(HANDSHAKE_TIMEOUT, shim.process.exited()).await {
                    Ok(status) => Err(SpawnError::Ended(status)),
                    Err(_elapsed) => Err(SpawnError::TimedOut),
                }
            }
        }
    }

    /// Reaps orphans that have become this process's children, and leaves workers to those who watch them. Call it on
    /// SIGCHLD, if this is PID 1 or adopts orphans. Returns how many: none while a start is under way, after which it is done.
    ///
    /// # Errors
    /// If `/proc` can't be read.
    pub fn reap_orphans(&self) -> io::Result<usize> {
        self.ours.reap_others()
    }

    /// The worker has ended, or was never started: kills whatever it or a command beside it has left behind, in sessions of
    /// its own or not, and waits for that to end.
    pub async fn clear(&self, worker: WorkerId, child: Option<&Child>) -> Cleared {
        let kin = child.map(Child::take_kin).unwrap_or_default();
        kin::end_all(worker, kin, |pid| self.ours.contains(pid)).await
    }

    /// The zygote, asked for a copy if that may be at once.
    fn ask_at_once(&self, order: &mut Order) -> Option<Begun> {
        let zygote = self.zygote.zygote(&self.program, &self.ours)?;
        let asked = zygote.ask_at_once(&self.ours, order)?;
        Some((zygote, asked))
    }

    /// The same, when it may.
    async fn ask(&self, order: &mut Order) -> Option<Begun> {
        let zygote = self.zygote.zygote(&self.program, &self.ours)?;
        let asked = zygote.ask(&self.ours, order).await;
        Some((zygote, asked))
    }

    /// A shim, which has its order or waits for it: a copy of the zygote, or else executed.
    async fn shim(&self, begun: Option<Begun>, order: &mut Order) -> io::Result<Shim> {
        let begun = match begun {
            Some(begun) => Some(begun),
            None => self.ask(order).await,
        };
        if let Some((zygote, asked)) = begun {
            let copy = match asked {
                Ok(asked) => asked.born().await,
                Err(error) => Err(error),
            };
            match copy {
                Ok(shim) => {
                    self.zygote.serves();
                    return Ok(shim);
                }
                Err(NoTwin::Shortage(error)) => {
                    tracing::debug!("the zygote was not copied: {error}");
                }
                Err(NoTwin::Replace(error)) => {
                    zygote.end();
                    self.zygote.vacate(zygote.pid(), error);
                }
                Err(NoTwin::Never(error)) => self.zygote.give_up(zygote.pid(), error),
                Err(NoTwin::Lost(error)) => return Err(error),
            }
        }
        order.begin_anew();
        self.run_shim()
    }

    /// Executes a shim. `Command` uses `posix_spawn` here, so nothing of ours runs between fork and exec: standard input
    /// is the channel, and every other descriptor of the master is closed on exec.
    fn run_shim(&self) -> io::Result<Shim> {
        let (pipes, ends) = Pipes::new()?;
        let mut command = this_program(&self.program, SHIM_COMMAND);
        command
            .stdin(ends.channel)
            .stdout(ends.stdout)
            .stderr(ends.stderr);
        let process = Unfinished::new(Child::run(command, self.ours.clone())?);
        Ok(Shim {
            process,
            channel: UnixStream::from_std(pipes.channel)?,
            stdout: pipes.stdout,
            stderr: pipes.stderr,
        })
    }
}

/// A program of ours, under one of its hidden subcommands.
pub(super) fn this_program(program: &Path, word: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg0("ostler")
        .arg(word)
        // What the master's own starter told the master alone.
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_FDNAMES");
    command
}

/// A shim that has no order yet, and the pipes that will be the worker's. If the master ends without a word, so does the
/// channel, and with it the shim.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) process: Unfinished,
    pub(super) channel: UnixStream,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Our ends of what connects us with a shim, and later with the worker.
pub(super) struct Pipes {
    pub(super) channel: StdUnixStream,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// The others.
pub(super) struct Ends {
    pub(super) channel: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Pipes {
    pub(super) fn new() -> io::Result<(Self, Ends)> {
        let (channel, theirs) = StdUnixStream::pair()?;
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        channel.set_nonblocking(true)?;
        let ours = Self {
            channel,
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        let ends = Ends {
            channel: theirs.into(),
            stdout: stdout_end.into(),
            stderr: stderr_end.into(),
        };
        Ok((ours, ends))
    }
}

/// The children that somebody watches, by pid: the reaper of orphans must leave them alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Ours(Arc<Mutex<Children>>);

#[derive(Debug, Default)]
struct Children {
    known: HashSet<u32>,
    /// How many may be there already, or even have ended, whose pid has not been told yet.
    expected: usize,
    /// Somebody wanted others reaped meanwhile.
    reap_later: bool,
}

impl Ours {
    pub(super) fn add(&self, pid: u32) {
        self.lock().known.insert(pid);
    }

    pub(super) fn remove(&self, pid: u32) {
        self.lock().known.remove(&pid);
    }

    pub(super) fn contains(&self, pid: u32) -> bool {
        self.lock().known.contains(&pid)
    }

    /// A child will come that is ours.
    pub(super) fn expect_one(&self) {
        self.lock().expected += 1;
    }

    /// It is known now, or won't come.
    pub(super) fn expect_no_more(&self) {
        let due = {
            let mut children = self.lock();
            children.expected -= 1;
            children.expected == 0 && mem::take(&mut children.reap_later)
        };
        if due && let Err(error) = self.reap_others() {
            tracing::warn!("orphans can't be reaped: {error}");
        }
    }

    /// Reaps children that have ended and are not ours; later, if it isn't known of each whether it is. Between the two looks at
    /// who is ours nobody comes, as all of this is done by one thread.
    pub(super) fn reap_others(&self) -> io::Result<usize> {
        {
            let mut children = self.lock();
            children.reap_later = children.expected > 0;
            if children.reap_later {
                return Ok(0);
            }
        }
        sys::reap_children(|pid| self.contains(pid))
    }

    fn lock(&self) -> MutexGuard<'_, Children> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
