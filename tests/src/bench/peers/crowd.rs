//! What connections cost: how fast they come, and what an idle one holds.

use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    line::Line,
    server::Server,
    wire::{Wire, ostler},
};

/// Connects so many times, each when the one before was greeted and has ended; connections a second.
///
/// # Errors
/// If one fails.
pub fn connects(server: &Server, count: usize) -> Result<f64, String> {
    let began = Instant::now();
    for _ in 0..count {
        server.wire.connect(&server.subscribers, false)?;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Memory of a broker's process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crowd {
    /// Before anybody was connected, in bytes.
    pub idle: f64,
    /// For each idle connection, in bytes.
    pub each: f64,
}

/// Opens so many connections, one in ten with a subscription, and leaves them alone.
///
/// # Errors
/// If one fails.
pub fn idle(server: &Server, count: usize) -> Result<Crowd, String> {
    let resident =
        || -> Result<f64, String> { Ok((server.process.memory()?.resident * 1024) as f64) };
    let idle = resident()?;
    let mut lines: Vec<Line> = Vec::with_capacity(count);
    for number in 0..count {
        let mut line = server.wire.connect(&server.subscribers, false)?;
        if number % 10 == 0 {
            match server.wire {
                Wire::Ostler => ostler::subscribe(&mut line, ostler::Options::default())?,
                wire => wire.subscribe(&mut line, &server.subscribers)?,
            }
        }
        lines.push(line);
    }
    Ok(Crowd {
        idle,
        each: (resident()? - idle) / count as f64,
    })
}

/// As many descriptors as the system allows this process and those it starts; how many that is.
#[must_use]
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it may not be raised, what there is must do.
    setrlimit(Resource::Nofile, raised).ok();
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
