//! An app's `bus` table: what its workers may do there.
//!
//! ```toml
//! [app.web.bus]
//! emit = { allow = ["orders.>"], deny = ["orders.internal.>"] }
//! subscribe = { deny = ["billing.>"] }
//! ```

use ostler_bus::{
    Pattern,
    hub::Action,
    vocab::rights::{Allowance, AppRights},
};

use super::walk::{Node, Walker};

/// What may be said of each action.
const KEYS: [&str; 2] = ["allow", "deny"];

/// What was said, by action; each at most once.
pub type BusRights = Vec<(Action, Allowance)>;

/// Reads an app's `bus` table.
pub(super) fn read(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> BusRights {
    let words: Vec<&'static str> = Action::ALL.map(AppRights::word).to_vec();
    let fix = "write a table: { emit = { deny = [\"admin.>\"] } }";
    let mut rights = BusRights::new();
    let Some(table) = walker.table(path, node, fix) else {
        return rights;
    };
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match Action::ALL
            .into_iter()
            .find(|a| AppRights::word(*a) == name)
        {
            Some(action) => rights.push((action, allowance(walker, &path, node))),
            None => walker.unknown_key(key.span(), &path, name, &words, meant(name)),
        }
    }
    rights.sort_by_key(|(action, _)| Action::ALL.iter().position(|a| a == action));
    rights
}

/// What other buses call the same thing.
fn meant(key: &str) -> Option<&'static str> {
    Some(match key {
        "publish" | "pub" | "send" => "emit",
        "sub" | "listen" | "hear" => "subscribe",
        "ask" | "call" => "request",
        "answer" | "reply" | "respond" => "serve",
        _ => return None,
    })
}

fn allowance(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Allowance {
    let mut said = Allowance::default();
    let fix = "write a table: { allow = [\"orders.>\"], deny = [\"orders.internal.>\"] }";
    let Some(table) = walker.table(path, node, fix) else {
        return said;
    };
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "allow" => said.allow = Some(patterns(walker, &path, node)),
            "deny" => said.deny = patterns(walker, &path, node),
            _ => walker.unknown_key(key.span(), &path, name, &KEYS, None),
        }
    }
    said
}

/// Patterns; those that are none are faults, each at its own place.
pub(super) fn patterns(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Vec<Pattern> {
    let fix = "write an array of patterns: [\"orders.>\"]";
    let Some(items) = node.get_ref().as_array() else {
        walker.mismatch(path, node, fix);
        return Vec::new();
    };
    let mut patterns = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let key = format!("{path}[{i}]");
        let Some(text) = walker.string(&key, item, fix) else {
            continue;
        };
        let pattern = Pattern::new(text).map_err(|error| {
            super::errors::Wrong::new(
                error.to_string(),
                "use tokens of A-Z a-z 0-9 _ -, separated by dots; * stands for one, a last > for the rest",
            )
        });
        patterns.extend(walker.take(&key, item, pattern));
    }
    patterns
}
