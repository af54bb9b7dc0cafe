//! Node's cluster channel: a primary that hands what one worker sends to the others, as the design this project began with has it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::conduct::Outcome;

/// Primary, publisher and subscribers in one program: Node starts itself again for each.
const SCRIPT: &str = include_str!("node.cjs");

/// Sends so many events to so many workers.
///
/// # Errors
/// If Node isn't installed, or fails.
pub fn run(subscribers: usize, events: u64, payload: usize) -> Result<Outcome, String> {
    let dir = crate::harness::PrivateDir::new();
    let script = dir.write("node.cjs", SCRIPT);
    let mut child = Command::new("node")
        .arg(script)
        .args([
            subscribers.to_string(),
            events.to_string(),
            payload.to_string(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("node: {e}: apt-get install nodejs"))?;
    // It ends with its standard input, should this process end first.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    drop(stdin.map(|mut stdin| stdin.flush()));
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let [seconds, cpu_nanos, read] = numbers[..] else {
        return Err(format!("node ended with {}: {text}", output.status));
    };
    let all = events as f64 * subscribers as f64;
    Ok(Outcome {
        deliveries_per_second: read / seconds,
        cpu_nanos_per_delivery: cpu_nanos / read,
        lost: (all - read) as u64,
    })
}
