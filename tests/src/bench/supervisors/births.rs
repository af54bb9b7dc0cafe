//! How a worker tells that it is there, alike for all supervisors: it connects to a Unix socket and says its process id.

use std::{
    io::Read,
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bench::serial::Started;

/// Where workers tell that they are there.
#[derive(Debug)]
pub struct Births {
    program: &'static str,
    listener: UnixListener,
    path: PathBuf,
}

impl Births {
    /// Listens at `path`, which is gone when this is: then the workers end themselves. They are `misbehave`, whose path
    /// `program` is.
    ///
    /// # Errors
    /// If that can't be.
    pub fn at(path: PathBuf, program: &'static str) -> Result<Self, String> {
        let listener = UnixListener::bind(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self {
            program,
            listener,
            path,
        })
    }

    /// The words that start such a worker.
    #[must_use]
    pub fn worker(&self) -> Vec<String> {
        let path = self.path.to_string_lossy();
        vec![self.program.into(), "born".into(), path.into_owned()]
    }

    /// Starts so many through `env`, all at once, as nobody's; gives the time until all are there. They are killed
    /// afterwards, outside the measured time.
    ///
    /// # Errors
    /// If one can't be started, or doesn't come in time.
    pub fn through_env(&self, workers: usize, within: Duration) -> Result<Duration, String> {
        let worker = self.worker();
        let mut started = Started(Vec::with_capacity(workers));
        let began = Instant::now();
        for slot in 0..workers {
            let child = Command::new("env")
                .arg(format!("WORKER_SLOT={slot}"))
                .args(&worker)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .map_err(|e| format!("env: {e}"))?;
            started.0.push(child);
        }
        for _ in 0..workers {
            self.next(within)?;
        }
        Ok(began.elapsed())
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
