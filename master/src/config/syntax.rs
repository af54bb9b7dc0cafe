//! What to do about TOML that the parser can't read: it says what is wrong, but not how to mend it.

use super::errors::Wrong;

/// The parser's description of bad syntax, with a fix.
pub(super) fn explain(message: &str) -> Wrong {
    let problem = message.split(", expected").next().unwrap_or(message);
    let fix = match problem {
        "duplicate key" => "remove one of the two, or merge their tables",
        "string values must be quoted" => "put it in quotes",
        "missing comma between array elements" => "put a comma here",
        "unclosed table" => "close the header with `]`",
        "unclosed array" => "close the array with `]`",
        "unclosed inline table" => "close the table with `}`",
        "invalid basic string" | "invalid literal string" => {
            "close the string with its quote, on the same line"
        }
        _ => "correct the TOML here: `key = value`, strings in quotes, tables as [app.NAME]",
    };
    Wrong::new(problem, fix)
}
