//! The `depends_on` key, and what must hold of it among all apps: they are there, and wait for each other in no circle.

use std::{collections::BTreeMap, ops::Range};

use super::{
    app::AppName,
    errors::Wrong,
    suggest,
    walk::{Node, Walker},
};

/// Reads `depends_on`: one app or several.
pub(super) fn depends_on(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
) -> Option<Vec<AppName>> {
    let fix = "write the names of apps: [\"db\"]";
    let texts = match node.get_ref().as_str() {
        Some(text) => vec![text.to_owned()],
        None => walker.strings(path, node, fix)?,
    };
    let named = texts.iter().map(|text| {
        let name = AppName::new(text).map_err(|problem| Wrong::new(problem, fix));
        walker.take(path, node, name)
    });
    let named: Vec<Option<AppName>> = named.collect();
    named.into_iter().collect()
}

/// What one app waits for, and where that is said.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) depends_on: Vec<AppName>,
    pub(super) span: Range<usize>,
}

/// Checks them for all apps of a file, those with other faults among them.
pub(super) fn check(walker: &mut Walker<'_>, orders: &BTreeMap<String, Order>) {
    for (app, order) in orders {
        let key = format!("app.{app}.depends_on");
        for name in &order.depends_on {
            if orders.contains_key(name.as_str()) {
                continue;
            }
            let known = orders.keys().map(String::as_str);
            let fix = match suggest::closest(name.as_str(), known.clone()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
            };
            let wrong = Wrong::new(format!("there is no app {:?}", name.as_str()), fix);
            walker.misfit(order.span.clone(), &key, wrong);
        }
        if let Some(circle) = circle(orders, app) {
            let wrong = Wrong::new(
                format!("the apps wait for each other: {circle}"),
                "remove one `depends_on` of the circle",
            );
            walker.misfit(order.span.clone(), &key, wrong);
        }
    }
}

/// The way from an app back to itself, if there is one: "a, b, a".
fn circle(orders: &BTreeMap<String, Order>, start: &str) -> Option<String> {
    let mut ways = vec![vec![start]];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = way.last().and_then(|name| orders.get(*name));
        for next in last.iter().flat_map(|order| &order.depends_on) {
            let next = next.as_str();
            let mut way = way.clone();
            way.push(next);
            if next == start {
                return Some(way.join(", "));
            }
            if seen.insert(next) {
                ways.push(way);
            }
        }
    }
    None
}
