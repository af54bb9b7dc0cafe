//! How fast nginx forks its workers.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{Absent, rival::end};
use crate::{bench::system::found, harness::PrivateDir};

/// nginx started with so many workers: the time from its own start until its log has told the start of all of them.
///
/// # Errors
/// If it isn't installed, or doesn't start.
pub fn nginx_start(workers: usize) -> Result<Duration, Absent> {
    let dir = PrivateDir::new();
    let home = dir.path().display();
    let file = format!(
        "daemon off;\npid {home}/pid;\nerror_log stderr notice;\nworker_processes {workers};\nevents {{}}\n"
    );
    let file = dir.write("nginx.conf", &file);
    let mut command = Command::new(found("nginx")?);
    command
        .arg("-c")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    let began = Instant::now();
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let log = child.stderr.take().ok_or("no pipe")?;
    let started = BufReader::new(log)
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.contains("start worker process "))
        .take(workers)
        .count();
    let took = began.elapsed();
    end(&mut child);
    match started == workers {
        true => Ok(took),
        false => Err(format!("nginx started {started} workers of {workers}")),
    }
}
