//! The shim: what happens between a fork and the worker's first instruction, as ordinary code in a process
//! of its own. It is reached before anything else in `main`, so that starting it costs no more than an `exec`.

use std::{
    ffi::{CString, OsStr, OsString},
    io::{self, Write as _},
    os::{
        fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
};

use nix::errno::Errno;
use rustix::{
    fs::{Mode, OFlags},
    net::SendFlags,
};

use super::{
    candidates::{Candidates, c_string, hint},
    spec::{self, ABOUT_TO_EXEC, FAILED, FIRST_FD, Failure, SpawnSpec, StdinFrom},
};
use crate::{config::app::given::FileMode, sys};

/// The hidden subcommand under which a program that starts workers calls [`exec_shim_main`].
pub const SHIM_COMMAND: &str = "__exec";

/// Keeps the place of a file that can't be opened yet.
const PLACEHOLDER: &str = "/dev/null";

/// What to do where a file can't be opened for writing.
const WRITERS_RIGHTS: &str =
    "a file that is written is opened with the rights of the app's own user";

/// How the shim ends if it can't become the worker; its answer says why.
pub(super) const SHIM_FAILED: i32 = 126;

/// Becomes the worker that the master at the other end of standard input describes. Call it first thing in `main`, if
/// the first argument is [`SHIM_COMMAND`].
pub fn exec_shim_main() -> ! {
    match io::stdin().as_fd().try_clone_to_owned() {
        Ok(channel) => become_worker(channel.into()),
        Err(_closed) => std::process::exit(SHIM_FAILED),
    }
}

/// Becomes the worker that the master at the other end of this channel describes.
pub(super) fn become_worker(mut channel: UnixStream) -> ! {
    let failure = match take_order(&mut channel) {
        Ok((spec, fds)) => match prepare(&channel, &spec, fds) {
            Ok(candidates) => execute(&channel, &spec, candidates),
            Err(failure) => failure,
        },
        Err(error) => Failure {
            hint: error.raw_os_error().is_none().then(|| error.to_string()),
            ..failure(&error, "receive the order".into())
        },
    };
    // Somebody has typed the hidden subcommand, or the master is gone.
    if answer(&channel, &failure).is_err() {
        let _ = writeln!(
            io::stderr(),
            "ostler {SHIM_COMMAND} is for the master alone: {failure}"
        );
    }
    std::process::exit(SHIM_FAILED);
}

/// Receives the order. The channel is moved above the numbers that the worker's descriptors will take.
fn take_order(channel: &mut UnixStream) -> io::Result<(SpawnSpec, Vec<OwnedFd>)> {
    let (spec, fds) = spec::receive(channel)?;
    let lowest = after(fds.len() + spec.files.len())?;
    *channel = rustix::io::fcntl_dupfd_cloexec(&*channel, lowest)?.into();
    Ok((spec, fds))
}

/// The number after the last descriptor that the worker gets.
fn after(count: usize) -> io::Result<i32> {
    let count = i32::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(FIRST_FD + count)
}

/// Everything before the exec, in the documented order.
fn prepare(
    channel: &UnixStream,
    spec: &SpawnSpec,
    mut fds: Vec<OwnedFd>,
) -> Result<Candidates, Failure> {
    sys::reset_signals().during(|| "reset signals".into())?;
    lead_a_session().during(|| "lead a process group".into())?;
    // Before anything that takes rights away, or descriptors: a limit may leave no more than the worker's own.
    let stdin = take_stdin(spec.stdin, &mut fds).during(|| "hand over standard input".into())?;
    let first_file = after(fds.len()).during(|| "hand over descriptors".into())?;
    for (path, mode) in &spec.files {
        let (path, mode) = match with_the_masters_rights(*mode) {
            true => (path.as_os_str(), *mode),
            false => (OsStr::new(PLACEHOLDER), FileMode::Read),
        };
        fds.push(open(path, mode).during(|| format!("open {path:?}"))?);
    }
    arrange(channel, fds, stdin).during(|| "hand over descriptors".into())?;
    if let Some(soft) = spec.open_files {
        sys::set_soft_open_files(soft).during(|| format!("limit open files to {soft}"))?;
    }
    spec.attributes.apply().map_err(explained)?;
    open_for_writing(&spec.files, first_file)?;
    Candidates::find(&spec.program, &spec.env).during(|| exec_of(spec))
}

/// A session of its own: a process group that it leads, and no terminal that could stop it.
pub(super) fn lead_a_session() -> io::Result<()> {
    // Not rustix's, whose `Pid` has no room for a session of another pid namespace.
    let session = nix::unistd::getsid(None)?;
    if session != nix::unistd::getpid() {
        nix::unistd::setsid()?;
    }
    Ok(())
}

/// What becomes standard input; `None` is `/dev/null`.
fn take_stdin(from: StdinFrom, fds: &mut Vec<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    let missing = || io::Error::from(io::ErrorKind::InvalidInput);
    match from {
        StdinFrom::Null => Ok(None),
        StdinFrom::Shared(index) => fds.get(index).ok_or_else(missing)?.try_clone().map(Some),
        StdinFrom::Last => fds.pop().ok_or_else(missing).map(Some),
    }
}

/// Files that are read are opened with the master's rights: that is what they are handed over for. One that is written is
/// opened with the worker's own, so that nobody who may put a link into its directory can have the master make, or empty,
/// the file that it leads to.
fn with_the_masters_rights(mode: FileMode) -> bool {
    match mode {
        FileMode::Read => true,
        FileMode::Write | FileMode::Append | FileMode::ReadWrite => false,
    }
}

/// Opens the files that are written, each in the place that was kept for it.
fn open_for_writing(files: &[(OsString, FileMode)], first: i32) -> Result<(), Failure> {
    let written = files.iter().zip(first..);
    for ((path, mode), number) in written.filter(|((_, mode), _)| !with_the_masters_rights(*mode)) {
        let doing = || format!("open {path:?} for writing");
        // First, so that a limit on open files that leaves no more than the worker's own is enough.
        sys::close(number);
        let file = open(path, *mode).during(doing).map_err(|failure| Failure {
            hint: (failure.errno == libc::EACCES).then(|| WRITERS_RIGHTS.into()),
            ..failure
        })?;
        sys::place_at(file.as_fd(), number).during(doing)?;
        // The number itself is the worker's.
        if file.as_raw_fd() == number {
            let _the_workers = file.into_raw_fd();
        }
    }
    Ok(())
}

/// Opens a file without ever waiting for somebody at its other end, as a FIFO would have it.
fn open(path: &OsStr, mode: FileMode) -> io::Result<OwnedFd> {
    let how = match mode {
        FileMode::Read => OFlags::RDONLY,
        FileMode::Write => OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
        FileMode::Append => OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND,
        FileMode::ReadWrite => OFlags::RDWR | OFlags::CREATE,
    };
    let flags = how | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?;
    let kept = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, kept - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Standard input, the worker's descriptors from 3 on, everything else but the channel closed; the channel is closed by
/// the exec.
fn arrange(channel: &UnixStream, fds: Vec<OwnedFd>, stdin: Option<OwnedFd>) -> io::Result<()> {
    let after = after(fds.len())?;
    // Out of the way as well: it may have one of those numbers.
    let stdin = stdin.map(|fd| sys::move_to(fd, after)).transpose()?;
    // First out of the way of the numbers that are to be filled, then into place.
    let parked = fds
        .into_iter()
        .map(|fd| sys::move_to(fd, after))
        .collect::<io::Result<Vec<_>>>()?;
    for (fd, number) in parked.iter().zip(FIRST_FD..) {
        sys::place_at(fd.as_fd(), number)?;
    }
    drop(parked);
    match stdin {
        Some(stdin) => sys::place_at(stdin.as_fd(), 0)?,
        None => sys::null_stdin()?,
    }
    sys::close_others(after, channel.as_fd())
}

/// Adds what to do where the master lacks the rights.
fn explained(failure: Failure) -> Failure {
    let hint = match failure.errno {
        libc::EPERM | libc::EACCES => Some(
            "only a master with the rights to it can do that: run it as root, or leave the key out"
                .into(),
        ),
        libc::EINVAL if failure.doing.starts_with("keep to the cores") => {
            Some("none of them is there, or the master itself may not use them".into())
        }
        _ => None,
    };
    Failure { hint, ..failure }
}

fn exec_of(spec: &SpawnSpec) -> String {
    format!("exec {:?}", spec.program)
}

/// Execs; returns only if that failed.
fn execute(channel: &UnixStream, spec: &SpawnSpec, program: Candidates) -> Failure {
    let exec = || -> io::Result<(CString, Errno)> {
        let args = std::iter::once(&spec.program)
            .chain(&spec.args)
            .map(|arg| c_string(arg.as_bytes().to_vec()))
            .collect::<io::Result<Vec<_>>>()?;
        let env = environment(spec)?;
        // If nobody listens any more the master is gone, and a worker must not start without it.
        rustix::net::send(channel, &[ABOUT_TO_EXEC], SendFlags::NOSIGNAL)?;
        Ok(program.exec(&args, &env))
    };
    match exec() {
        Ok((path, errno)) => Failure {
            hint: hint(&path, errno),
            doing: exec_of(spec),
            errno: errno as i32,
        },
        Err(error) => failure(&error, exec_of(spec)),
    }
}

fn environment(spec: &SpawnSpec) -> io::Result<Vec<CString>> {
    let names = [
        ("LISTEN_PID", spec.listen_pid),
        ("WATCHDOG_PID", spec.watchdog_pid),
    ];
    let own_pid: Vec<_> = names
        .into_iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(name, _)| {
            let pid = std::process::id().to_string();
            (OsString::from(name), OsString::from(pid))
        })
        .collect();
    spec.env
        .iter()
        .filter(|(name, _)| own_pid.iter().all(|(own, _)| own != name))
        .chain(&own_pid)
        .map(|(name, value)| {
            let mut pair = name.as_bytes().to_vec();
            pair.push(b'=');
            pair.extend(value.as_bytes());
            c_string(pair)
        })
        .collect()
}

/// An error says that there is nobody to tell.
fn answer(channel: &UnixStream, failure: &Failure) -> io::Result<()> {
    let mut bytes = vec![FAILED];
    bytes.extend(postcard::to_stdvec(failure).unwrap_or_default());
    rustix::net::send(channel, &bytes, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn failure(error: &io::Error, doing: String) -> Failure {
    Failure {
        doing,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        hint: None,
    }
}

/// Says what was being done when an error came up.
pub(super) trait During<T> {
    fn during(self, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| failure(&error.into(), doing()))
    }
}
