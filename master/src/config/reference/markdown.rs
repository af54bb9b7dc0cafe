//! The reference as a page of the book.

use std::fmt::Write as _;

use super::{Key, SECTIONS, Shape};
use crate::config::app_table;

/// What stands before the tables.
const INTRODUCTION: &str = "\
# The process file

`ostler.toml`, or the same document as `.yaml`, `.yml` or `.json`; the [guide](guide.md#the-process-file) shows how its parts go together.
Editors that know JSON Schema check it as it is written, with a copy of [ostler.schema.json](ostler.schema.json) beside it: `#:schema ./ostler.schema.json` in the first line of a TOML file, \
`# yaml-language-server: $schema=./ostler.schema.json` in YAML, `\"json.schemas\"` in the editor's settings for JSON.
`ostler validate` tells every error with its line and its fix, and what is missing on the machine that it is called on: programs, working directories, watched paths. That is no error, \
as a file may be checked where it isn't run, but `ostler run`, `start` and `reload --config` refuse it there. `ostler plan` tells what a running master would do with it.

Durations are text with a unit: `\"500ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"`, `\"1m30s\"`, `\"2d\"`. Sizes are bytes, or text with a unit: `\"64KiB\"` (1,024), `\"64kB\"` (1,000). \
Relative paths start at the directory of the file in which they stand. `${NAME}`, `${NAME:-other}` and `$$` are replaced in every value when the file is read, in quotes also where a number or a truth value belongs (`nice = \"${NICE:-5}\"`); \
`{slot}`, `{id}`, `{port:NAME}` and `{fd:NAME}` in a command's words and in the app's own variables when a worker starts.

This page is made from the program's own tables.
";

/// The page.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for section in SECTIONS {
        let title = match section.header {
            "" => "At the top".to_owned(),
            header => format!("`{header}`"),
        };
        let _ = write!(
            out,
            "\n## {title}\n\n{}\n\n| key | value | default | |\n|---|---|---|---|\n",
            section.doc
        );
        for key in section.keys {
            row(&mut out, key);
        }
    }
    out.push_str("\n## What others call it\n\nThese are errors that say what is meant here:\n\n| theirs | ours |\n|---|---|\n");
    for (ours, theirs) in app_table::SYNONYMS {
        let theirs: Vec<String> = theirs.iter().map(|word| format!("`{word}`")).collect();
        let _ = writeln!(out, "| {} | `{ours}` |", theirs.join(", "));
    }
    out
}

fn row(out: &mut String, key: &Key) {
    let default = match key.default {
        "" => "**required**".to_owned(),
        words if words.starts_with('(') => words.trim_matches(['(', ')']).to_owned(),
        value => format!("`{value}`"),
    };
    let example = match key.example {
        "" | "[]" => String::new(),
        example => format!(" Example: `{example}`."),
    };
    let shape = in_words(&key.shape);
    let row = [
        format!("`{}`", key.name),
        shape,
        default,
        format!("{}{example}", key.doc),
    ];
    let _ = writeln!(
        out,
        "| {} |",
        row.map(|cell| cell.replace('|', "\\|")).join(" | ")
    );
}

fn in_words(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Flag => "true or false".into(),
        Shape::Whole(_, most) if *most >= i64::from(u32::MAX) => "whole number".into(),
        Shape::Whole(least, most) => format!("{least} to {most}"),
        Shape::Number(least, most) => format!("{least} to {most}"),
        Shape::Duration => "duration".into(),
        Shape::Size => "size".into(),
        Shape::Words(words) => {
            let quoted: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            quoted.join(", ")
        }
        Shape::List(of) => format!("list of {}", in_words(of)),
        Shape::Either(shapes) => {
            let words: Vec<String> = shapes.iter().map(in_words).collect();
            words.join(", or ")
        }
        Shape::Map(of) => format!("table of names: {}", in_words(of)),
        Shape::Any => "any value".into(),
        Shape::Section(_) => "table".into(),
    }
}
