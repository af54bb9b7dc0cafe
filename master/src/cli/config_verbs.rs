//! `validate` and `init`: process files without a master.

use std::{io::Write as _, path::Path, process::ExitCode};

use serde::Serialize;

use super::{
    args::{InitArgs, ValidateArgs, usual},
    error::{CliError, Exit},
    output, project, render,
};
use crate::{
    config::{
        circumstances::Circumstances,
        errors::ConfigErrors,
        file,
        file::ProcessFile,
        missing::{self, Missing},
    },
    escape,
};

/// What `validate --json` prints.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    valid: bool,
    master: Option<String>,
    apps: Vec<String>,
    warnings: Vec<String>,
    missing: Vec<String>,
    errors: Vec<Told>,
}

/// A fault, for machines.
#[derive(Debug, Serialize)]
struct Told {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    key: String,
    problem: String,
    fix: String,
}

/// `ostler validate`. Where a file is checked, that which it counts on may not be: what is missing is told, and no error.
pub(super) fn validate(args: &ValidateArgs) -> Result<ExitCode, CliError> {
    let path = args.file.clone().unwrap_or_else(usual);
    let read = file::read(&path, &Circumstances::here(args.env.clone()));
    if args.json {
        let exit = if read.is_ok() {
            Exit::Done
        } else {
            Exit::Config
        };
        let verdict = read.map_or_else(refused, |file| accepted(&file));
        output::print(&render::json(&verdict)?)?;
        return Ok(exit.into());
    }
    let file = read?;
    for warning in &file.warnings {
        eprintln!("warning: {}", escape::line(warning));
    }
    let missing = missing::of(&file.apps);
    for missing in &missing {
        eprintln!("missing here: {}", escape::line(&missing.to_string()));
    }
    if !missing.is_empty() {
        eprintln!("warning: on this machine, `ostler run` would refuse it");
    }
    let workers: u32 = file.apps.iter().map(|app| app.instances).sum();
    let text = format!(
        "{} is valid: master {}, {}, {}\n",
        escape::line(&path.display().to_string()),
        file.master,
        many(file.apps.len(), "app"),
        many(workers as usize, "worker"),
    );
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn many(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

fn accepted(file: &ProcessFile) -> Verdict {
    Verdict {
        valid: true,
        master: Some(file.master.to_string()),
        apps: file.apps.iter().map(|app| app.name.to_string()).collect(),
        warnings: file.warnings.clone(),
        missing: missing::of(&file.apps)
            .iter()
            .map(Missing::to_string)
            .collect(),
        errors: Vec::new(),
    }
}

fn refused(errors: ConfigErrors) -> Verdict {
    let told = errors.errors.into_iter().map(|error| Told {
        file: error.file.display().to_string(),
        line: error.place.map(|place| place.line),
        column: error.place.map(|place| place.column),
        key: error.key,
        problem: error.wrong.problem,
        fix: error.wrong.fix,
    });
    Verdict {
        errors: told.collect(),
        ..Verdict::default()
    }
}

/// `ostler init`
pub(super) fn init(args: &InitArgs) -> Result<ExitCode, CliError> {
    let project = project::find(&args.directory);
    let path = args.directory.join("ostler.toml");
    write_new(&path, &project::file_for(&project))?;
    let shown = path.display().to_string();
    let (shown, what) = (escape::line(&shown), escape::line(&project.what));
    eprintln!("wrote {shown} for {what}");
    eprintln!("look it through, then: ostler run");
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let shown = path.display();
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                CliError::new(Exit::Failed, format!("{shown} is there already"))
                    .hint("it is left as it is; remove it first, or edit it")
            }
            _ => CliError::new(Exit::Failed, format!("can't write {shown}")).because(&error),
        }
    })
}
