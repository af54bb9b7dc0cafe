//! Which subscriptions want a topic, and which remembered paths a subscription that comes or goes makes stale.
//!
//! Thousands of connections come and go while others publish. So patterns stand in a [tree of tokens](trie), where one
//! of many is added or removed without looking at the rest, and each topic that somebody has remembered a path for has
//! a [stamp](stamps) of its own, which changes only if a pattern that matches the topic comes or goes.

mod stamps;
mod trie;

use std::collections::{BTreeMap, HashMap};

use self::{stamps::Stamps, trie::Trie};
use crate::Pattern;

pub(super) use self::stamps::Stamp;

/// A subscription, or a responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) conn: u64,
    pub(super) sub: u32,
    /// It answers requests rather than hearing events.
    pub(super) serve: bool,
}

/// Routes of one pattern, by connection and subscription; whether each serves.
type Routed = BTreeMap<(u64, u32), bool>;

/// A map of them with a single entry has room for eleven.
const ROUTED_BYTES: usize = 12 * size_of::<((u64, u32), bool)>();

/// All subscriptions by pattern. Whoever keeps an answer keeps its topic's stamp with it, and asks again once that is
/// stale.
#[derive(Debug, Default)]
pub(super) struct Routes {
    exact: HashMap<Box<str>, Routed>,
    wild: Trie,
    stamps: Stamps,
    /// Subscriptions to reserved topics that have begun or ended since somebody looked.
    reserved: Vec<(Pattern, bool)>,
}

impl Routes {
    /// What follows from any route may follow otherwise now.
    pub(super) fn outdate_all(&mut self) {
        self.stamps.outdate_all();
    }

    /// What follows for topics that `pattern` matches may follow otherwise now: its routes lead to others.
    pub(super) fn outdate(&mut self, pattern: &Pattern) {
        self.stamps.outdate(pattern);
    }

    pub(super) fn add(&mut self, pattern: &Pattern, route: Route) {
        self.note(pattern, route.serve, true);
        self.stamps.outdate(pattern);
        let (key, serve) = ((route.conn, route.sub), route.serve);
        match pattern.exact() {
            Some(topic) => {
                let routed = self.exact.entry(topic.into()).or_default();
                routed.insert(key, serve);
            }
            None => self.wild.add(pattern, key, serve),
        }
    }

    /// Bytes of memory that a route may take: those of its own entry, and of its pattern's if no other route has it.
    pub(super) fn held(pattern: &Pattern) -> usize {
        let text = pattern.as_str();
        let entries = match pattern.exact() {
            Some(_) => 2 * size_of::<(Box<str>, Routed)>(),
            None => text.split('.').count() * Trie::TOKEN_BYTES,
        };
        text.len() + entries + ROUTED_BYTES
    }

    pub(super) fn remove(&mut self, pattern: &Pattern, conn: u64, sub: u32) {
        self.stamps.outdate(pattern);
        match pattern.exact() {
            Some(topic) => {
                let Some(routed) = self.exact.get_mut(topic) else {
                    return;
                };
                let serve = routed.remove(&(conn, sub));
                if routed.is_empty() {
                    self.exact.remove(topic);
                }
                self.note(pattern, serve != Some(false), false);
            }
            None => {
                self.wild.remove(pattern, (conn, sub));
                // Nobody but the master may answer there, and it does so topic by topic.
                self.note(pattern, false, false);
            }
        }
    }

    /// Subscriptions to reserved topics, and whether each has begun or ended, since this was last asked.
    pub(super) fn take_reserved(&mut self) -> Vec<(Pattern, bool)> {
        std::mem::take(&mut self.reserved)
    }

    fn note(&mut self, pattern: &Pattern, serve: bool, begun: bool) {
        if !serve && pattern.as_str().starts_with('_') {
            self.reserved.push((pattern.clone(), begun));
        }
    }

    /// The stamp of what [`matching`](Self::matching) says of `topic` from now on.
    pub(super) fn stamp(&mut self, topic: &str) -> Stamp {
        self.stamps.of(topic)
    }

    /// Whether [`matching`](Self::matching) says what it said when the stamp was given.
    pub(super) fn is_fresh(&self, stamp: &Stamp) -> bool {
        self.stamps.is_fresh(stamp)
    }

