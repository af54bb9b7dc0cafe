//! `ostler startup`: a systemd unit that runs a master from boot on.
//!
//! The unit is printed unless it is to be installed, so that whoever keeps their units elsewhere can. Installing is writing
//! the file and the link that enables it: no running systemd is needed for that, but told if there is one.

mod install;
mod unit;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::{
    args::{ScopeArgs, StartupArgs, UnstartupArgs},
    background,
    connect::Wanted,
    error::{CliError, Exit},
    output, resurrect,
};
use crate::{
    config::{
        app::{AppDefinition, hooks::HookKind},
        circumstances::Circumstances,
        file,
    },
    home::{Home, MasterName, StateDir},
    saved,
};
use install::Place;
use unit::{Runs, Unit};

/// Whose systemd runs the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    System,
    User,
}

/// What a unit's time to stop is besides its workers': the master's own end, and a machine that is busy with its own.
const STOP_MARGIN: Duration = Duration::from_secs(30);

/// `ostler startup`
pub(super) fn startup(args: &StartupArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    if args.remove {
        return remove(args.file.as_deref(), args.scope, wanted);
    }
    let scope = writable(args.scope, rustix::process::geteuid().is_root())?;
    let (name, runs) = what(args.file.as_deref(), args.env.clone(), wanted)?;
    let home = set("OSTLER_HOME");
    let unit = Unit {
        scope,
        program: program()?,
        // The machine's has a place of its own.
        state_home: set("XDG_STATE_HOME")
            .filter(|path| scope == Scope::User && home.is_none() && path.is_absolute()),
        home,
        path: std::env::var("PATH").ok(),
        stop_timeout: stop_timeout(&runs),
        master: name,
        runs,
    };
    unit.check()?;
    if unit.runs.is_saved() && !unit.runs.file().exists() {
        let name = &unit.master;
        eprintln!(
            "note: nothing is saved yet, and until then the unit starts nothing: ostler -M {name} save"
        );
    }
    if !args.install {
        output::print(&unit.text())?;
        return Ok(ExitCode::SUCCESS);
    }
    let place = Place::of(scope, &unit.master)?;
    place.install(&unit.text())?;
    let already = Home::of_this_process()?.live_masters()?;
    if already.iter().any(|live| live.name == unit.master) {
        let name = &unit.master;
        eprintln!(
            "note: the master {name} runs already: `ostler -M {name} kill` it before the unit is started"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// `ostler unstartup`
pub(super) fn unstartup(args: &UnstartupArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    remove(args.file.as_deref(), args.scope, wanted)
}

fn remove(
    file: Option<&Path>,
    scope_args: ScopeArgs,
    wanted: Wanted<'_>,
) -> Result<ExitCode, CliError> {
    let scope = scope(scope_args);
    let name = match (wanted.master, file) {
        (Some(name), _) => name.clone(),
        (None, Some(_)) => what(file, None, wanted)?.0,
        (None, None) => install::only_one(scope)?,
    };
    Place::of(scope, &name)?.remove()?;
    Ok(ExitCode::SUCCESS)
}

fn scope(args: ScopeArgs) -> Scope {
    match (args.user, args.system) {
        (true, _) => Scope::User,
        (false, true) => Scope::System,
        (false, false) if rustix::process::geteuid().is_root() => Scope::System,
        (false, false) => Scope::User,
    }
}

/// The same for a unit that is written: what root runs must be root's.
fn writable(args: ScopeArgs, is_root: bool) -> Result<Scope, CliError> {
    if args.system && !is_root {
        let problem = "a unit of the machine is run by root, and this is your fleet";
        return Err(CliError::new(Exit::Usage, problem)
            .hint("leave --system out for a unit of your own, or run the command as root"));
    }
    Ok(scope(args))
}

/// A path that the environment says.
fn set(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

/// Which master, and what it runs.
fn what(
    file: Option<&Path>,
    environment: Option<String>,
    wanted: Wanted<'_>,
) -> Result<(MasterName, Runs), CliError> {
    if background::is_remote(wanted)? {
        let problem = "a unit is for the machine that it is written on";
        return Err(CliError::new(Exit::Usage, problem).hint("run the command there"));
    }
    let Some(path) = file else {
        let state = StateDir::of_this_process()?;
        let name = saved_master(&state, wanted.master)?;
        let file = saved::file_of(&state, &name);
        return Ok((name, Runs::Saved(file)));
    };
    let circumstances = Circumstances::here(environment.clone());
    let read = file::read(path, &circumstances)?;
    let name = wanted.master.cloned().unwrap_or(read.master);
    Ok((name, Runs::File(read.path, environment)))
}

/// The master that is named; else the only one that runs, or that was saved.
fn saved_master(state: &StateDir, named: Option<&MasterName>) -> Result<MasterName, CliError> {
    let known = saved::masters(state)?;
    let live = Home::of_this_process()?.live_masters()?;
    match (named, known.as_slice(), live.as_slice()) {
        (Some(name), _, _) => Ok(name.clone()),
        (None, _, [only]) => Ok(only.name.clone()),
        (None, known, _) => resurrect::which(None, known, state),
    }
}

fn program() -> Result<PathBuf, CliError> {
    std::env::current_exe().map_err(|error| {
        CliError::new(Exit::Failed, "where this program is can't be found out").because(&error)
    })
}

/// As long as the slowest app may take to go, and a margin. A file that can't be read is told when it is run.
fn stop_timeout(runs: &Runs) -> Duration {
    let circumstances = Circumstances::here(runs.environment());
    let read = file::read(runs.file(), &circumstances);
    let apps = read.map(|file| file.apps).unwrap_or_default();
    let slowest = apps
        .iter()
        .map(time_to_go)
        .max()
        .unwrap_or(Duration::from_secs(30));
    slowest + STOP_MARGIN
}

fn time_to_go(app: &AppDefinition) -> Duration {
    let hooks = [HookKind::BeforeStop, HookKind::AfterExit];
    let hooks = hooks.iter().filter_map(|kind| app.hooks.of(*kind));
    let hooks: Duration = hooks.map(|hook| hook.timeout).sum();
    let rungs = app.kill_ladder.iter().filter_map(|rung| rung.wait);
    hooks + rungs.sum::<Duration>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_writes_a_unit_that_root_runs() {
        let system = ScopeArgs {
            system: true,
            ..ScopeArgs::default()
        };
        let error = writable(system, false).expect_err("not root");
        assert_eq!(error.exit, Exit::Usage);
        assert_eq!(writable(system, true).ok(), Some(Scope::System));
    }
}
