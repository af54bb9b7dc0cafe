//! The relay: whoever connects says with one byte what it is, and the rest is payloads.

use super::super::line::Line;

pub(super) fn greet(line: &mut Line, publishes: bool) -> Result<(), String> {
    line.write(if publishes { b"p" } else { b"s" })?;
    // It answers when it has everybody.
    line.until(|came| Ok(came.first().map(|_| (1, ()))))
}
