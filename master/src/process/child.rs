//! A process that this one has started, watched by pidfd until it ends.
//!
//! ```text
//! running ── pidfd readable ──► zombie ── group and session killed, reaped ──► ended(status)
//! ```

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ostler_bus::vocab::worker::ExitStatus;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
};

use super::{
    kin::{self, Claim, Kin},
    spawner::Ours,
};
use crate::sys::{self, Ended};

/// A child process that leads its own process group. Dropping it neither ends nor reaps the process: whoever has it
/// awaits [`exited`](Self::exited).
#[derive(Debug)]
pub struct Child {
    pid: u32,
    pidfd: AsyncFd<OwnedFd>,
    /// How it ended, once it has been reaped. The lock is held while the group is signalled or the zombie is reaped,
    /// so that a group signal never meets a number that is free again.
    end: Mutex<Option<ExitStatus>>,
    dumped: AtomicBool,
    /// What is to end with it: known to have left its session, or killed at its end.
    kin: Mutex<Vec<Kin>>,
    /// It is nobody's to end any more, and nor is its group.
    let_go: AtomicBool,
    told: Notify,
    ours: Ours,
}

impl Child {
    /// Runs a command. If it can't be watched it doesn't live.
    pub(super) fn run(mut command: Command, ours: Ours) -> io::Result<Self> {
        let mut child = command.spawn()?;
        match Self::new(child.id(), ours) {
            Ok(watched) => Ok(watched),
            Err(error) => {
                // Killed, it is reaped at once.
                child.kill().and_then(|()| child.wait())?;
                Err(error)
            }
        }
    }

    fn new(pid: u32, ours: Ours) -> io::Result<Self> {
        Self::held(pid, sys::pidfd_open(pid)?, ours)
    }

    /// The child of this pidfd.
    pub(super) fn held(pid: u32, pidfd: OwnedFd, ours: Ours) -> io::Result<Self> {
        let pidfd = sys::watch_fd(pidfd, Interest::READABLE)?;
        ours.add(pid);
        Ok(Self {
            pid,
            pidfd,
            end: Mutex::new(None),
            dumped: AtomicBool::new(false),
            kin: Mutex::default(),
            let_go: AtomicBool::new(false),
            told: Notify::new(),
            ours,
        })
    }

    /// A child that a test has started itself.
    #[cfg(test)]
    pub(crate) fn of_test(pid: u32) -> Self {
        Self::new(pid, Ours::default()).expect("a child of the test's")
    }