    /// Who wants `topic`; second, whether by a pattern with wildcards. In an order that depends on nothing but who they
    /// are: topics that the same subscriptions want share their runs.
    pub(super) fn matching(&self, topic: &str, serve: bool) -> Vec<(Route, bool)> {
        let exact = self.exact.get(topic).into_iter().flatten();
        let mut wild = self.wild.matching(topic);
        wild.sort_unstable_by_key(|(key, _)| *key);
        let route = |(conn, sub), by_wildcard| (Route { conn, sub, serve }, by_wildcard);
        exact
            .filter(|(_, serves)| **serves == serve)
            .map(|(key, _)| route(*key, false))
            .chain(
                wild.iter()
                    .filter(|(_, serves)| *serves == serve)
                    .map(|(key, _)| route(*key, true)),
            )
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    #[test]
    fn who_listens_to_reserved_topics_is_told_of_and_who_answers_there_is_not() {
        let mut routes = Routes::default();
        let all = ["_log.>", "_log.web.0", "orders.>"].map(|text| Pattern::new(text).unwrap());
        let route = |sub, serve| Route {
            conn: 1,
            sub,
            serve,
        };
        for (sub, pattern) in (0..).zip(&all) {
            routes.add(pattern, route(sub, false));
        }
        let answered = Pattern::new("_sys.worker.ready").unwrap();
        routes.add(&answered, route(9, true));
        let told = |begun| {
            all[..2]
                .iter()
                .map(|p| (p.clone(), begun))
                .collect::<Vec<_>>()
        };
        assert_eq!(routes.take_reserved(), told(true));
        for (sub, pattern) in (0..).zip(&all) {
            routes.remove(pattern, 1, sub);
        }
        routes.remove(&answered, 1, 9);
        routes.remove(&answered, 1, 9);
        assert_eq!(routes.take_reserved(), told(false));
        assert!(routes.take_reserved().is_empty());
    }

    fn topic() -> impl Strategy<Value = String> {
        vec(select(vec!["a", "b", "_a"]), 1..4).prop_map(|tokens| tokens.join("."))
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        let tokens = vec(select(vec!["a", "b", "_a", "*", "*"]), 0..4);
        (tokens, any::<bool>()).prop_map(|(mut tokens, tail)| {
            if tail || tokens.is_empty() {
                tokens.push(">");
            }
            Pattern::new(&tokens.join(".")).unwrap()
        })
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(Pattern, u64, bool),
        /// The one at this place, of those there are.
        Remove(usize),
        Remember(String),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (pattern(), 0..5_u64, any::<bool>()).prop_map(|(p, c, s)| Step::Add(p, c, s)),
            2 => any::<usize>().prop_map(Step::Remove),
            3 => topic().prop_map(Step::Remember),
        ]
    }

    /// What is kept, as one would keep it: a list.
    #[derive(Default)]
    struct Naive {
        routes: Vec<(Pattern, Route)>,
        remembered: Vec<(String, Stamp)>,
    }

    impl Naive {
        fn matching(&self, topic: &str, serve: bool) -> Vec<(u64, u32, bool)> {
            let mut all: Vec<_> = self
                .routes
                .iter()
                .filter(|(p, r)| p.matches(topic) && r.serve == serve)
                .map(|(p, r)| (r.conn, r.sub, p.exact().is_none()))
                .collect();
            all.sort_unstable();
            all
        }

        /// A change of `pattern` must outdate what it matches, and nothing else unless it is everything.
        fn check_stamps(&mut self, routes: &Routes, pattern: &Pattern) {
            self.remembered.retain(|(topic, stamp)| {
                let fresh = routes.is_fresh(stamp);
                let matched = pattern.matches(topic);
                assert!(!(fresh && matched), "{pattern} leaves {topic} fresh");
                assert!(fresh || matched || pattern.as_str() == ">");
                fresh
            });
        }
    }

    proptest! {
        #[test]
        fn routes_and_stamps_are_those_of_a_plain_list(steps in vec(step(), 1..60), topics in vec(topic(), 8)) {
            let (mut routes, mut naive) = (Routes::default(), Naive::default());
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Add(pattern, conn, serve) => {
                        let route = Route { conn, sub: n as u32, serve };
                        routes.add(&pattern, route);
                        naive.check_stamps(&routes, &pattern);
                        naive.routes.push((pattern, route));
                    }
                    Step::Remove(at) if !naive.routes.is_empty() => {
                        let (pattern, route) = naive.routes.swap_remove(at % naive.routes.len());
                        routes.remove(&pattern, route.conn, route.sub);
                        naive.check_stamps(&routes, &pattern);
                    }
                    Step::Remove(_) => {}
                    Step::Remember(topic) => {
                        let stamp = routes.stamp(&topic);
                        naive.remembered.push((topic, stamp));
                    }
                }
                for topic in &topics {
                    for serve in [false, true] {
                        let mut is: Vec<_> = routes
                            .matching(topic, serve)
                            .into_iter()
                            .map(|(r, by_wildcard)| (r.conn, r.sub, by_wildcard))
                            .collect();
                        is.sort_unstable();
                        prop_assert_eq!(is, naive.matching(topic, serve));
                    }
                }
            }
            for (pattern, route) in naive.routes.drain(..) {
                routes.remove(&pattern, route.conn, route.sub);
            }
            prop_assert!(routes.exact.is_empty() && routes.wild.is_empty(), "nothing is left behind");
        }
    }

    #[test]
    fn what_nobody_remembers_is_not_kept() {
        let mut routes = Routes::default();
        let kept = routes.stamp("kept.one");
        for n in 0..10_000 {
            routes.stamp(&format!("passing.{n}"));
        }
        assert!(routes.stamps.len() < 200, "{}", routes.stamps.len());
        routes.add(
            &Pattern::new("kept.*").unwrap(),
            Route {
                conn: 1,
                sub: 1,
                serve: false,
            },
        );
        assert!(!routes.is_fresh(&kept));
    }
}
