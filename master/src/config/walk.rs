//! Walking a parsed document and collecting its faults. Serde stops at the first one; this doesn't stop.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    circumstances::Circumstances,
    errors::{ConfigError, Place, Wrong},
    sources::{Sources, Texts},
    suggest, units,
};

/// More keys than these are not listed whole.
const MANY: usize = 20;

/// So many are listed instead.
const FEW: usize = 5;

/// A value with its place.
pub(super) type Node<'t> = Spanned<DeValue<'t>>;

/// The texts of a document, and the faults found in them so far.
///
/// The parser recovers from bad syntax, so values elsewhere are checked all the same. What the rest of the document then
/// seems to lack, or to have in the wrong place, may only be the parser's guess: such faults are kept to sound documents.
pub(super) struct Walker<'t> {
    /// What the document's meaning depends on besides its text.
    pub(super) circumstances: &'t Circumstances,
    /// Where spans point to.
    pub(super) sources: Sources<'t>,
    /// Where texts are kept.
    pub(super) texts: &'t Texts,
    /// What is no fault, but hardly meant, in words.
    pub(super) warnings: Vec<String>,
    /// With the number of its text.
    found: Vec<(usize, ConfigError)>,
    /// Texts and lines with bad syntax: whatever else is wrong there follows from it.
    broken: BTreeSet<(usize, usize)>,
    /// Where texts begin whose placeholders were filled in: they may stand for numbers and truth values.
    filled: BTreeSet<usize>,
}

impl<'t> Walker<'t> {
    pub(super) fn new(circumstances: &'t Circumstances, texts: &'t Texts) -> Self {
        Self {
            circumstances,
            texts,
            sources: Sources::default(),
            warnings: Vec::new(),
            found: Vec::new(),
            broken: BTreeSet::new(),
            filled: BTreeSet::new(),
        }
    }

    /// The faults, by place.
    pub(super) fn finish(mut self) -> Vec<ConfigError> {
        self.found
            .sort_by_key(|(number, error)| (*number, error.place));
        self.found.into_iter().map(|(_, error)| error).collect()
    }

    /// Bad syntax. Comes before all else.
    pub(super) fn syntax(&mut self, offset: usize, wrong: Wrong) {
        let (number, place) = self.sources.place(offset);
        // One slip often makes the parser stumble twice.
        if self.broken.insert((number, place.line)) {
            self.note(number, place, "", wrong);
        }
    }

    fn note(&mut self, number: usize, place: Place, key: &str, wrong: Wrong) {
        let error = ConfigError {
            file: self.sources.path(number).to_owned(),
            place: Some(place),
            key: key.to_owned(),
            wrong,
        };
        self.found.push((number, error));
    }

    /// A value that can't be used.
    pub(super) fn fault(&mut self, span: Range<usize>, key: &str, wrong: Wrong) {
        let (number, place) = self.sources.place(span.start);
        if !self.broken.contains(&(number, place.line)) {
            self.note(number, place, key, wrong);
        }
    }

    /// Something that is missing, or should not be there.
    pub(super) fn misfit(&mut self, span: Range<usize>, key: &str, wrong: Wrong) {
        if self.broken.is_empty() {
            self.fault(span, key, wrong);
        }
    }

    /// A value's result, or a fault at its place.
    pub(super) fn take<T>(
        &mut self,
        key: &str,
        node: &Node<'_>,
        result: Result<T, Wrong>,
    ) -> Option<T> {
        result
            .map_err(|wrong| self.fault(node.span(), key, wrong))
            .ok()
    }

    /// A value of the wrong type.
    pub(super) fn mismatch(&mut self, key: &str, node: &Node<'_>, fix: &str) {
        let value = node.get_ref();
        let problem = match value {
            DeValue::String(text) => format!("the string {text:?} can't stand here"),
            DeValue::Integer(number) => format!("the number {number} can't stand here"),
            DeValue::Float(number) => format!("the number {number} can't stand here"),
            DeValue::Boolean(truth) => format!("{truth} can't stand here"),
            DeValue::Datetime(_) => "a date can't stand here".to_owned(),
            DeValue::Array(_) => "an array can't stand here".to_owned(),
            DeValue::Table(_) => "a table can't stand here".to_owned(),
        };
        self.fault(node.span(), key, Wrong::new(problem, fix));
    }

    /// A key that means nothing here. `meant` knows what other tools call things.
    pub(super) fn unknown_key(
        &mut self,
        span: Range<usize>,
        path: &str,
        key: &str,
        known: &[&'static str],
        meant: Option<&'static str>,
    ) {
        let fix = match meant.or_else(|| suggest::closest(key, known.iter().copied())) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.len() <= MANY => format!("remove it; known here: {}", known.join(", ")),
            None => format!(
                "remove it; nearest known here: {}; all are in docs/process-file.md",
                suggest::nearest(key, known, FEW).join(", ")
            ),
        };
        self.misfit(span, path, Wrong::new("unknown key", fix));
    }