    /// Its process id, which is also its process group's. After its end the number may be another process's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end; then what is left of its process group is killed, and the process reaped. Cancel-safe, and
    /// may be called again.
    pub async fn exited(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.collect() {
                return status;
            }
            match self.pidfd.readable().await {
                Ok(mut ready) => {
                    if let Some(status) = self.collect() {
                        return status;
                    }
                    ready.clear_ready();
                }
                // The runtime is going away, and this future with it.
                Err(_) => return ExitStatus::Unknown,
            }
        }
    }

    /// Whether it has ended and left a core dump.
    #[must_use]
    pub fn dumped_core(&self) -> bool {
        self.dumped.load(Ordering::Relaxed)
    }

    /// Lets go of it: when it ends it is reaped, and what is left of its group lives on.
    pub fn let_go(&self) {
        self.let_go.store(true, Ordering::Relaxed);
        self.told.notify_one();
    }

    /// Waits until it is let go of. For one that waits.
    pub async fn when_let_go(&self) {
        self.told.notified().await;
    }

    /// Whether it was let go of.
    #[must_use]
    pub fn is_let_go(&self) -> bool {
        self.let_go.load(Ordering::Relaxed)
    }

    /// Sends a signal, by number.
    ///
    /// # Errors
    /// `ESRCH` if it has ended and been reaped, `EINVAL` for a number that is no signal, `EPERM`.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        sys::send_signal(self.pidfd.as_fd(), signal)
    }

    /// Sends a signal, by number, to the process `pid`, if that is of its process group; else to the leader.
    ///
    /// # Errors
    /// As for [`signal`](Self::signal).
    pub fn signal_member(&self, pid: u32, signal: i32) -> io::Result<()> {
        // Opened before the group is asked for: from then on the number can't become another process's.
        match sys::pidfd_open(pid) {
            Ok(member) if sys::group_of(pid).is_ok_and(|group| group == self.pid) => {
                sys::send_signal(member.as_fd(), signal)
            }
            Ok(_) | Err(_) => self.signal(signal),
        }
    }

    /// Sends a signal, by number, to its whole process group.
    ///
    /// # Errors
    /// As for [`signal`](Self::signal).
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_some() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // Reaped by another process, and the number is anybody's.
        if sys::peek(self.pidfd.as_fd())? == Some(Ended::Unknown) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        sys::kill_group(self.pid, signal)
    }

    /// Notes which of the processes below it have left its session. To be called before it is told to go: when it has
    /// ended nobody can tell any more whose they are, unless they have kept their mark.
    pub fn note_leavers(&self) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_some() {
            return;
        }
        let mut left = kin::find(Claim::Forebear(self.pid), |_| false);
        left.retain(|kin| kin.session() != self.pid);
        self.hold(left);
    }

    /// What was killed with it, some of which may still be ending. To be taken once, after its end.
    pub(super) fn take_kin(&self) -> Vec<Kin> {
        std::mem::take(&mut self.kin())
    }

    /// Waits until what was killed with it has ended, within reason.
    pub async fn cleared(&self) {
        kin::until_over(self.take_kin()).await;
    }

    fn kin(&self) -> MutexGuard<'_, Vec<Kin>> {
        self.kin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each process once.
    fn hold(&self, more: Vec<Kin>) {
        let mut kin = self.kin();
        kin.retain(|known| !known.is_over() && more.iter().all(|one| one.pid() != known.pid()));
        kin.extend(more);
    }

    /// Peek, kill the stragglers, then reap.
    fn collect(&self) -> Option<ExitStatus> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_none() {
            let ended = sys::peek(self.pidfd.as_fd()).unwrap_or(Some(Ended::Unknown))?;
            if ended != Ended::Unknown {
                if !self.is_let_go() {
                    self.hold(kin::find(Claim::Session(self.pid), |pid| {
                        self.ours.contains(pid)
                    }));
                    // ESRCH: there are none.
                    let _ = sys::kill_group(self.pid, libc::SIGKILL);
                    self.kin().iter().for_each(Kin::kill);
                }
                let _ = sys::reap(self.pidfd.as_fd());
            }
            self.ours.remove(self.pid);
            let dumped = matches!(ended, Ended::Dumped(_));
            self.dumped.store(dumped, Ordering::Relaxed);
            *end = Some(status(ended));
        }
        end.clone()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.ours.remove(self.pid);
    }
}

fn status(ended: Ended) -> ExitStatus {
    match ended {
        Ended::Code(code) => ExitStatus::Code(code),
        Ended::Signal(number) | Ended::Dumped(number) => {
            ExitStatus::Signal(sys::signal_name(number))
        }
        Ended::Unknown => ExitStatus::Unknown,
    }
}

/// A child whose start has not been confirmed: killed and reaped unless it is finished.
#[derive(Debug)]
pub(super) struct Unfinished(Option<Child>);

impl Unfinished {
    pub(super) fn new(child: Child) -> Self {
        Self(Some(child))
    }

    /// It has started: it is the caller's now.
    pub(super) fn finish(mut self) -> Child {
        self.0.take().expect("taken here alone")
    }

    /// How it ended, if it ends before it has started.
    pub(super) async fn exited(&self) -> ExitStatus {
        self.0
            .as_ref()
            .expect("taken by `finish` alone")
            .exited()
            .await
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(child) = self.0.take() else {
            return;
        };
        // ESRCH: it has ended by itself.
        let _ = child.signal(libc::SIGKILL);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { child.exited().await });
        }
    }
}
