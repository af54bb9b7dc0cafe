//! A worker's last words: what it printed on standard error before it ended.

use std::collections::VecDeque;

use crate::process::clip::clip;

/// How many lines are kept.
pub const TAIL_LINES: usize = 20;

/// How many bytes are kept of all of them together.
const TAIL_BYTES: usize = 8 << 10;

/// How many bytes are kept of one.
const LINE: usize = 1 << 10;

#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    pub(super) fn push(&mut self, line: &str) {
        let mut kept = clip(line, LINE).to_owned();
        if kept.len() < line.len() {
            kept.push('…');
        }
        self.bytes += kept.len();
        self.lines.push_back(kept);
        while self.lines.len() > TAIL_LINES || self.bytes > TAIL_BYTES {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut tail = Tail::default();
        for number in 0..100 {
            tail.push(&format!("line {number}"));
        }
        let lines = tail.into_lines();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines[0], "line 80");
        assert_eq!(lines[19], "line 99");
    }

    #[test]
    fn long_lines_are_clipped_and_all_together_are_bounded() {
        let mut tail = Tail::default();
        for _ in 0..50 {
            tail.push(&"é".repeat(9000));
        }
        let lines = tail.into_lines();
        assert!(lines.iter().all(|line| line.ends_with('…')));
        assert!(lines.iter().map(String::len).sum::<usize>() <= TAIL_BYTES);
        assert!(lines.len() > 3);
    }
}
