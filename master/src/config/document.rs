//! A text becomes a tree of values that know their places, whatever it was written in; one walk then reads them all.

mod json;
mod toml;
mod yaml;

use std::{ops::Range, path::Path};

use ::toml::de::{DeTable, DeValue};
use serde_spanned::Spanned;

use super::{
    circumstances::Circumstances,
    env_table,
    errors::{ConfigErrors, Wrong},
    sources::Texts,
    walk::{Node, Walker},
};

/// The deepest nesting taken: no sensible file comes near, and the walk may go down one call for each.
const DEEPEST: usize = 64;

/// What a process file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.toml`
    Toml,
    /// `.yaml`, `.yml`
    Yaml,
    /// `.json`; comments and trailing commas are allowed.
    Json,
}

impl Format {
    /// The names that a process file has if nobody gives one, in the order in which they are looked for.
    pub const NAMES: [&str; 4] = ["ostler.toml", "ostler.yaml", "ostler.yml", "ostler.json"];

    /// By a file's extension.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()? {
            "toml" => Self::Toml,
            "yaml" | "yml" => Self::Yaml,
            "json" | "jsonc" => Self::Json,
            _ => return None,
        })
    }
}

/// Reads a text that is named `path`; bad syntax is told to the walker. What has no known extension is TOML.
pub(super) fn read<'t>(walker: &mut Walker<'t>, path: &Path, text: String) -> DeTable<'t> {
    let text = walker.texts.keep(text);
    let start = walker.sources.add(path, text);
    match Format::of(path).unwrap_or(Format::Toml) {
        Format::Toml => toml::read(walker, text, start),
        Format::Yaml => {
            let read = yaml::read(walker.texts, text, start);
            top(walker, start, read)
        }
        Format::Json => top(walker, start, json::read(text, start)),
    }
}

/// A YAML or JSON document of others as plain values. A list may stand where ours have a table.
///
/// # Errors
/// With its bad syntax.
pub fn as_json(path: &Path, text: &str) -> Result<serde_json::Value, ConfigErrors> {
    let texts = Texts::default();
    let circumstances = Circumstances::default();
    let mut walker = Walker::new(&circumstances, &texts);
    let text = texts.keep(text.to_owned());
    let start = walker.sources.add(path, text);
    let read = match Format::of(path) {
        Some(Format::Yaml) => yaml::read(&texts, text, start),
        Some(Format::Json | Format::Toml) | None => json::read(text, start),
    };
    match read {
        Ok(Some(node)) => Ok(env_table::json(node.get_ref())),
        Ok(None) => Ok(serde_json::Value::Null),
        Err((offset, wrong)) => {
            walker.syntax(offset, wrong);
            Err(ConfigErrors {
                file: path.to_owned(),
                errors: walker.finish(),
            })
        }
    }
}

/// Bad syntax: where, and what to do.
type BadSyntax = (usize, Wrong);

/// A document's outermost value, which must be a table. An empty text is an empty one.
fn top<'t>(
    walker: &mut Walker<'t>,
    start: usize,
    read: Result<Option<Node<'t>>, BadSyntax>,
) -> DeTable<'t> {
    match read.map(|node| node.map(Spanned::into_inner)) {
        Ok(Some(DeValue::Table(table))) => return table,
        Ok(None) => {}
        Ok(Some(_)) => {
            let fix = "begin with a key: app";
            walker.syntax(start, Wrong::new("the file is not a table of keys", fix));
        }
        Err((offset, wrong)) => walker.syntax(offset, wrong),
    }
    DeTable::new()
}

/// A number as TOML writes it; text that TOML knows no number for stays text.
fn number(text: &str) -> DeValue<'_> {
    match DeValue::parse(text).map(Spanned::into_inner) {
        Ok(number @ (DeValue::Integer(_) | DeValue::Float(_))) => number,
        _ => DeValue::String(text.into()),
    }
}

/// Puts a key and its value into a table. A key that comes twice is bad syntax; a null is as if its key weren't there.
fn put<'t>(
    table: &mut DeTable<'t>,
    key: (String, Range<usize>),
    value: Option<Node<'t>>,
) -> Result<(), BadSyntax> {
    let (name, span) = key;
    if table.contains_key(name.as_str()) {
        let fix = "remove one of the two, or merge their values";
        return Err((span.start, Wrong::new("duplicate key", fix)));
    }
    if let Some(value) = value {
        table.insert(Spanned::new(span, name.into()), value);
    }
    Ok(())
}

fn too_deep(at: usize) -> BadSyntax {
    let problem = format!("the nesting is deeper than {DEEPEST}");
    (at, Wrong::new(problem, "write it flatter"))
}
