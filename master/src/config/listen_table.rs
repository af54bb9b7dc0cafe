//! The `listen` key: one address, several, or a table of names.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{
    address::{self, DEFAULT_BACKLOG},
    app::{SocketAddress, SocketDeclaration, SocketMode},
    errors::Wrong,
    walk::{Node, Walker},
};

const FIX: &str = "write an address (\"127.0.0.1:8080\"), an array of them, or a table of names: { web = \":8080\" }";

/// What a table for one socket may hold.
const KEYS: [&str; 5] = [
    "address",
    "backlog",
    "nonblocking",
    "mode",
    "max_connections",
];

/// Reads `listen`. `base` is where relative socket paths start.
pub(super) fn read(
    walker: &mut Walker<'_>,
    key: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<Vec<SocketDeclaration>> {
    match node.get_ref() {
        DeValue::String(_) => {
            let address = one_address(walker, key, node, base)?;
            Some(vec![address::declaration(
                address::default_name(0),
                address,
            )])
        }
        DeValue::Array(items) => {
            let read: Vec<Option<SocketDeclaration>> = items
                .iter()
                .enumerate()
                .map(|(i, item)| {
                    let address = one_address(walker, &format!("{key}[{i}]"), item, base)?;
                    Some(address::declaration(address::default_name(i), address))
                })
                .collect();
            read.into_iter().collect()
        }
        DeValue::Table(table) => named(walker, key, table, base),
        DeValue::Integer(number) => {
            let fix =
                format!("put it in quotes: \"{number}\" is 127.0.0.1, \":{number}\" every address");
            walker.mismatch(key, node, &fix);
            None
        }
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            walker.mismatch(key, node, FIX);
            None
        }
    }
}

fn one_address(
    walker: &mut Walker<'_>,
    key: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<SocketAddress> {
    let text = walker.string(key, node, FIX)?;
    walker.take(key, node, address::address(text, base))
}

/// Sockets by name, in the order of the file: workers inherit them in that order.
fn named(
    walker: &mut Walker<'_>,
    key: &str,
    table: &DeTable<'_>,
    base: &Path,
) -> Option<Vec<SocketDeclaration>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let read: Vec<Option<SocketDeclaration>> = entries
        .into_iter()
        .map(|(name, node)| {
            let path = format!("{key}.{}", name.get_ref());
            let checked = address::socket_name(name.get_ref())
                .map_err(|wrong| walker.fault(name.span(), &path, wrong))
                .ok();
            let socket = match node.get_ref() {
                DeValue::Table(options) => one_table(walker, &path, node, options, base),
                _ => one_address(walker, &path, node, base)
                    .map(|address| address::declaration(String::new(), address)),
            };
            Some(SocketDeclaration {
                name: checked?,
                ..socket?
            })
        })
        .collect();
    read.into_iter().collect()
}

fn one_table(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    table: &DeTable<'_>,
    base: &Path,
) -> Option<SocketDeclaration> {
    let (mut address, mut backlog, mut nonblocking) = (None, Some(DEFAULT_BACKLOG), Some(false));
    let (mut mode, mut most) = (Some(SocketMode::Auto), Some(None));
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "address" => address = Some(one_address(walker, &path, value, base)),
            "backlog" => backlog = walker.count(&path, value, 1),
            "nonblocking" => nonblocking = walker.boolean(&path, value),
            "mode" => mode = mode_of(walker, &path, value),
            "max_connections" => {
                most = walker
                    .count(&path, value, 1)
                    .map(|most| Some((most, value)));
            }
            _ => walker.unknown_key(key.span(), &path, name, &KEYS, None),
        }
    }
    if address.is_none() {
        let wrong = Wrong::new(
            "the socket has no address",
            "add address = \"127.0.0.1:8080\"",
        );
        walker.fault(node.span(), path, wrong);
    }
    Some(SocketDeclaration {
        name: String::new(),
        address: address.flatten()?,
        backlog: backlog?,
        nonblocking: nonblocking?,
        mode: limited(walker, path, mode?, most?)?,
    })
}

fn mode_of(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<SocketMode> {
    let fix = "use \"balanced\", \"shared\" or \"auto\"";
    let text = walker.string(path, node, fix)?;
    let mode = match text {
        "auto" => Ok(SocketMode::Auto),
        "shared" => Ok(SocketMode::Shared),
        "balanced" => Ok(SocketMode::Balanced {
            max_connections: None,
        }),
        _ => {
            let what = format!("{text:?} is no way to share a socket");
            Err(Wrong::new(what, fix))
        }
    };
    walker.take(path, node, mode)
}

/// Only where the master hands connections over can it hold some back.
fn limited(
    walker: &mut Walker<'_>,
    path: &str,
    mode: SocketMode,
    most: Option<(u32, &Node<'_>)>,
) -> Option<SocketMode> {
    match (mode, most) {
        (mode, None) => Some(mode),
        (SocketMode::Balanced { .. }, Some((most, _))) => Some(SocketMode::Balanced {
            max_connections: Some(most),
        }),
        (SocketMode::Auto | SocketMode::Shared, Some((_, node))) => {
            let wrong = Wrong::new(
                "workers that accept by themselves can't be limited",
                "add mode = \"balanced\", or leave max_connections out",
            );
            walker.fault(node.span(), &format!("{path}.max_connections"), wrong);
            None
        }
    }
}
