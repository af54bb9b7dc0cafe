//! TOML. Its parser recovers from bad syntax, so one slip doesn't hide the others.

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{
    syntax,
    walk::{Node, Walker},
};

pub(super) fn read<'t>(walker: &mut Walker<'t>, text: &'t str, start: usize) -> DeTable<'t> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        walker.syntax(start + at, syntax::explain(error.message()));
    }
    shifted_table(document.into_inner(), start)
}

/// The same table with its places counted on from `by`.
fn shifted_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let entries = table.into_iter().map(|(key, value)| {
        let span = key.span();
        let key = Spanned::new(span.start + by..span.end + by, key.into_inner());
        (key, shifted(value, by))
    });
    entries.collect()
}

fn shifted(node: Node<'_>, by: usize) -> Node<'_> {
    let span = node.span();
    let value = match node.into_inner() {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shifted(item, by)).collect())
        }
        DeValue::Table(table) => DeValue::Table(shifted_table(table, by)),
        plain @ (DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)) => plain,
    };
    Spanned::new(span.start + by..span.end + by, value)
}
