//! When a remembered path must be worked out anew.

use std::{cell::Cell, collections::HashMap, rc::Rc};

use super::trie::first_token;
use crate::Pattern;

/// Topics kept at least before those that nobody remembers are cleared away.
const KEPT: usize = 64;

/// When something was worked out for a topic.
#[derive(Debug)]
pub(in crate::hub::core) struct Stamp {
    /// Its topic's count of changes: now, and then.
    live: Rc<Cell<u64>>,
    then: u64,
    /// The count of changes that concern every topic, then.
    of_all: u64,
}

/// A count of changes for each topic that somebody remembers something for, by its tokens.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    root: Node,
    /// Changes that concern every topic.
    of_all: u64,
    /// Topics there are, and how many there may be before they are looked through.
    len: usize,
    most: usize,
}

#[derive(Debug, Default)]
struct Node {
    count: Option<Rc<Cell<u64>>>,
    next: HashMap<Box<str>, Self>,
}

impl Stamps {
    pub(super) fn of(&mut self, topic: &str) -> Stamp {
        if self.len >= self.most.max(KEPT) {
            self.len = self.root.clear_away();
            self.most = self.len * 2;
        }
        let mut node = &mut self.root;
        for token in topic.split('.') {
            // Looked up first: most are there, and then nothing is copied.
            if !node.next.contains_key(token) {
                node.next.insert(token.into(), Node::default());
            }
            node = node.next.entry(token.into()).or_default();
        }
        let live = Rc::clone(node.count.get_or_insert_with(|| {
            self.len += 1;
            Rc::default()
        }));
        Stamp {
            then: live.get(),
            live,
            of_all: self.of_all,
        }
    }

    pub(super) fn is_fresh(&self, stamp: &Stamp) -> bool {
        stamp.live.get() == stamp.then && stamp.of_all == self.of_all
    }

    /// What was worked out for topics that `pattern` matches is stale.
    pub(super) fn outdate(&mut self, pattern: &Pattern) {
        match pattern.as_str() {
            ">" => self.outdate_all(),
            pattern => self.root.outdate(Some(pattern), true),
        }
    }

    /// Whatever was worked out is stale.
    pub(super) fn outdate_all(&mut self) {
        self.of_all += 1;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Node {
    fn outdate(&self, rest: Option<&str>, is_root: bool) {
        let Some(rest) = rest else {
            self.change();
            return;
        };
        let (token, rest) = first_token(rest);
        match token {
            ">" => self.outdate_below(),
            "*" => {
                let plain = |token: &str| !(is_root && token.starts_with('_'));
                for (_, node) in self.next.iter().filter(|(token, _)| plain(token)) {
                    node.outdate(rest, false);
                }
            }
            token => {
                if let Some(node) = self.next.get(token) {
                    node.outdate(rest, false);
                }
            }
        }
    }

    fn outdate_below(&self) {
        for node in self.next.values() {
            node.change();
            node.outdate_below();
        }
    }

    fn change(&self) {
        if let Some(count) = &self.count {
            count.set(count.get() + 1);
        }
    }

    /// Drops counts that nobody has a stamp of, and says how many are left.
    fn clear_away(&mut self) -> usize {
        if self
            .count
            .as_ref()
            .is_some_and(|count| Rc::strong_count(count) == 1)
        {
            self.count = None;
        }
        let mut left = usize::from(self.count.is_some());
        self.next.retain(|_, node| {
            let below = node.clear_away();
            left += below;
            below > 0
        });
        left
    }
}
