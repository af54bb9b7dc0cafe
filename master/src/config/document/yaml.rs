//! YAML 1.2: one document, whose mappings have plain keys. Aliases are copied in, within a bound.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_spanned::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{BadSyntax, DEEPEST, number, put, too_deep};
use crate::config::{errors::Wrong, sources::Texts, walk::Node};

/// The most values that a document may hold once aliases are copied in: a few lines can stand for billions.
const MOST: usize = 100_000;

pub(super) fn read<'t>(
    texts: &'t Texts,
    text: &'t str,
    start: usize,
) -> Result<Option<Node<'t>>, BadSyntax> {
    let mut builder = Builder::new(texts, text, start);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = builder.offset(error.marker().index());
            let fix =
                "correct the YAML here: `key: value`, nested keys indented by the same blanks";
            (at, Wrong::new(error.info(), fix))
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.root)
}

/// A collection that has not ended.
struct Open<'t> {
    anchor: usize,
    start: usize,
    holder: Holder<'t>,
}

enum Holder<'t> {
    Array(DeArray<'t>),
    /// The table, and the key whose value comes next.
    Table(DeTable<'t>, Option<(String, Range<usize>)>),
}

struct Builder<'t> {
    texts: &'t Texts,
    /// Byte offsets of characters: the parser counts characters.
    offsets: Vec<usize>,
    open: Vec<Open<'t>>,
    anchored: HashMap<usize, (usize, Option<Node<'t>>)>,
    values: usize,
    documents: usize,
    root: Option<Node<'t>>,
}

impl<'t> Builder<'t> {
    fn new(texts: &'t Texts, text: &str, start: usize) -> Self {
        let offsets = text.char_indices().map(|(at, _)| start + at);
        Self {
            texts,
            offsets: offsets.chain([start + text.len()]).collect(),
            open: Vec::new(),
            anchored: HashMap::new(),
            values: 0,
            documents: 0,
            root: None,
        }
    }

    fn offset(&self, character: usize) -> usize {
        let last = self.offsets.last().copied().unwrap_or(0);
        self.offsets.get(character).copied().unwrap_or(last)
    }

    fn take(&mut self, event: Event<'t>, span: Span) -> Result<(), BadSyntax> {
        let span = self.offset(span.start.index())..self.offset(span.end.index());
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let problem = "the file has a second document";
                    let fix = "put it into a file of its own, and `include` that";
                    return Err((span.start, Wrong::new(problem, fix)));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(self.texts, text, style, tag.as_deref());
                let node = value.map(|value| Spanned::new(span.clone(), value));
                self.finished(anchor, span, node, 1)
            }
            Event::Alias(anchor) => {
                let copied = self.anchored.get(&anchor).cloned();
                let (size, node) = copied.unwrap_or((1, None));
                self.finished(0, span, node, size)
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(anchor, span, Holder::Array(DeArray::new()))
            }
            Event::MappingStart(anchor, _) => {
                self.begin(anchor, span, Holder::Table(DeTable::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(
        &mut self,
        anchor: usize,
        span: Range<usize>,
        holder: Holder<'t>,
    ) -> Result<(), BadSyntax> {
        if self.open.len() > DEEPEST {
            return Err(too_deep(span.start));
        }
        if let Some(Holder::Table(_, None)) = self.open.last().map(|open| &open.holder) {
            return Err(no_key(span.start));
        }
        let start = span.start;
        self.open.push(Open {
            anchor,
            start,
            holder,
        });
        Ok(())
    }

    fn end(&mut self, span: &Range<usize>) -> Result<(), BadSyntax> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.holder {
            Holder::Array(items) => DeValue::Array(items),
            Holder::Table(table, _) => DeValue::Table(table),
        };
        let size = size_of(&value);
        let span = open.start..span.end;
        self.finished(
            open.anchor,
            span.clone(),
            Some(Spanned::new(span, value)),
            size,
        )
    }

    /// A value is complete: it goes to what it stands in. `size` is how many values an alias of it stands for.
    fn finished(
        &mut self,
        anchor: usize,
        span: Range<usize>,
        node: Option<Node<'t>>,
        size: usize,
    ) -> Result<(), BadSyntax> {
        self.values += size;
        if self.values > MOST {
            let problem = format!("its aliases stand for more than {MOST} values");
            return Err((span.start, Wrong::new(problem, "use fewer of them")));
        }
        if anchor > 0 {
            self.anchored.insert(anchor, (size, node.clone()));
        }
        match self.open.last_mut().map(|open| &mut open.holder) {
            None => self.root = node,
            // A null is none.
            Some(Holder::Array(items)) => {
                if let Some(node) = node {
                    items.push(node);
                }
            }
            Some(Holder::Table(table, key)) => match key.take() {
                Some(key) => put(table, key, node)?,
                None => *key = Some((key_of(node, span.start)?, span)),
            },
        }
        Ok(())
    }
}

fn size_of(value: &DeValue<'_>) -> usize {
    match value {
        DeValue::Array(items) => {
            1 + items
                .iter()
                .map(|item| size_of(item.get_ref()))
                .sum::<usize>()
        }
        DeValue::Table(table) => {
            1 + table
                .values()
                .map(|value| size_of(value.get_ref()))
                .sum::<usize>()
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => 1,
    }
}

fn key_of(node: Option<Node<'_>>, at: usize) -> Result<String, BadSyntax> {
    match node.map(Spanned::into_inner) {
        Some(DeValue::String(name)) => Ok(name.into_owned()),
        Some(DeValue::Integer(number)) => Ok(number.to_string()),
        Some(DeValue::Float(number)) => Ok(number.as_str().to_owned()),
        Some(DeValue::Boolean(truth)) => Ok(truth.to_string()),
        Some(DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_)) | None => {
            Err(no_key(at))
        }
    }
}

fn no_key(at: usize) -> BadSyntax {
    let fix = "write a word before the colon: `key: value`";
    (at, Wrong::new("this can't be a key", fix))
}

/// A scalar by YAML's core schema; `None` is a null. Numbers that TOML doesn't know, such as 007, stay text.
fn scalar<'t>(
    texts: &'t Texts,
    text: Cow<'t, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
) -> Option<DeValue<'t>> {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Some(DeValue::String(text));
    }
    let text = match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => texts.keep(text),
    };
    let like_a_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-');
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => return None,
        "true" | "True" | "TRUE" => DeValue::Boolean(true),
        "false" | "False" | "FALSE" => DeValue::Boolean(false),
        text if text.starts_with(like_a_number) && !text.contains('_') => number(text),
        text => DeValue::String(text.into()),
    })
}
