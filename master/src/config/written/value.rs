//! Values as a process file writes them, with their order: of sockets and descriptors it matters.

use std::{
    fmt::{self, Write as _},
    path::Path,
    time::Duration,
};

use crate::config::{placeholders, program, shell_line, units};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number or a truth, as it is written.
    Plain(String),
    /// An array.
    List(Vec<Self>),
    /// A table.
    Table(Vec<(String, Self)>),
}

impl Value {
    pub(in crate::config) fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    pub(in crate::config) fn plain(value: impl fmt::Display) -> Self {
        Self::Plain(value.to_string())
    }

    /// A number with a point: without one it would be a whole one.
    pub(in crate::config) fn float(number: f64) -> Self {
        Self::Plain(format!("{number:?}"))
    }

    pub(in crate::config) fn path(path: &Path) -> Self {
        Self::text(path.display())
    }

    pub(in crate::config) fn texts<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Self::text).collect())
    }

    /// A command: of a shell that stays the line that it was given, where that makes the same again.
    pub(in crate::config) fn command(words: &[String]) -> Self {
        let line = shell_line::shown(words);
        match shell_line::stays(words) && program::words(&line) == words {
            true => Self::Text(line),
            false => Self::texts(words),
        }
    }

    pub(in crate::config) fn plains<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Self::plain).collect())
    }

    pub(in crate::config) fn table<const N: usize>(fields: [(&str, Option<Self>); N]) -> Self {
        let said = fields.into_iter();
        let said = said.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Self::Table(said.collect())
    }

    pub(in crate::config) fn time(time: Duration) -> Self {
        match time.subsec_micros() % 1_000 {
            0 => Self::text(units::exact(time)),
            _ => Self::Text(format!("{}ms", time.as_micros() as f64 / 1_000.0)),
        }
    }

    /// A number of bytes, with the largest unit that leaves no rest.
    pub(in crate::config) fn size(bytes: u64) -> Self {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let whole = |shift: &u32| bytes != 0 && bytes.trailing_zeros() >= *shift;
        match units.iter().find(|(_, shift)| whole(shift)) {
            Some((unit, shift)) => Self::Text(format!("{}{unit}", bytes >> shift)),
            None => Self::plain(bytes),
        }
    }

    /// The same for a file: what looks like a placeholder is none.
    #[must_use]
    pub fn verbatim(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(placeholders::verbatim(&text)),
            Self::Plain(text) => Self::Plain(text),
            Self::List(items) => Self::List(items.into_iter().map(Self::verbatim).collect()),
            Self::Table(fields) => {
                let fields = fields.into_iter();
                Self::Table(fields.map(|(key, value)| (key, value.verbatim())).collect())
            }
        }
    }
}

impl fmt::Display for Value {
    /// In TOML, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(f, text),
            Self::Plain(text) => f.write_str(text),
            Self::List(items) => {
                f.write_char('[')?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_char(']')
            }
            Self::Table(fields) if fields.is_empty() => f.write_str("{}"),
            Self::Table(fields) => {
                for (i, (key, value)) in fields.iter().enumerate() {
                    let before = if i == 0 { "{ " } else { ", " };
                    write!(f, "{before}{} = {value}", Bare(key))?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// A key, in quotes if it needs them.
pub(super) struct Bare<'a>(pub(super) &'a str);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        match !self.0.is_empty() && self.0.bytes().all(bare) {
            true => f.write_str(self.0),
            false => quoted(f, self.0),
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_toml() {
        let odd = "a\"b\\c\nd\te\r\u{1}\u{7f}\u{85}é";
        let value = Value::table([
            ("text", Some(Value::text(odd))),
            ("a b", Some(Value::plains([1, -2]))),
            ("", Some(Value::float(2.0))),
            ("none", None),
            ("t", Some(Value::table([]))),
        ]);
        let read: toml::Table = format!("v = {value}").parse().expect("TOML");
        let read = &read["v"];
        assert_eq!(read["text"].as_str(), Some(odd));
        assert_eq!(read["a b"].as_array().map(Vec::len), Some(2));
        assert_eq!(read[""].as_float(), Some(2.0));
        assert_eq!(read["t"].as_table().map(toml::Table::len), Some(0));
        assert!(read.get("none").is_none());
    }

    #[test]
    fn times_and_sizes_lose_nothing() {
        for micros in [0, 1, 1_500, 90_000_000, 86_400_000_000] {
            let time = Duration::from_micros(micros);
            let Value::Text(text) = Value::time(time) else {
                panic!("a text");
            };
            assert_eq!(units::duration(&text), Ok(time), "{text}");
        }
        for (bytes, text) in [
            (0, "0"),
            (1_000, "1000"),
            (3 << 20, "\"3MiB\""),
            (1536, "1536"),
        ] {
            assert_eq!(Value::size(bytes).to_string(), text);
        }
    }
}
