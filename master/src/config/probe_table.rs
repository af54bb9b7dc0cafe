//! Probes as tables: `ready = { http = "/ready", address = "unix:run/web-{id}.sock" }`.

use std::{path::Path, time::Duration};

use toml::de::{DeTable, DeValue};

use super::{
    app::{
        Readiness,
        probe::{Check, Probe, Target},
    },
    errors::Wrong,
    program,
    readiness::{self, PROBE_INTERVAL, PROBE_TIMEOUT},
    walk::{Node, Walker},
};

/// The keys of a probe.
pub(super) const KEYS: [&str; 8] = [
    "http", "tcp", "command", "address", "port", "status", "interval", "timeout",
];

const FIX: &str = "write { http = \"/ready\", address = \"unix:run/web-{id}.sock\" }, { tcp = true, address = \"unix:run/web-{id}.sock\" } or { command = [\"check\"] }";

/// `ready`: a word, or a probe.
pub(super) fn ready(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<Readiness> {
    if let DeValue::Table(table) = node.get_ref() {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if !KEYS.contains(&name) {
                walker.unknown_key(key.span(), &format!("{path}.{name}"), name, &KEYS, None);
            }
        }
        return probe(walker, path, node, table, base, PROBE_INTERVAL).map(Readiness::Probe);
    }
    let text = walker.string(
        path,
        node,
        "use \"auto\", \"notify\", \"sdk\", \"delay(2s)\", or a probe: { http = \"/ready\", address = \"unix:run/web-{id}.sock\" }",
    )?;
    walker.take(path, node, text.parse())
}

/// What a table says of a probe; keys that aren't a probe's are the caller's.
pub(super) fn probe(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    table: &DeTable<'_>,
    base: &Path,
    interval: Duration,
) -> Option<Probe> {
    let mut said = Said {
        interval: Some(interval),
        timeout: Some(PROBE_TIMEOUT),
        ..Said::default()
    };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        said.take(walker, &format!("{path}.{name}"), name, value, base);
    }
    let (interval, timeout) = (said.interval?, said.timeout?);
    if said.broken {
        return None;
    }
    let check = walker.take(path, node, said.check())?;
    Some(Probe {
        check,
        interval,
        timeout,
    })
}

/// What was said so far.
#[derive(Default)]
struct Said {
    http: Option<String>,
    tcp: bool,
    command: Option<Vec<String>>,
    at: Vec<Target>,
    status: Vec<u16>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    /// A value was no good, and that has been told.
    broken: bool,
}

impl Said {
    fn take(
        &mut self,
        walker: &mut Walker<'_>,
        path: &str,
        name: &str,
        node: &Node<'_>,
        base: &Path,
    ) {
        match name {
            "http" => {
                let text = walker.string(path, node, "write the path: \"/ready\"");
                self.broken |= text.is_none();
                self.http = text.map(str::to_owned);
            }
            "tcp" => self.tcp = walker.boolean(path, node).unwrap_or(false),
            "command" => {
                let words = command(walker, path, node);
                self.broken |= words.is_none();
                self.command = words;
            }
            "address" => {
                let text =
                    walker.string(path, node, "write an address in quotes: \"127.0.0.1:8100\"");
                let target = text.and_then(|text| {
                    walker.take(
                        path,
                        node,
                        readiness::target(&readiness::absolute(text, base)),
                    )
                });
                self.broken |= target.is_none();
                self.at.extend(target);
            }
            "port" => {
                let port = walker.integer(path, node, 1, 65_535);
                self.broken |= port.is_none();
                self.at.extend(
                    port.and_then(|port| u16::try_from(port).ok())
                        .map(Target::Port),
                );
            }
            "status" => match statuses(walker, path, node) {
                Some(status) => self.status = status,
                None => self.broken = true,
            },
            "interval" => self.interval = walker.positive(path, node),
            "timeout" => self.timeout = walker.positive(path, node),
            _ => {}
        }
    }

    fn check(self) -> Result<Check, Wrong> {
        let kinds = usize::from(self.http.is_some())
            + usize::from(self.tcp)
            + usize::from(self.command.is_some());
        if kinds != 1 {
            let problem = "a probe asks in one way: by http, tcp or command";
            return Err(Wrong::new(problem, FIX));
        }
        let mut at = self.at;
        if let Some(command) = self.command {
            return match (at.is_empty(), self.status.is_empty()) {
                (true, true) => Ok(Check::Command { command }),
                _ => Err(Wrong::new("a command has neither address nor status", FIX)),
            };
        }
        let (Some(at), true) = (at.pop(), at.is_empty()) else {
            let problem = "a probe goes to one place: a port (the slot is added) or an address";
            return Err(Wrong::new(problem, FIX));
        };
        match self.http {
            Some(path) if path.starts_with('/') && !path.contains(char::is_whitespace) => {
                Ok(Check::Http {
                    at,
                    path,
                    status: self.status,
                })
            }
            Some(path) => Err(Wrong::new(
                format!("{path:?} is not the path of a URL"),
                "begin it with \"/\", and encode blanks: \"/ready\"",
            )),
            None => Ok(Check::Tcp { at }),
        }
    }
}

/// A program and its arguments, as a list or in a line.
pub(super) fn command(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Vec<String>> {
    let fix = "write the program and its arguments: [\"bin/check\", \"{slot}\"]";
    let words = match node.get_ref() {
        DeValue::String(_) => program::words(walker.string(path, node, fix)?),
        _ => walker.strings(path, node, fix)?,
    };
    if words.first().is_none_or(String::is_empty) {
        walker.fault(node.span(), path, Wrong::new("the command is empty", fix));
        return None;
    }
    Some(words)
}

/// One status, or several.
fn statuses(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Vec<u16>> {
    let mut one = |path: &str, node: &Node<'_>| {
        let status = walker.integer(path, node, 100, 599)?;
        u16::try_from(status).ok()
    };
    match node.get_ref() {
        DeValue::Array(items) => {
            let read: Vec<_> = items.iter().map(|item| one(path, item)).collect();
            read.into_iter().collect()
        }
        _ => one(path, node).map(|status| vec![status]),
    }
}
