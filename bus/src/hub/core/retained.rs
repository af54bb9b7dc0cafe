//! The last value of topics that keep one, for whoever subscribes later.

use std::{collections::HashMap, rc::Rc, time::Instant};

use super::kept::Kept;
use crate::{Limits, Pattern, Topic};

/// Retained values, bounded in number and bytes.
#[derive(Debug, Default)]
pub(super) struct Retained {
    values: HashMap<Topic, Rc<Kept>>,
    bytes: usize,
}

impl Retained {
    /// Keeps `value` instead of its topic's last one, if the bounds allow it. The hub's own process has none: its values
    /// are few, and others must not be able to use up the room for them.
    pub(super) fn keep(
        &mut self,
        value: Rc<Kept>,
        limits: Option<&Limits>,
        now: Instant,
    ) -> Result<(), String> {
        if let Some(limits) = limits
            && self.may_keep(&value, limits).is_err()
        {
            self.drop_late(now);
            self.may_keep(&value, limits)?;
        }
        self.delete(&value.topic);
        self.bytes += value.frame.len();
        self.values.insert(value.topic.clone(), value);
        Ok(())
    }

    /// Forgets the topic's value, if it has one.
    pub(super) fn delete(&mut self, topic: &Topic) {
        if let Some(old) = self.values.remove(topic) {
            self.bytes -= old.frame.len();
        }
    }

    fn drop_late(&mut self, now: Instant) {
        self.values.retain(|_, value| !value.is_late(now));
        self.bytes = self.values.values().map(|value| value.frame.len()).sum();
    }

    /// How many values there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.values.len(), self.bytes)
    }

    fn may_keep(&self, value: &Kept, limits: &Limits) -> Result<(), String> {
        let old = self.values.get(&value.topic).map(|v| v.frame.len());
        let bytes = self.bytes - old.unwrap_or(0) + value.frame.len();
        if bytes > limits.retained_bytes {
            return Err(format!(
                "retained values take {} bytes of {} that they may in all, and this one has {}: delete some (retain an empty payload)",
                self.bytes,
                limits.retained_bytes,
                value.frame.len()
            ));
        }
        if old.is_none() && self.values.len() >= limits.retained_topics {
            return Err(format!(
                "{} topics have a retained value, and no more may: delete some (retain an empty payload)",
                limits.retained_topics
            ));
        }
        Ok(())
    }

    /// What `pattern` matches and somebody may still want.
    pub(super) fn matching(&self, pattern: &Pattern, now: Instant) -> Vec<Rc<Kept>> {
        let wanted = |v: &&Rc<Kept>| !v.is_late(now);
        match pattern.exact() {
            Some(topic) => Topic::new(topic)
                .ok()
                .and_then(|t| self.values.get(&t))
                .filter(wanted)
                .cloned()
                .into_iter()
                .collect(),
            None => self
                .values
                .values()
                .filter(|v| pattern.matches(v.topic.as_str()))
                .filter(wanted)
                .cloned()
                .collect(),
        }
    }
}
