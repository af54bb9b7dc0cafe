//! A program on a disk that doesn't answer: whoever wants to run it waits.

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::copy_program;

/// Takes out a lease for writing on a file. Whoever opens it waits until that is given back, or the kernel loses its patience
/// after `/proc/sys/fs/lease-break-time`, 45 s.
const HOLD: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('.', end='', flush=True)
sys.stdin.read()
";

/// Keeps a program from being run; when it is dropped, whoever waits goes on.
#[derive(Debug)]
pub struct SlowDisk(Child);

impl SlowDisk {
    /// Puts a copy of a program to `path`, on such a disk.
    ///
    /// # Panics
    /// If that can't be done: it takes `python3`.
    #[must_use]
    pub fn with(program: &str, path: &Path) -> Self {
        copy_program(program, path);
        let mut holder = Command::new("python3")
            .args(["-c", HOLD])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let held = holder.stdout.as_mut().expect("piped");
        held.read_exact(&mut [0]).expect("a lease");
        Self(holder)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // It can only have ended.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
