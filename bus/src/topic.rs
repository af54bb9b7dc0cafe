//! Topics: where events are published.

use std::{fmt, sync::Arc};

use crate::limits::TOPIC_BYTES;

/// A topic: 1 to 255 bytes of dot-separated tokens of `A-Z a-z 0-9 _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks a topic.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks that `text` is a topic, without making one.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn check(text: &str) -> Result<(), TopicError> {
    length(text)?;
    text.split('.')
        .try_for_each(|token| token_is_plain(text, token))
}

pub(crate) fn length(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        n if n > TOPIC_BYTES => Err(TopicError::TooLong(n)),
        _ => Ok(()),
    }
}

pub(crate) fn token_is_plain(text: &str, token: &str) -> Result<(), TopicError> {
    if token.is_empty() {
        return Err(TopicError::EmptyToken(text.into()));
    }
    match token
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
    {
        Some(c) => Err(TopicError::Character(text.into(), c)),
        None => Ok(()),
    }
}

/// Why a text is not a topic or a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// It has no characters.
    Empty,
    /// It has this many bytes, more than 255.
    TooLong(usize),
    /// Two dots in a row, or a dot at an end.
    EmptyToken(String),
    /// A character that no token may have.
    Character(String, char),
    /// A `>` that is not the last token.
    TailNotLast(String),
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a topic can't be empty"),
            Self::TooLong(n) => write!(
                f,
                "a topic has at most {TOPIC_BYTES} bytes, this one has {n}"
            ),
            Self::EmptyToken(t) => write!(
                f,
                "topic {t:?} has an empty token: one dot between tokens, none at the ends"
            ),
            Self::Character(t, c) => write!(
                f,
                "topic {t:?} has the character {c:?}: tokens are of A-Z a-z 0-9 _ - (patterns also have * for one token and a last > for the rest)"
            ),
            Self::TailNotLast(t) => write!(
                f,
                "pattern {t:?} has > before its end: it stands for all the rest"
            ),
        }
    }
}

impl std::error::Error for TopicError {}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(text: &str) -> bool {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        !text.is_empty()
            && text.len() <= 255
            && text
                .split('.')
                .all(|token| !token.is_empty() && token.chars().all(good))
    }

    proptest! {
        #[test]
        fn any_text_is_a_topic_or_says_why_not(text in "[a-c_.*> é-]{0,12}") {
            prop_assert_eq!(Topic::new(&text).is_ok(), naive(&text));
        }

        #[test]
        fn plain_tokens_are_a_topic(text in "[A-Za-z0-9_-]{1,20}([.][A-Za-z0-9_-]{1,20}){0,9}") {
            let topic = Topic::new(&text).unwrap();
            prop_assert_eq!(topic.as_str(), text);
        }
    }

    #[test]
    fn the_longest_topic_has_255_bytes() {
        assert!(Topic::new(&"x".repeat(255)).is_ok());
        assert_eq!(Topic::new(&"x".repeat(256)), Err(TopicError::TooLong(256)));
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
    }
}
