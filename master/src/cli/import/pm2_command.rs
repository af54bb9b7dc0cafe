//! What PM2 runs: an interpreter, its arguments, the script, its arguments.

use std::path::Path;

use serde_json::{Map, Value};

use super::pm2::text;
use crate::config::program;

const SCRIPT: [&str; 2] = ["script", "cmd"];
const INTERPRETER: [&str; 2] = ["interpreter", "exec_interpreter"];
const ITS_ARGUMENTS: [&str; 3] = ["interpreter_args", "interpreterArgs", "node_args"];

/// Every option that is read here.
pub(super) const KEYS: [&str; 8] = [
    SCRIPT[0],
    SCRIPT[1],
    INTERPRETER[0],
    INTERPRETER[1],
    ITS_ARGUMENTS[0],
    ITS_ARGUMENTS[1],
    ITS_ARGUMENTS[2],
    "args",
];

/// The words of an app's command.
pub(super) fn command(options: &Map<String, Value>) -> Result<Vec<String>, String> {
    let said = |keys: &[&str]| keys.iter().find_map(|key| options.get(*key)?.as_str());
    let script = said(&SCRIPT).ok_or("an app has no `script`")?;
    // "npm start", or a path with blanks that is one word.
    let script_words: Vec<String> = match script.contains('/') || options.contains_key("args") {
        true => vec![script.to_owned()],
        false => script.split_whitespace().map(str::to_owned).collect(),
    };
    let interpreter = match said(&INTERPRETER) {
        Some("none") => None,
        Some(interpreter) => Some(interpreter),
        None => program::interpreter(Path::new(script)),
    };
    let mut command = Vec::new();
    if let Some(interpreter) = interpreter {
        command.push(interpreter.to_owned());
        let given = ITS_ARGUMENTS.iter().filter_map(|key| options.get(*key));
        command.extend(given.flat_map(words));
    }
    command.extend(script_words);
    command.extend(options.get("args").into_iter().flat_map(words));
    Ok(command)
}

/// Arguments as a list, or in one string.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(text).collect(),
        Value::String(line) => split(line),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![text(value)],
    }
}

/// Words between blanks, as PM2 splits them: quotes around a word hold it together and are no part of it, quotes within it
/// (`--name="a b"`) hold it together and stay.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let around = matches!(first, '"' | '\'') && rest[1..].contains(first);
        let (word, after) = match around {
            true => rest[1..].split_once(first).unwrap_or((rest, "")),
            false => rest.split_at(end_of_word(rest)),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// The first blank that stands in no quotes; one that is never closed is a character like any other.
fn end_of_word(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c.is_whitespace() => return at,
            None if matches!(c, '"' | '\'') && text[at + 1..].contains(c) => quote = Some(c),
            None => {}
        }
    }
    text.len()
}
