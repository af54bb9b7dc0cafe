//! `ostler run`: a master in the foreground.

use std::{path::Path, process::ExitCode};

use super::{
    args::{LogFormat, RunArgs, RunWhat},
    error::{CliError, Exit},
};
use crate::{
    config::{
        app::AppDefinition, bus_table::BusSettings, circumstances::Circumstances, file, flags,
        program,
    },
    home::MasterName,
    log,
    master::{self, MasterOptions},
    sys,
};

/// Runs until told to stop.
pub(super) fn run(args: &RunArgs, name: Option<MasterName>) -> Result<ExitCode, CliError> {
    let options = options(args, name)?;
    for app in &options.apps {
        check_command(app)?;
        check_watched(app)?;
    }
    master::run(options, |_bus| async {}).map(ExitCode::from)
}

fn options(args: &RunArgs, name: Option<MasterName>) -> Result<MasterOptions, CliError> {
    let log = match args.log_format {
        LogFormat::Human => log::Format::Human,
        LogFormat::Json => log::Format::Json,
    };
    match args.what()? {
        RunWhat::File(path) => {
            let circumstances = Circumstances::here(args.env.clone());
            let process_file = file::read(&path, &circumstances)?;
            let name = name.unwrap_or(process_file.master);
            Ok(MasterOptions {
                name,
                apps: process_file.apps,
                bus: process_file.bus,
                file: Some(process_file.path),
                environment: args.env.clone(),
                warnings: process_file.warnings,
                log,
                log_default: log::DEFAULT,
            })
        }
        RunWhat::Command(given) => {
            let app = flags::define(given, &working_directory()?, sys::available_cores())?;
            let name = name.unwrap_or_else(|| MasterName::from(&app.name));
            Ok(MasterOptions {
                name,
                apps: vec![app],
                bus: BusSettings::default(),
                file: None,
                environment: None,
                warnings: Vec::new(),
                log,
                log_default: log::DEFAULT,
            })
        }
    }
}

/// A misspelt command is one sentence now, instead of sixteen failed starts.
fn check_command(app: &AppDefinition) -> Result<(), CliError> {
    let Some(word) = app.command.first() else {
        return Ok(());
    };
    let cwd = match &app.cwd {
        Some(cwd) => cwd.clone(),
        None => working_directory()?,
    };
    program::resolve(word, Path::new(&cwd), app.search_path().as_deref())
        .map(drop)
        .map_err(|wrong| {
            let mut error = CliError::from(wrong);
            error.message = format!("{}: {}", app.name, error.message);
            error
        })
}

/// A misspelt path would be watched for ever without a word.
fn check_watched(app: &AppDefinition) -> Result<(), CliError> {
    let paths = app.auto_reload.iter().flat_map(|watch| &watch.paths);
    match paths.into_iter().find(|path| !path.exists()) {
        None => Ok(()),
        Some(path) => Err(CliError::new(
            Exit::Usage,
            format!(
                "{}: there is nothing to watch at {}",
                app.name,
                path.display()
            ),
        )
        .hint("correct the path of auto-reload, or create it first")),
    }
}

fn working_directory() -> Result<std::path::PathBuf, CliError> {
    std::env::current_dir().map_err(|error| {
        CliError::new(Exit::Failed, "the working directory can't be read").because(&error)
    })
}
