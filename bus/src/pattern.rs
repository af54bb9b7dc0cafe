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

    /// Whether there is a topic that both match.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.0.split('.'), other.0.split('.'));
        let mut first = true;
        loop {
            let wild = |token: &str| token == "*" || token == ">";
            let reserved = |token: &str| first && token.starts_with('_');
            match (mine.next(), theirs.next()) {
                (Some(m), Some(t)) if wild(m) && reserved(t) || wild(t) && reserved(m) => {
                    return false;
                }
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some(m), Some(t)) if m == t || wild(m) || wild(t) => {}
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// Matching as one would say it: by recursion over tokens.
    fn naive(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([], []) => true,
            ([">"], [_, ..]) => true,
            (["*", pattern @ ..], [_, topic @ ..]) => naive(pattern, topic),
            ([p, pattern @ ..], [t, topic @ ..]) => p == t && naive(pattern, topic),
            ([], [_, ..]) | ([_, ..], []) => false,
        }
    }

    fn naive_matches(pattern: &str, topic: &str) -> bool {
        let pattern = if pattern == "*" { ">" } else { pattern };
        let pattern: Vec<&str> = pattern.split('.').collect();
        let topic: Vec<&str> = topic.split('.').collect();
        let reserved = topic[0].starts_with('_') && ["*", ">"].contains(&pattern[0]);
        !reserved && naive(&pattern, &topic)
    }

    fn topic() -> impl Strategy<Value = String> {
        vec(select(vec!["a", "b", "_a", "a-b"]), 1..5).prop_map(|tokens| tokens.join("."))
    }

    fn pattern() -> impl Strategy<Value = String> {
        let tokens = vec(select(vec!["a", "b", "_a", "*", "*"]), 1..5);
        (tokens, any::<bool>()).prop_map(|(mut tokens, tail)| {
            if tail {
                tokens.push(">");
            }
            tokens.join(".")
        })
    }

    proptest! {
        #[test]
        fn matches_as_the_naive_matcher_does(pattern in pattern(), topic in topic()) {
            let is = Pattern::new(&pattern).unwrap().matches(&topic);
            prop_assert_eq!(is, naive_matches(&pattern, &topic));
        }

        #[test]
        fn what_a_pattern_covers_it_matches(
            large in pattern(), small in pattern(), topics in vec(topic(), 20),
        ) {
            let (large, small) = (Pattern::new(&large).unwrap(), Pattern::new(&small).unwrap());
            if large.covers(&small) {
                for topic in topics {
                    prop_assert!(!small.matches(&topic) || large.matches(&topic), "{}", topic);
                }
            }
            prop_assert!(small.covers(&small));
        }

        #[test]
        fn an_exact_pattern_covers_what_it_matches(large in pattern(), topic in topic()) {
            let large = Pattern::new(&large).unwrap();
            let exact = Pattern::new(&topic).unwrap();
            prop_assert_eq!(exact.exact(), Some(&*topic));
            prop_assert_eq!(large.covers(&exact), large.matches(&topic));
        }

        #[test]
        fn patterns_overlap_if_a_topic_is_in_both(
            one in pattern(), other in pattern(), topics in vec(topic(), 20),
        ) {
            let (one, other) = (Pattern::new(&one).unwrap(), Pattern::new(&other).unwrap());
            let both = topics.iter().find(|t| one.matches(t) && other.matches(t));
            prop_assert!(both.is_none() || one.overlaps(&other), "{:?}", both);
            prop_assert_eq!(one.overlaps(&other), other.overlaps(&one));
        }

        #[test]
        fn an_exact_pattern_overlaps_what_matches_it(one in pattern(), topic in topic()) {
            let one = Pattern::new(&one).unwrap();
            prop_assert_eq!(one.overlaps(&Pattern::new(&topic).unwrap()), one.matches(&topic));
        }

        #[test]
        fn any_text_is_a_pattern_or_says_why_not(text in "[a_*>.é ]{0,8}") {
            let tokens: Vec<&str> = text.split('.').collect();
            let plain = |t: &&str| !t.is_empty() && t.chars().all(|c| c == 'a' || c == '_');
            let (last, front) = tokens.split_last().unwrap();
            let is = front.iter().all(|t| *t == "*" || plain(t))
                && (["*", ">"].contains(last) || plain(last));
            prop_assert_eq!(Pattern::new(&text).is_ok(), is);
        }
    }

    #[test]
    fn the_bare_star_is_everything_but_what_is_reserved() {
        let all = Pattern::new("*").unwrap();
        assert_eq!(all, Pattern::new(">").unwrap());
        assert!(all.matches("a") && all.matches("a.b.c"));
        assert!(!all.matches("_log.web.0"));
        assert!(Pattern::new("_log.>").unwrap().matches("_log.web.0"));
        assert!(all.matches("a._b"), "only the first token is reserved");
    }
}
