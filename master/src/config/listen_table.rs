//! The `listen` key: one address, several, or a table of names.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{
    address,
    app::{SocketAddress, SocketDeclaration},
    socket_table,
    walk::{Node, Walker},
};

const FIX: &str = "write an address (\"127.0.0.1:8080\"), an array of them, or a table of names: { web = \":8080\" }";

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

/// An address in a text.
pub(super) fn one_address(
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
                DeValue::Table(options) => socket_table::read(walker, &path, node, options, base),
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
