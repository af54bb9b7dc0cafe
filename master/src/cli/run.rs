//! `ostler run`: a master in the foreground.

use std::{path::Path, process::ExitCode};

use super::{
    args::{LogFormat, RunArgs, RunVerbArgs, RunWhat},
    background,
    error::{CliError, Exit},
    foreign,
};
use crate::{
    config::{bus_table::BusSettings, circumstances::Circumstances, file, flags, missing},
    home::MasterName,
    log,
    master::{self, MasterOptions, Stay},
    sys,
};

/// Runs until told to stop, or until nothing is left to run.
pub(super) fn run(args: &RunVerbArgs, name: Option<MasterName>) -> Result<ExitCode, CliError> {
    if args.detached.is_some() {
        background::detach()?;
    }
    let mut options = checked(&args.what, args.what.what()?, name)?;
    options.stay = match (&args.detached, args.stay) {
        (Some(_), _) => Stay::Background,
        (None, true) => Stay::Foreground,
        (None, false) => Stay::WhileBusy,
    };
    if let Some(log) = &args.detached {
        options.log_to = log::Destination::File(log.clone());
    }
    master::run(options, |_bus| async {}).map(ExitCode::from)
}

/// What is to be run, and can be: nothing that it counts on is missing.
pub(super) fn checked(
    args: &RunArgs,
    what: RunWhat,
    name: Option<MasterName>,
) -> Result<MasterOptions, CliError> {
    let options = options(args, what, name)?;
    let exit = match &options.file {
        Some(_) => Exit::Config,
        None => Exit::Usage,
    };
    match missing::of(&options.apps).as_slice() {
        [] => Ok(options),
        [one] => Err(CliError::new(exit, one.problem()).hint(one.wrong.fix.clone())),
        several => {
            let lines = several
                .iter()
                .flat_map(|one| [one.problem(), format!("    {}", one.wrong.fix)]);
            let problem = format!("{} things that the apps need are not here", several.len());
            Err(CliError::new(exit, problem).details(lines))
        }
    }
}

fn options(
    args: &RunArgs,
    what: RunWhat,
    name: Option<MasterName>,
) -> Result<MasterOptions, CliError> {
    let log = match args.log_format {
        LogFormat::Human => log::Format::Human,
        LogFormat::Json => log::Format::Json,
    };
    match what {
        RunWhat::File(path) if foreign::is_missing(&path) => Err(foreign::nothing_here(
            Exit::Config,
            "run",
            "there is no ostler.toml here, nor an ostler.yaml, .yml or .json",
        )),
        RunWhat::File(path) => {
            let circumstances = Circumstances::here(args.env.clone());
            let mut process_file = file::read(&path, &circumstances)?;
            let only = args.only()?;
            let chosen = process_file.start_only(&only);
            chosen.map_err(|unknown| CliError::new(Exit::UnknownName, unknown))?;
            let name = name.unwrap_or(process_file.master);
            Ok(MasterOptions {
                name,
                apps: process_file.apps,
                bus: process_file.bus,
                signals: process_file.signals,
                file: Some(process_file.path),
                environment: args.env.clone(),
                warnings: process_file.warnings,
                log,
                log_to: log::Destination::Streams,
                stay: Stay::WhileBusy,
                log_default: log::DEFAULT,
            })
        }
        RunWhat::Command(given) => {
            let app = flags::define(
                given,
                &background::absolute(Path::new("."))?,
                sys::available_cores(),
            )?;
            let name = name.unwrap_or_else(|| MasterName::from(&app.name));
            Ok(MasterOptions {
                name,
                apps: vec![app],
                bus: BusSettings::default(),
                signals: true,
                file: None,
                environment: None,
                warnings: Vec::new(),
                log,
                log_to: log::Destination::Streams,
                stay: Stay::WhileBusy,
                log_default: log::DEFAULT,
            })
        }
    }
}
