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

/// What is to be run, and can be: nothing is missing that it counts on; or those of its apps, where only some are named.
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
    let only = args.only()?;
    let apps = options.apps.iter();
    let missing = match only.as_slice() {
        [] => missing::of(apps),
        only => missing::of(apps.filter(|app| only.contains(&app.name))),
    };
    match missing.as_slice() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Verb};

    #[test]
    fn what_only_an_unnamed_app_lacks_is_not_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ostler.toml");
        let text = "app.web.command = \"true\"\napp.api.command = \"no-such-program\"\n";
        std::fs::write(&file, text).unwrap();
        let begun = |name: &str| {
            let words = [
                "ostler".as_ref(),
                "start".as_ref(),
                file.as_os_str(),
                name.as_ref(),
            ];
            let Verb::Start(args) = Cli::read(words.map(Into::into)).unwrap().verb else {
                panic!("{name}");
            };
            checked(&args.what, RunWhat::File(file.clone()), None)
        };
        let options = begun("web").unwrap();
        assert_eq!(options.apps.len(), 2, "the master knows both");
        for name in ["api", "web,api"] {
            assert!(begun(name).is_err(), "{name}");
        }
    }
}
