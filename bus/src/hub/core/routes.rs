//! Which subscriptions want a topic.

use std::collections::HashMap;

use crate::Pattern;

/// A subscription, or a responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) conn: u64,
    pub(super) sub: u32,
    /// It answers requests rather than hearing events.
    pub(super) serve: bool,
}

/// All subscriptions by pattern. Whoever keeps an answer keeps the epoch with it, and asks again once that has changed.
#[derive(Debug, Default)]
pub(super) struct Routes {
    epoch: u64,
    exact: HashMap<String, Vec<Route>>,
    wild: Vec<(Pattern, Route)>,
}

impl Routes {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What is remembered must be asked again: the routes lead to others now.
    pub(super) fn touch(&mut self) {
        self.epoch += 1;
    }

    pub(super) fn add(&mut self, pattern: &Pattern, route: Route) {
        self.epoch += 1;
        match pattern.exact() {
            Some(topic) => self.exact.entry(topic.to_owned()).or_default().push(route),
            None => self.wild.push((pattern.clone(), route)),
        }
    }

    pub(super) fn remove(&mut self, pattern: &Pattern, conn: u64, sub: u32) {
        self.epoch += 1;
        let is_it = |r: &Route| r.conn == conn && r.sub == sub;
        match pattern.exact() {
            Some(topic) => {
                if let Some(routes) = self.exact.get_mut(topic) {
                    routes.retain(|r| !is_it(r));
                    if routes.is_empty() {
                        self.exact.remove(topic);
                    }
                }
            }
            None => self.wild.retain(|(_, r)| !is_it(r)),
        }
    }

    /// Who wants `topic`; second, whether by a pattern with wildcards.
    pub(super) fn matching<'a>(
        &'a self,
        topic: &'a str,
        serve: bool,
    ) -> impl Iterator<Item = (Route, bool)> + 'a {
        let exact = self.exact.get(topic).into_iter().flatten();
        let wild = self.wild.iter().filter(|(p, _)| p.matches(topic));
        exact
            .map(|r| (*r, false))
            .chain(wild.map(|(_, r)| (*r, true)))
            .filter(move |(r, _)| r.serve == serve)
    }
}
