//! How a worker tells that it is there, alike for all supervisors: it connects to a Unix socket and says its process id.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    thread::park_timeout,
    time::Duration,
};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often a worker looks whether the benchmark is still there.
const LOOK: Duration = Duration::from_millis(500);

/// Where workers tell that they are there.
#[derive(Debug)]
pub struct Births {
    listener: UnixListener,
    path: PathBuf,
}

impl Births {
    /// Listens at `path`, which is gone when this is: then the workers end themselves.
    ///
    /// # Errors
    /// If that can't be.
    pub fn at(path: PathBuf) -> Result<Self, String> {
        let listener = UnixListener::bind(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self { listener, path })
    }

    /// The words that start such a worker: this program, in a role.
    ///
    /// # Errors
    /// If the system doesn't say where this program is.
    pub fn worker(&self) -> Result<Vec<String>, String> {
        let mut words = super::super::roles::command("beat")?;
        words.push(self.path.to_string_lossy().into_owned());
        Ok(words)
    }

    /// The process id of the next worker that is there.
    ///
    /// # Errors
    /// If none comes in time.
    pub fn next(&self, within: Duration) -> Result<u32, String> {
        let patience = Timespec {
            tv_sec: within.as_secs().cast_signed(),
            tv_nsec: within.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        if poll(&mut fds, Some(&patience)).map_err(|e| e.to_string())? == 0 {
            return Err(format!("no worker came in {within:?}"));
        }
        let (mut stream, _) = self.listener.accept().map_err(|e| e.to_string())?;
        let mut pid = String::new();
        stream.read_to_string(&mut pid).map_err(|e| e.to_string())?;
        pid.parse().map_err(|_| format!("{pid:?} is no process id"))
    }
}

impl Drop for Births {
    fn drop(&mut self) {
        // It may be gone with its directory.
        std::fs::remove_file(&self.path).ok();
    }
}

/// A role: says that it is there, also to whoever gave it a `NOTIFY_SOCKET`, and stays until the benchmark is gone.
pub(super) fn beat(args: &[String]) -> Result<(), String> {
    let [path] = args else {
        return Err("usage: SOCKET".into());
    };
    let failed = |e: std::io::Error| format!("{path}: {e}");
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    write!(stream, "{}", std::process::id()).map_err(failed)?;
    drop(stream);
    if let Ok(path) = std::env::var("NOTIFY_SOCKET") {
        notify(Path::new(&path)).map_err(|e| format!("{path}: {e}"))?;
    }
    while Path::new(path).exists() {
        park_timeout(LOOK);
    }
    Ok(())
}

fn notify(path: &Path) -> nix::Result<()> {
    use std::os::fd::AsRawFd;

    let socket = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let to = UnixAddr::new(path)?;
    sendto(socket.as_raw_fd(), b"READY=1", &to, MsgFlags::empty()).map(drop)
}
