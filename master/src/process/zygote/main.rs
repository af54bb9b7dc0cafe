//! The zygote's own process, and the first steps of its copies.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::process::{getpid, getppid};

use super::{birth::Word, likeness::Likeness};
use crate::{
    process::shim::{self, SHIM_FAILED},
    sys::{self, Twin},
};

/// The hidden subcommand under which a program that starts workers calls [`zygote_main`].
pub const ZYGOTE_COMMAND: &str = "__zygote";

/// The first descriptor that isn't standard input, which is the control socket, output or error.
const FIRST_OTHER: i32 = 3;

/// Copies itself for the master at the other end of standard input, until that ends. Call it first thing in `main`, if the
/// first argument is [`ZYGOTE_COMMAND`].
pub fn zygote_main() -> ! {
    match serve() {
        Ok(()) => std::process::exit(0),
        // Somebody has typed the hidden subcommand.
        Err(error) => eprintln!("ostler {ZYGOTE_COMMAND} is for the master alone: {error}"),
    }
    std::process::exit(SHIM_FAILED);
}

fn serve() -> io::Result<()> {
    // Of its own, so that nothing meant for the master or a terminal reaches it. Who typed it leads a group, perhaps.
    let _ = shim::lead_a_session();
    sys::close_from(FIRST_OTHER)?;
    let mut likeness = Compared::default();
    loop {
        let ends = match sys::receive_fds(io::stdin().as_fd()) {
            Ok(ends) => ends,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            // The master sees that its end of the channel is closed.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                likeness.forget();
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let alike = likeness.holds();
        let Ok([channel, stdout, stderr]) = <[OwnedFd; 3]>::try_from(ends) else {
            continue;
        };
        match alike.map(|alike| alike.then(sys::twin)) {
            Ok(None) => tell(&channel, &Word::Unlike),
            Ok(Some(Ok(Twin::Younger))) => begin(channel, stdout, stderr),
            Ok(Some(Ok(Twin::Elder))) => {}
            Err(error) | Ok(Some(Err(error))) => tell(&channel, &Word::Refused(error)),
        }
    }
}

/// Whether what a copy takes over from this process is what it would take over from the master. One look answers all who had
/// asked before it.
#[derive(Default)]
struct Compared {
    alike: bool,
    asked_before: u64,
}

impl Compared {
    /// For one request that has been received. `EINVAL` if the master is in another namespace of processes, where a copy would
    /// have another number.
    fn holds(&mut self) -> io::Result<bool> {
        match self.asked_before.checked_sub(1) {
            Some(others) => self.asked_before = others,
            None => {
                let elsewhere = || io::Error::from_raw_os_error(libc::EINVAL);
                let master = getppid().ok_or_else(elsewhere)?;
                // One byte each.
                self.asked_before = rustix::io::ioctl_fionread(io::stdin()).unwrap_or(0);
                self.alike = Likeness::of(getpid()).is_like(&Likeness::of(master));
            }
        }
        Ok(self.alike)
    }

    /// It isn't known any more how many have asked.
    fn forget(&mut self) {
        self.asked_before = 0;
    }
}

/// A copy's life as such: it takes its places, tells who it is, and becomes a worker.
fn begin(channel: OwnedFd, stdout: OwnedFd, stderr: OwnedFd) -> ! {
    let known = take_places(stdout, stderr)
        .and_then(|()| Word::own())
        .and_then(|own| own.send(channel.as_fd()));
    match known {
        Ok(()) => shim::become_worker(channel.into()),
        Err(error) => tell(&channel, &Word::Refused(error)),
    }
    std::process::exit(SHIM_FAILED)
}

/// In the place of the zygote's socket and its outputs. The session is the copy's own from now on, as it is of every shim's:
/// it doesn't end with the zygote.
fn take_places(stdout: OwnedFd, stderr: OwnedFd) -> io::Result<()> {
    sys::null_stdin()?;
    sys::place_at(stdout.as_fd(), 1)?;
    sys::place_at(stderr.as_fd(), 2)?;
    shim::lead_a_session()
}

fn tell(channel: &OwnedFd, word: &Word) {
    // If nobody listens any more nobody needs to know.
    let _ = word.send(channel.as_fd());
}
