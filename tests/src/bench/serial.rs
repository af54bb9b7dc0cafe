//! The peer for starting workers: the same workers, one after the other, through `env`.
//!
//! Each is started by `env` (which changes the environment and replaces itself, as a supervisor's shim does), and the
//! next one only when the last has printed its line. What a supervisor needs above that is its own.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Starts `count` of `worker` with `args`, each when the last has printed `line`; gives the time until the last has.
/// All are killed afterwards, outside the measured time.
///
/// # Errors
/// If one can't be started or ends before its line; in words.
pub fn through_env(
    worker: &Path,
    args: &[&str],
    line: &str,
    count: usize,
) -> Result<Duration, String> {
    let mut started = Started(Vec::with_capacity(count));
    let began = Instant::now();
    for slot in 0..count {
        let mut child = Command::new("env")
            .arg(format!("WORKER_SLOT={slot}"))
            .arg(worker)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("env: {e}"))?;
        let stdout = child.stdout.take();
        started.0.push(child);
        let stdout = BufReader::new(stdout.ok_or("no pipe")?);
        stdout
            .lines()
            .map_while(Result::ok)
            .find(|printed| printed == line)
            .ok_or_else(|| format!("worker {slot} ended without {line:?}"))?;
    }
    Ok(began.elapsed())
}

/// Children that end with their measurement.
pub(super) struct Started(pub(super) Vec<Child>);

impl Drop for Started {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
        }
        for child in &mut self.0 {
            child.wait().ok();
        }
    }
}
