//! Process files of others, met where one of ours was looked for: whoever brings one is told how to bring it in.

use std::path::Path;

use super::error::{CliError, Exit};
use crate::config::{document::Format, errors::Wrong};

/// What they are usually called.
const NAMES: [&str; 8] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.json",
    "ecosystem.yaml",
    "ecosystem.yml",
    "pm2.config.js",
    "Procfile",
];

/// Whether a file is, by its name, an ecosystem file that is a program, or a Procfile.
pub(super) fn is_foreign(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let module = [".js", ".cjs", ".mjs"]
        .iter()
        .any(|end| name.ends_with(end));
    let configures = ["ecosystem", "pm2", ".config."]
        .iter()
        .any(|part| name.contains(part));
    name.starts_with("Procfile") || (module && configures)
}

/// One was given as if it were ours.
pub(super) fn given(file: &Path) -> Wrong {
    let file = file.display().to_string();
    Wrong::new(
        format!("{file:?} is no process file of ours"),
        import(&file),
    )
}

/// There is none of ours here to `run`, or to `start`; perhaps there is another's.
pub(super) fn nothing_here(exit: Exit, verb: &str, problem: &str) -> CliError {
    let theirs = NAMES.into_iter().find(|name| Path::new(name).exists());
    let hint = match theirs {
        Some(theirs) => format!("{theirs} is here: {}", import(theirs)),
        None => format!(
            "`ostler init` writes one; or name a process file, or a command: ostler {verb} -- COMMAND"
        ),
    };
    CliError::new(exit, problem).hint(hint)
}

fn import(file: &str) -> String {
    format!("make a process file of it with `ostler import {file} > ostler.toml`")
}

/// Whether the file that is meant if none is named is not there.
pub(super) fn is_missing(file: &Path) -> bool {
    file == Path::new(Format::NAMES[0]) && !file.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_go_by_their_names() {
        for theirs in [
            "ecosystem.config.js",
            "deploy/ecosystem.config.cjs",
            "pm2.mjs",
            "api.config.js",
            "Procfile",
            "Procfile.dev",
        ] {
            assert!(is_foreign(Path::new(theirs)), "{theirs}");
        }
        for other in [
            "server.js",
            "config/server.js",
            "web",
            "ecosystem.toml",
            "procfile",
        ] {
            assert!(!is_foreign(Path::new(other)), "{other}");
        }
    }
}
