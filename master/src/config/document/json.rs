//! JSON, with comments and trailing commas: people write these files.

use std::ops::Range;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::Value,
    common::{Range as Place, Ranged as _},
    errors::ParseErrorKind,
    parse_to_ast,
};
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::{BadSyntax, DEEPEST, number, put, too_deep};
use crate::config::{errors::Wrong, walk::Node};

pub(super) fn read(text: &str, start: usize) -> Result<Option<Node<'_>>, BadSyntax> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options).map_err(|error| {
        let wrong = explain(error.kind());
        (start + error.range().start, wrong)
    })?;
    match parsed.value {
        Some(value) => node(value, start, 0),
        None => Ok(None),
    }
}

/// `None` is a null.
fn node(value: Value<'_>, start: usize, depth: usize) -> Result<Option<Node<'_>>, BadSyntax> {
    let span = shifted(value.range(), start);
    if depth > DEEPEST {
        return Err(too_deep(span.start));
    }
    let value = match value {
        Value::NullKeyword(_) => return Ok(None),
        Value::StringLit(text) => DeValue::String(text.value),
        Value::NumberLit(text) => number(text.value),
        Value::BooleanLit(truth) => DeValue::Boolean(truth.value),
        Value::Array(array) => {
            let items = array.elements.into_iter();
            let items = items.filter_map(|item| node(item, start, depth + 1).transpose());
            DeValue::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let mut table = DeTable::new();
            for property in object.properties {
                let place = match &property.name {
                    jsonc_parser::ast::ObjectPropName::String(name) => name.range,
                    jsonc_parser::ast::ObjectPropName::Word(name) => name.range,
                };
                let key = (property.name.into_string(), shifted(place, start));
                put(&mut table, key, node(property.value, start, depth + 1)?)?;
            }
            DeValue::Table(table)
        }
    };
    Ok(Some(Spanned::new(span, value)))
}

fn shifted(place: Place, start: usize) -> Range<usize> {
    start + place.start..start + place.end
}

/// What is wrong, and how to mend it.
fn explain(kind: &ParseErrorKind) -> Wrong {
    let fix = match kind {
        ParseErrorKind::ExpectedComma => "put a comma here",
        ParseErrorKind::UnterminatedArray => "close the array with `]`",
        ParseErrorKind::UnterminatedObject => "close the object with `}`",
        ParseErrorKind::SingleQuotedStringsNotAllowed => "put it in double quotes",
        ParseErrorKind::UnexpectedWord | ParseErrorKind::ExpectedStringObjectProperty => {
            "put it in double quotes"
        }
        _ => "correct the JSON here: { \"key\": value }, strings in double quotes",
    };
    let said = kind.to_string();
    let mut letters = said.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let problem: String = first.into_iter().chain(letters).collect();
    Wrong::new(problem, fix)
}