    pub(super) fn table<'n, 'd>(
        &mut self,
        key: &str,
        node: &'n Node<'d>,
        fix: &str,
    ) -> Option<&'n DeTable<'d>> {
        let table = node.get_ref().as_table();
        if table.is_none() {
            self.mismatch(key, node, fix);
        }
        table
    }

    pub(super) fn string<'n>(
        &mut self,
        key: &str,
        node: &'n Node<'_>,
        fix: &str,
    ) -> Option<&'n str> {
        let Some(text) = node.get_ref().as_str() else {
            self.mismatch(key, node, fix);
            return None;
        };
        if text.contains('\0') {
            let wrong = Wrong::new("a string with a NUL byte can't be passed to a process", fix);
            self.fault(node.span(), key, wrong);
            return None;
        }
        Some(text)
    }

    pub(super) fn strings(&mut self, key: &str, node: &Node<'_>, fix: &str) -> Option<Vec<String>> {
        let Some(items) = node.get_ref().as_array() else {
            self.mismatch(key, node, fix);
            return None;
        };
        let read: Vec<Option<String>> = items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                self.string(&format!("{key}[{i}]"), item, fix)
                    .map(str::to_owned)
            })
            .collect();
        read.into_iter().collect()
    }

    pub(super) fn boolean(&mut self, key: &str, node: &Node<'_>) -> Option<bool> {
        let said = self.filled_in(node).and_then(|text| text.parse().ok());
        let truth = node.get_ref().as_bool().or(said);
        if truth.is_none() {
            self.mismatch(key, node, "write true or false");
        }
        truth
    }

    /// A whole number from `least` to `most`.
    pub(super) fn integer(
        &mut self,
        key: &str,
        node: &Node<'_>,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        let fix = format!("use a whole number from {least} to {most}");
        let said = self
            .filled_in(node)
            .filter(|text| text.parse::<i128>().is_ok());
        let (number, value) = match (node.get_ref().as_integer(), said) {
            (Some(number), _) => {
                let value = i64::from_str_radix(number.as_str(), number.radix());
                (number.to_string(), value.ok())
            }
            (None, Some(text)) => (text.to_owned(), text.parse().ok()),
            (None, None) => {
                self.mismatch(key, node, &fix);
                return None;
            }
        };
        let value = value.filter(|value| (least..=most).contains(value));
        if value.is_none() {
            let wrong = Wrong::new(format!("{number} is out of range"), fix);
            self.fault(node.span(), key, wrong);
        }
        value
    }

    /// The placeholders of this text were filled in.
    pub(super) fn note_filled(&mut self, span: &Range<usize>) {
        self.filled.insert(span.start);
    }

    /// A text whose placeholders were filled in. What a variable holds is text, whatever it is meant as.
    pub(super) fn filled_in<'n>(&self, node: &'n Node<'_>) -> Option<&'n str> {
        let text = node.get_ref().as_str()?;
        self.filled.contains(&node.span().start).then_some(text)
    }

    /// A number of bytes from `least` to `most`: plain, or with a unit.
    pub(super) fn bytes(
        &mut self,
        key: &str,
        node: &Node<'_>,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        let Some(text) = node.get_ref().as_str() else {
            return self.integer(key, node, least, most);
        };
        let bytes = self.take(key, node, units::size(text))?;
        if (least..=most).contains(&bytes) {
            return Some(bytes);
        }
        let fix = format!("use {least} to {most} bytes");
        let wrong = Wrong::new(format!("{text:?} is out of range"), fix);
        self.fault(node.span(), key, wrong);
        None
    }

    /// A count that may be anything from `least` up.
    pub(super) fn count(&mut self, key: &str, node: &Node<'_>, least: u32) -> Option<u32> {
        self.integer(key, node, i64::from(least), i64::from(u32::MAX))
            .and_then(|value| u32::try_from(value).ok())
    }

    pub(super) fn duration(&mut self, key: &str, node: &Node<'_>) -> Option<Duration> {
        if let DeValue::Integer(number) = node.get_ref() {
            let wrong = Wrong::new(
                format!("{number} has no unit"),
                format!("write \"{number}s\" for seconds or \"{number}ms\" for milliseconds"),
            );
            self.fault(node.span(), key, wrong);
            return None;
        }
        let fix = "write a number with a unit, in quotes: \"500ms\", \"30s\", \"5m\", \"1h\"";
        let text = self.string(key, node, fix)?;
        self.take(key, node, units::duration(text))
    }

    /// A duration longer than none.
    pub(super) fn positive(&mut self, key: &str, node: &Node<'_>) -> Option<Duration> {
        let duration = self.duration(key, node)?;
        if duration.is_zero() {
            let wrong = Wrong::new("it can't be zero", "use a longer duration, such as \"30s\"");
            self.fault(node.span(), key, wrong);
            return None;
        }
        Some(duration)
    }
}
