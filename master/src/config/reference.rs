//! Every key of the process file: what may stand there, what holds if nothing does, and why one would say it.
//!
//! One table, from which `docs/process-file.md` and `docs/ostler.schema.json` are made. Tests hold it to the code that reads
//! the file: that it has every key, that its examples can be read, and that its defaults are those that hold.

mod markdown;
mod schema;
mod tables;

pub use markdown::markdown;
pub use schema::schema;
pub use tables::SECTIONS;

/// A table of the file and its keys.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name among all sections.
    pub name: &'static str,
    /// How it is written: "[app.NAME]".
    pub header: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys, in the order of reading.
    pub keys: &'static [Key],
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub shape: Shape,
    /// What holds if it is left out, as it would be written; or in words, in parentheses; empty if it must be there.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// A value, as it is written in TOML; empty for a table with a section of its own.
    pub example: &'static str,
}

/// What may stand at a key.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// true or false.
    Flag,
    /// A whole number from the one to the other.
    Whole(i64, i64),
    /// Any number from the one to the other.
    Number(f64, f64),
    /// "500ms", "30s".
    Duration,
    /// A number of bytes, or one with a unit.
    Size,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Several of these.
    List(&'static Self),
    /// One of these.
    Either(&'static [Self]),
    /// Names that are the user's own, each with one of these.
    Map(&'static Self),
    /// Any value at all.
    Any,
    /// The table of this section.
    Section(&'static str),
}

#[cfg(test)]
mod tests;
