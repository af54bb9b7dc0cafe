//! The last value of topics that keep one, for whoever subscribes later.

use std::{collections::HashMap, rc::Rc};

use bytes::Bytes;

use super::item::{Announced, Card};
use crate::{Limits, Pattern, Topic};

/// A retained value: one EMIT frame, in memory of its own.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) topic: Topic,
    pub(super) card: Rc<Card>,
    pub(super) seq: u64,
    pub(super) ty: Option<Rc<Announced>>,
    pub(super) frame: Bytes,
    /// It belongs to the control lane.
    pub(super) urgent: bool,
}

/// Retained values, bounded in number and bytes.
#[derive(Debug, Default)]
pub(super) struct Retained {
    values: HashMap<Topic, Value>,
    bytes: usize,
}

impl Retained {
    /// Keeps `value` instead of its topic's last one, if the bounds allow it. The hub's own process has none: its values
    /// are few, and others must not be able to use up the room for them.
    pub(super) fn keep(&mut self, value: Value, limits: Option<&Limits>) -> Result<(), String> {
        let old = self.values.get(&value.topic).map(|v| v.frame.len());
        let bytes = self.bytes - old.unwrap_or(0) + value.frame.len();
        if let Some(limits) = limits {
            self.may_keep(old.is_none(), bytes, limits)?;
        }
        self.bytes = bytes;
        self.values.insert(value.topic.clone(), value);
        Ok(())
    }

    /// How many values there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.values.len(), self.bytes)
    }

    fn may_keep(&self, is_new: bool, bytes: usize, limits: &Limits) -> Result<(), String> {
        if bytes > limits.retained_bytes {
            return Err(format!(
                "retained values may take {} bytes in all, and this one is too many",
                limits.retained_bytes
            ));
        }
        if is_new && self.values.len() >= limits.retained_topics {
            return Err(format!(
                "{} topics have a retained value, and no more may",
                limits.retained_topics
            ));
        }
        Ok(())
    }

    /// What `pattern` matches, in the order in which it was taken.
    pub(super) fn matching(&self, pattern: &Pattern) -> Vec<Value> {
        let mut values: Vec<Value> = match pattern.exact() {
            Some(topic) => Topic::new(topic)
                .ok()
                .and_then(|t| self.values.get(&t).cloned())
                .into_iter()
                .collect(),
            None => self
                .values
                .values()
                .filter(|v| pattern.matches(v.topic.as_str()))
                .cloned()
                .collect(),
        };
        values.sort_by_key(|v| (v.urgent, v.seq));
        values
    }
}
