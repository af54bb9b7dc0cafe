//! Patterns: which topics a subscription wants.
//!
//! NATS's subject model with one difference: the bare pattern `*` means every topic, as it did in the systems Ostler
//! succeeds, and is the same as `>`. No wildcard matches a token that begins with `_` where that token comes first:
//! else a worker that prints what it hears on `*` would feed itself through its own `_log.…` lines.

use std::{fmt, sync::Arc};

use crate::topic::{TopicError, length, token_is_plain};

/// A pattern: a topic in which `*` stands for one token and a last `>` for one or more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Checks a pattern. `*` alone becomes `>`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        if text == "*" {
            return Ok(Self(">".into()));
        }
        length(text)?;
        let last = text.split('.').count() - 1;
        for (i, token) in text.split('.').enumerate() {
            match token {
                "*" => {}
                ">" if i == last => {}
                ">" => return Err(TopicError::TailNotLast(text.into())),
                token => token_is_plain(text, token)?,
            }
        }
        Ok(Self(text.into()))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one topic it matches, if it has no wildcard.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        (!self.0.split('.').any(|t| t == "*" || t == ">")).then_some(&*self.0)
    }

    /// Whether `topic`, which must be one, is wanted.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let (mut want, mut have) = (self.0.split('.'), topic.split('.'));
        let mut first = true;
        loop {
            let reserved = first && topic.starts_with('_');
            match (want.next(), have.next()) {
                (Some(">"), Some(_)) => return !reserved,
                (Some("*"), Some(_)) if !reserved => {}
                (Some(w), Some(h)) if w == h => {}
                (None, None) => return true,
                _ => return false,
            }
            first = false;
        }
    }

    /// Whether every topic that `other` matches is matched by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.0.split('.'), other.0.split('.'));
        let mut first = true;
        loop {
            match (mine.next(), theirs.next()) {
                (Some(">"), Some(t)) => return !(first && t.starts_with('_')),
                (Some("*"), Some(t)) if t != ">" && !(first && t.starts_with('_')) => {}
                (Some(m), Some(t)) if m == t => {}
                (None, None) => return true,
                _ => return false,
            }
            first = false;
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
