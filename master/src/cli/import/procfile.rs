//! Procfiles: a line for each app, `NAME: COMMAND`.

use std::path::Path;

use super::draft::Draft;
use crate::cli::error::{CliError, Exit};
use crate::config::placeholders::verbatim;

/// The apps of a Procfile.
pub(super) fn drafts(file: &Path, text: &str) -> Result<Vec<Draft>, CliError> {
    let mut drafts = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, command)) = line.split_once(':') else {
            let problem = format!("{}:{number}: {line:?} is not NAME: COMMAND", file.display());
            return Err(CliError::new(Exit::Config, problem).hint("correct the line, or remove it"));
        };
        drafts.push(draft(name.trim(), command.trim()));
    }
    Ok(drafts)
}

fn draft(name: &str, command: &str) -> Draft {
    let mut draft = Draft::new(name);
    if name == "release" {
        draft.note("Run once before a deployment elsewhere; here it is started by hand: ostler start release");
        draft.set("autostart", false);
    }
    if command.contains("$PORT") || command.contains("${PORT") {
        draft.note("PORT is set where exactly one TCP socket is declared. The master has bound it already: the program");
        draft.note("must take the socket that it inherits (descriptor 3), or PORT must be set in `env` in its place.");
    }
    draft.set("command", verbatim(command));
    draft.set("instances", 1);
    draft
}
