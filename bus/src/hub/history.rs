//! Which topics keep a history, and how long it is: as data, given to the hub by whoever starts it.

use std::time::Duration;

use crate::Pattern;

/// Topics that keep their last events, for whoever subscribes with `history` or comes back after a lost connection. Of a
/// list, the first rule that matches a topic decides. Events of the control lane are never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRule {
    /// Which topics.
    pub pattern: Pattern,
    /// Events kept of each topic.
    pub messages: usize,
    /// Bytes kept of each topic: whole frames.
    pub bytes: usize,
    /// How long an event is kept; `None`: as long as there is room.
    pub max_age: Option<Duration>,
}

impl HistoryRule {
    /// The last `messages` events of each topic that `pattern` matches, of at most 1 MiB a topic, however old.
    ///
    /// # Panics
    /// If it is not a pattern: for rules written down in a program.
    #[must_use]
    pub fn last(pattern: &str, messages: usize) -> Self {
        Self {
            pattern: Pattern::new(pattern).expect("a pattern written in the source"),
            messages,
            bytes: 1 << 20,
            max_age: None,
        }
    }
}
