//! What a worker prints that was let go of: somebody must read it, or it dies of its next line once the master has gone.
//!
//! `ostler __drain` does: a process of its own, in a session of its own, with the read ends of both pipes. It reads them to
//! their end, throws away what it reads, and ends with the last process that can write into them.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Command, ExitCode, Stdio},
    thread,
};

use tokio::io::Interest;

use crate::sys;

/// The hidden subcommand.
pub const DRAIN_COMMAND: &str = "__drain";

/// What is read at once.
const READ_BYTES: usize = 64 << 10;

/// Has both pipes drained for as long as anybody can write into them.
///
/// # Errors
/// If the process can't be started.
pub fn drain(stdout: Option<OwnedFd>, stderr: Option<OwnedFd>) -> io::Result<()> {
    let end = |pipe: Option<OwnedFd>| pipe.map_or_else(Stdio::null, Stdio::from);
    let mut drainer = Command::new("/proc/self/exe")
        .arg0("ostler")
        .arg(DRAIN_COMMAND)
        .stdin(end(stdout))
        // For reading as well: nothing else takes a second pipe along.
        .stdout(end(stderr))
        .stderr(Stdio::null())
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
    let other = thread::spawn(|| read_to_end(io::stdout()));
    read_to_end(io::stdin());
    // Its panic would be ours to tell, and nobody listens.
    let _ended = other.join();
    ExitCode::SUCCESS
}

fn read_to_end(pipe: impl AsFd) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match rustix::io::read(&pipe, &mut buffer) {
            Ok(1..) | Err(rustix::io::Errno::INTR) => {}
            Ok(0) | Err(_) => return,
        }
    }
}
