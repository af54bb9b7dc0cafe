//! What a worker prints that was let go of: somebody must read it, or it dies of its next line once the master has gone. And
//! somebody must hold the other end of what it reads lines from, or its input ends, of which many programs end too.
//!
//! `ostler __drain` does: a process of its own, in a session of its own, with these ends of the three pipes. It reads both
//! outputs to their end, throws away what it reads, and ends with the last process that can write into them or read there.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Command, ExitCode, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::FileType,
    io::Errno,
};
use tokio::io::Interest;

use crate::sys;

/// The hidden subcommand.
pub const DRAIN_COMMAND: &str = "__drain";

/// What is read at once.
const READ_BYTES: usize = 64 << 10;

/// Has both outputs drained for as long as anybody can write into them, and the input held for as long as anybody can read
/// there.
///
/// # Errors
/// If the process can't be started.
pub fn drain([stdout, stderr]: [Option<OwnedFd>; 2], stdin: Option<OwnedFd>) -> io::Result<()> {
    let end = |pipe: Option<OwnedFd>| pipe.map_or_else(Stdio::null, Stdio::from);
    let mut drainer = Command::new("/proc/self/exe")
        .arg0("ostler")
        .arg(DRAIN_COMMAND)
        .stdin(end(stdout))
        // For reading as well: nothing else takes a second pipe along, or a third.
        .stdout(end(stderr))
        .stderr(end(stdin))
        .spawn()?;
    let ended = sys::watch_fd(sys::pidfd_open(drainer.id())?, Interest::READABLE)?;
    tokio::spawn(async move {
        // It can only fail with the runtime, and the process with it.
        let _gone = ended.readable().await;
        let _reaped = drainer.try_wait();
    });
    Ok(())
}

/// The drainer, from its start to its end.
#[must_use]
pub fn drain_main() -> ExitCode {
    // Of its own, so that nothing meant for the master or a terminal reaches it.
    let own = rustix::process::setsid().and_then(|_| rustix::process::chdir("/"));
    if let Err(error) = own {
        eprintln!("ostler {DRAIN_COMMAND} is for the master alone: {error}");
        return ExitCode::FAILURE;
    }
    let pipes = (io::stdin(), io::stdout(), io::stderr());
    let mut open = vec![
        PollFd::new(&pipes.0, PollFlags::IN),
        PollFd::new(&pipes.1, PollFlags::IN),
        // Only that nobody reads there any more is told.
        PollFd::new(&pipes.2, PollFlags::empty()),
    ];
    open.retain(is_pipe);
    while !open.is_empty() {
        match poll(&mut open, None) {
            Ok(_) => open.retain(goes_on),
            Err(Errno::INTR) => {}
            Err(_) => return ExitCode::FAILURE,
        }
    }
    ExitCode::SUCCESS
}

/// Where there is none, there is a device, which tells no end.
fn is_pipe(it: &PollFd<'_>) -> bool {
    let kind = rustix::fs::fstat(it).map(|stat| FileType::from_raw_mode(stat.st_mode));
    kind.is_ok_and(|kind| kind == FileType::Fifo)
}

/// Whether there is more to come, after what there is has been read.
fn goes_on(it: &PollFd<'_>) -> bool {
    let told = it.revents();
    if !told.contains(PollFlags::IN) {
        return told.is_empty();
    }
    let read = rustix::io::read(it, &mut [0; READ_BYTES]);
    matches!(read, Ok(1..) | Err(Errno::INTR | Errno::AGAIN))
}
