//! A child that can't outlive its test.

use std::{
    ffi::OsStr,
    net::TcpListener,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
        pidfd_send_signal, waitid,
    },
};
use tokio::sync::watch;

use super::{LinePattern, Lines};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A child that leads a process group of its own, with its output as lines.
///
/// On drop the whole group is killed and the child reaped. It is not reaped before, so that neither its id nor its
/// group's can belong to anyone else while this value lives.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    ended: watch::Receiver<bool>,
    /// Its standard output.
    pub stdout: Lines,
    /// Its standard error.
    pub stderr: Lines,
}

impl Process {
    /// Starts it: standard input empty, output captured, in a group of its own.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.process_group(0).spawn() {
            Ok(child) => child,
            Err(error) => panic!("can't start {:?}: {error}", command.get_program()),
        };
        let pid = Pid::from_child(&child);
        // A child that nobody has reaped keeps its number.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a child of ours");
        let ended = watch_end(pidfd.try_clone().expect("a descriptor"));
        let stdout = Lines::of(child.stdout.take().expect("piped"));
        let stderr = Lines::of(child.stderr.take().expect("piped"));
        Self {
            child,
            pid,
            pidfd,
            ended,
            stdout,
            stderr,
        }
    }

    /// Starts a program as a supervisor without any Ostler would: `listener` as descriptor 3, announced by `LISTEN_FDS`
    /// and `LISTEN_PID`, with some variables more. For baselines, and to try fixtures alone.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn spawn_listening(
        listener: &TcpListener,
        env: &[(&str, &OsStr)],
        words: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        // A copy without close-on-exec. The shell moves it to 3 and is replaced by the program, so its pid is right.
        let copy = rustix::io::dup(listener).expect("a descriptor");
        let number = copy.as_raw_fd();
        let close = if number == 3 {
            String::new()
        } else {
            format!("exec {number}<&-; ")
        };
        let script =
            format!("exec 3<&{number}; {close}export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"");
        let mut command = Command::new("bash");
        command
            .args(["-c", &script, "inherit"])
            .args(words)
            .envs(env.iter().copied());
        Self::spawn(&mut command)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Signals it (not its group).
    ///
    /// # Panics
    /// If it has been reaped, which only drop does.
    pub fn signal(&self, signal: Signal) {
        match pidfd_send_signal(&self.pidfd, signal) {
            // It has ended: there is nobody to signal, as with any race of this kind.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("can't signal {}: {error}", self.id()),
        }
    }

    /// Waits for a line on standard output; see [`Lines::wait_for_line`].
    pub async fn wait_for_line(&mut self, pattern: impl LinePattern, within: Duration) -> String {
        self.stdout.wait_for_line(pattern, within).await
    }

    /// How it has ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), options).ok()??;
        let code = status.exit_status().map(Exit::Code);
        code.or_else(|| status.terminating_signal().map(Exit::Signal))
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it hasn't in time; with its output.
    pub async fn wait(&self, within: Duration) -> Exit {
        let mut ended = self.ended.clone();
        // Whether it is the news or the time-out: what the kernel says counts.
        drop(tokio::time::timeout(within, ended.wait_for(|ended| *ended)).await);
        match self.exit() {
            Some(exit) => exit,
            None => panic!(
                "{} still lives after {within:?}\n{}",
                self.id(),
                self.output()
            ),
        }
    }

    /// Both outputs, for a failure's message.
    #[must_use]
    pub fn output(&self) -> String {
        format!(
            "--- stdout\n{}--- stderr\n{}---",
            self.stdout.text(),
            self.stderr.text()
        )
    }

    /// Signals it and waits for its end without a runtime; true if it ended.
    pub(super) fn end(&self, signal: Signal, within: Duration) -> bool {
        self.signal(signal);
        gone(&self.pidfd, within)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group exists: its leader is not reaped yet. That nobody in it may be alive is all that can fail.
        kill_process_group(self.pid, Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// Turns the end of a process into news. The thread ends with the process, which drop sees to.
fn watch_end(pidfd: OwnedFd) -> watch::Receiver<bool> {
    let (tell, ended) = watch::channel(false);
    std::thread::spawn(move || {
        gone(&pidfd, Duration::from_secs(3600));
        tell.send_replace(true);
    });
    ended
}

/// Blocks until a process has ended, or time is up; true if it ended.
pub(super) fn gone(pidfd: &OwnedFd, within: Duration) -> bool {
    let end = Instant::now() + within;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("can't poll a pidfd: {error}"),
        }
    }
}
