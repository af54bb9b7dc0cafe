//! What is said of the bus: the file's own `bus` table, and what an app's workers may do there.

use ostler_bus::{
    Pattern,
    hub::{Action, HistoryRule},
    vocab::rights::{Allowance, AppRights},
};

use super::{Value, section, some};
use crate::config::{
    bus_limits,
    bus_table::{BusSettings, TcpSettings, TlsFiles},
};

/// The text of the file's `bus` table; empty if nothing was said.
#[must_use]
pub fn bus(settings: &BusSettings) -> String {
    let BusSettings {
        limits,
        history,
        tcp,
    } = settings;
    let mut keys = Vec::new();
    if let Some(tcp) = tcp {
        listener(&mut keys, tcp);
    }
    let history = some(history, |rules| {
        Value::List(rules.iter().map(rule).collect())
    });
    keys.extend(history.map(|rules| ("history", rules)));
    let limits = bus_limits::written(limits);
    if !limits.is_empty() {
        let limits = limits.into_iter();
        let limits = limits.map(|(name, value)| (name.to_owned(), value));
        keys.push(("limits", Value::Table(limits.collect())));
    }
    if keys.is_empty() {
        return String::new();
    }
    section(
        "bus",
        keys.into_iter().map(|(key, value)| (key, value.verbatim())),
    )
}

fn listener(keys: &mut Vec<(&'static str, Value)>, tcp: &TcpSettings) {
    let TcpSettings {
        address,
        tls,
        tokens,
    } = tcp;
    keys.push(("listen", Value::text(address)));
    keys.push(("tokens", Value::path(tokens)));
    if let Some(TlsFiles {
        cert,
        key,
        client_ca,
    }) = tls
    {
        let files = Value::table([
            ("cert", Some(Value::path(cert))),
            ("key", Some(Value::path(key))),
            ("client_ca", client_ca.as_deref().map(Value::path)),
        ]);
        keys.push(("tls", files));
    }
}

fn rule(rule: &HistoryRule) -> Value {
    let HistoryRule {
        pattern,
        messages,
        bytes,
        max_age,
    } = rule;
    Value::table([
        ("pattern", Some(Value::text(pattern.as_str()))),
        ("messages", Some(Value::plain(messages))),
        ("bytes", Some(Value::size(*bytes as u64))),
        ("max_age", max_age.map(Value::time)),
    ])
}

/// An app's `bus` key.
pub(super) fn rights(rights: &[(Action, Allowance)]) -> Value {
    let rights = rights.iter().map(|(action, Allowance { allow, deny })| {
        let patterns =
            |patterns: &[Pattern]| Value::texts(patterns.iter().map(|pattern| pattern.as_str()));
        let said = Value::table([
            ("allow", allow.as_deref().map(patterns)),
            ("deny", some(deny, patterns)),
        ]);
        (AppRights::word(*action).to_owned(), said)
    });
    Value::Table(rights.collect())
}
