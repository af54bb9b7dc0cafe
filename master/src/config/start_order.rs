//! The `depends_on` key, and what must hold of it among all apps: they are there, and wait for each other in no circle.

use std::{collections::BTreeMap, ops::Range};

use super::{
    app::{AppDefinition, AppName},
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

/// Checks them for all apps; `spans` are the places of their definitions.
pub(super) fn check(
    walker: &mut Walker<'_>,
    apps: &[AppDefinition],
    spans: &BTreeMap<String, Range<usize>>,
) {
    let by_name: BTreeMap<&AppName, &AppDefinition> =
        apps.iter().map(|app| (&app.name, app)).collect();
    for app in apps {
        let key = format!("app.{}.depends_on", app.name);
        let span = spans.get(app.name.as_str()).cloned().unwrap_or(0..0);
        for name in &app.start.depends_on {
            if by_name.contains_key(name) {
                continue;
            }
            let known = apps.iter().map(|app| app.name.as_str());
            let fix = match suggest::closest(name.as_str(), known.clone()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
            };
            let wrong = Wrong::new(format!("there is no app {:?}", name.as_str()), fix);
            walker.misfit(span.clone(), &key, wrong);
        }
        if let Some(circle) = circle(&by_name, app) {
            let wrong = Wrong::new(
                format!("the apps wait for each other: {circle}"),
                "remove one `depends_on` of the circle",
            );
            walker.misfit(span, &key, wrong);
        }
    }
}

/// The way from an app back to itself, if there is one: "a, b, a".
fn circle(apps: &BTreeMap<&AppName, &AppDefinition>, start: &AppDefinition) -> Option<String> {
    let mut ways = vec![vec![&start.name]];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = way.last().and_then(|name| apps.get(name));
        for next in last.iter().flat_map(|app| &app.start.depends_on) {
            let mut way = way.clone();
            way.push(next);
            if *next == start.name {
                let names: Vec<&str> = way.iter().map(|name| name.as_str()).collect();
                return Some(names.join(", "));
            }
            if seen.insert(next) {
                ways.push(way);
            }
        }
    }
    None
}
