//! Where a value and its type part, in words a person can act on.

use std::fmt;

use super::text::quote;

/// Room for one key in a path, in bytes.
const KEY: usize = 64;
/// Room for a reason, in bytes: a parser may quote what it found at length.
const REASON: usize = 400;

/// A value doesn't fit its type, or one type another; or converting would cost too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertError {
    /// Where, as in `$.items[3].price`; `$` is the value itself. Of types, `[*]` is any element, `[key]` any key of a map.
    pub path: String,
    /// What was expected there and what was found.
    pub reason: String,
    /// Whether the value may well fit, but exceeds the [`Budget`](super::Budget).
    pub over_budget: bool,
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.path, self.reason)
    }
}

impl std::error::Error for ConvertError {}

/// One step of a path.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    Index(usize),
    Key(String),
    /// Any element, or value of a map.
    Each,
    /// Any key of a map.
    EachKey,
}

/// An error on its way out: every level it passes adds its own step.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    reason: String,
    over_budget: bool,
    /// Innermost first.
    trail: Vec<Segment>,
}

impl Failure {
    pub(super) fn misfit(reason: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            reason: reason.into(),
            over_budget: false,
            trail: Vec::new(),
        })
    }

    pub(super) fn over_budget(reason: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            over_budget: true,
            ..*Self::misfit(reason)
        })
    }

    pub(super) fn under(mut self: Box<Self>, segment: Segment) -> Box<Self> {
        self.trail.push(segment);
        self
    }

    pub(super) fn into_error(self) -> ConvertError {
        ConvertError {
            path: path(&self.trail),
            reason: shortened(self.reason),
            over_budget: self.over_budget,
        }
    }
}

fn path(trail: &[Segment]) -> String {
    let mut path = String::from("$");
    for segment in trail.iter().rev() {
        match segment {
            Segment::Index(index) => path.push_str(&format!("[{index}]")),
            Segment::Each => path.push_str("[*]"),
            Segment::EachKey => path.push_str("[key]"),
            Segment::Key(key) if is_plain(key) => {
                path.push('.');
                path.push_str(key);
            }
            Segment::Key(key) => {
                path.push('[');
                path.push_str(&quote(key, KEY));
                path.push(']');
            }
        }
    }
    path
}

fn is_plain(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !key.is_empty() && key.len() <= KEY && key.chars().all(plain)
}

fn shortened(mut reason: String) -> String {
    if reason.len() > REASON {
        let end = (0..=REASON).rfind(|&at| reason.is_char_boundary(at));
        reason.truncate(end.unwrap_or(0));
        reason.push('…');
    }
    reason
}
