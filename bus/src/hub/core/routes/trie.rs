//! Patterns with wildcards as a tree of their tokens.

use std::collections::HashMap;

use super::Routed;
use crate::Pattern;

/// A subscription's connection and number, and whether it serves.
pub(super) type Found = ((u64, u32), bool);

/// All patterns with wildcards.
#[derive(Debug, Default)]
pub(super) struct Trie(Node);

/// What follows on some tokens. At most 128 deep: a topic has 255 bytes.
#[derive(Debug, Default)]
struct Node {
    /// Patterns that end here.
    here: Routed,
    /// Patterns that go on with a last `>`.
    tail: Routed,
    /// What follows on `*`.
    star: Option<Box<Self>>,
    /// What follows on this very token.
    next: HashMap<Box<str>, Self>,
}

impl Trie {
    /// What a token of a pattern takes if no other pattern has it: a table with a single entry has room for four.
    pub(super) const TOKEN_BYTES: usize = 5 * size_of::<(Box<str>, Node)>();

    pub(super) fn add(&mut self, pattern: &Pattern, key: (u64, u32), serve: bool) {
        let mut node = &mut self.0;
        for token in pattern.as_str().split('.') {
            node = match token {
                ">" => {
                    node.tail.insert(key, serve);
                    return;
                }
                "*" => node.star.get_or_insert_default(),
                token => node.next.entry(token.into()).or_default(),
            };
        }
        node.here.insert(key, serve);
    }

    pub(super) fn remove(&mut self, pattern: &Pattern, key: (u64, u32)) {
        self.0.remove(Some(pattern.as_str()), key);
    }

    pub(super) fn matching(&self, topic: &str) -> Vec<Found> {
        let mut found = Vec::new();
        self.0.find(Some(topic), topic.starts_with('_'), &mut found);
        found
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The first token, and what comes after it.
pub(super) fn first_token(text: &str) -> (&str, Option<&str>) {
    match text.split_once('.') {
        Some((token, rest)) => (token, Some(rest)),
        None => (text, None),
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.tail.is_empty() && self.star.is_none() && self.next.is_empty()
    }

    /// Takes out `key` under the rest of its pattern, and the nodes that are then needed no more.
    fn remove(&mut self, rest: Option<&str>, key: (u64, u32)) {
        let Some(rest) = rest else {
            self.here.remove(&key);
            return;
        };
        let (token, rest) = first_token(rest);
        match token {
            ">" => {
                self.tail.remove(&key);
            }
            "*" => {
                if let Some(star) = &mut self.star {
                    star.remove(rest, key);
                    if star.is_empty() {
                        self.star = None;
                    }
                }
            }
            token => {
                if let Some(next) = self.next.get_mut(token) {
                    next.remove(rest, key);
                    if next.is_empty() {
                        self.next.remove(token);
                    }
                }
            }
        }
    }

    /// Finds what matches the rest of a topic; wildcards don't where its token is reserved.
    fn find(&self, rest: Option<&str>, reserved: bool, found: &mut Vec<Found>) {
        let Some(rest) = rest else {
            found.extend(self.here.iter().map(|(key, serve)| (*key, *serve)));
            return;
        };
        let (token, rest) = first_token(rest);
        if !reserved {
            found.extend(self.tail.iter().map(|(key, serve)| (*key, *serve)));
            if let Some(star) = &self.star {
                star.find(rest, false, found);
            }
        }
        if let Some(next) = self.next.get(token) {
            next.find(rest, false, found);
        }
    }
}
