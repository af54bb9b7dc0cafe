//! `ostler resurrect`: what was saved runs again.

use std::process::ExitCode;

use ostler_bus::vocab::{saved::MasterResurrect, status::AppStatus};

use super::{
    args::{ResurrectArgs, Waiting},
    background, carry_out,
    connect::{self, Wanted},
    error::{CliError, Exit},
    progress::Doing,
    state_verbs,
};
use crate::{
    home::{Home, MasterName, StateDir},
    saved,
};

/// `ostler resurrect`
pub(super) fn resurrect(args: &ResurrectArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    if background::is_remote(wanted)? {
        return add(wanted, args.waiting);
    }
    let state = StateDir::of_this_process()?;
    let name = which(wanted.master, &saved::masters(&state)?, &state)?;
    let live = Home::of_this_process()?.live_masters()?;
    if live.iter().any(|master| master.name == name) {
        let wanted = Wanted {
            master: Some(&name),
            ..wanted
        };
        return add(wanted, args.waiting);
    }
    background::start_file(saved::file_of(&state, &name), name, args.waiting)
}

/// Has the master that runs take up what it doesn't have.
fn add(wanted: Wanted<'_>, waiting: Waiting) -> Result<ExitCode, CliError> {
    let request = MasterResurrect {};
    let (mut before, mut took) = (Vec::new(), None);
    connect::talk(wanted, async |session| {
        before = state_verbs::ask(&session.bus).await?.apps;
        took = carry_out::follow(&session, Doing::Start, None, &request, waiting).await?;
        Ok(ExitCode::SUCCESS)
    })?;
    let Some(took) = took else {
        return Ok(ExitCode::SUCCESS);
    };
    // Another connection: the first was drained, so that no step went untold.
    connect::talk(wanted, async |session| {
        let after = state_verbs::ask(&session.bus).await?.apps;
        match brought(&before, &after) {
            Some(told) => eprintln!("{told}"),
            None => carry_out::done(Doing::Start, took),
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What became of it, where that is not that all of it was started.
fn brought(before: &[AppStatus], after: &[AppStatus]) -> Option<String> {
    let is_new = |app: &&AppStatus| before.iter().all(|known| known.name != app.name);
    let new: Vec<&AppStatus> = after.iter().filter(is_new).collect();
    let parked = new.iter().filter(|app| app.state == "stopped").count();
    let s = if new.len() == 1 { "" } else { "s" };
    match (new.len(), parked) {
        (0, _) => Some("the master has all of it already".to_owned()),
        (_, 0) => None,
        (all, parked) => Some(format!(
            "added {all} app{s}, {parked} of them stopped, as saved (autostart = false): `ostler start APP`"
        )),
    }
}

/// Whose saved fleet is meant.
pub(super) fn which(
    named: Option<&MasterName>,
    saved: &[MasterName],
    state: &StateDir,
) -> Result<MasterName, CliError> {
    let place = state.path().display();
    match (named, saved) {
        (Some(name), saved) if saved.contains(name) => Ok(name.clone()),
        (Some(name), _) => Err(CliError::new(
            Exit::UnknownName,
            format!("nothing is saved of a master {name} (looked in {place})"),
        )
        .details(saved.iter().map(|name| format!("there is {name}")))
        .hint(format!("while it runs: ostler -M {name} save"))),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(CliError::new(
            Exit::UnknownName,
            format!("nothing is saved (looked in {place})"),
        )
        .hint("while a master runs: ostler save")),
        (None, [first, ..]) => Err(CliError::new(
            Exit::Usage,
            format!("{} masters were saved: say which one", saved.len()),
        )
        .details(saved.iter().map(ToString::to_string))
        .hint(format!("add -M {first}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Surroundings;

    #[test]
    fn one_saved_fleet_needs_no_name_and_several_do() {
        let around = Surroundings {
            ostler_home: Some("/home/of/masters".into()),
            ..Surroundings::default()
        };
        let state = StateDir::locate(&around).expect("a place");
        let name = |name: &str| MasterName::new(name).expect("a name");
        let (shop, api) = (name("shop"), name("api"));
        let one = [shop.clone()];
        let two = [api.clone(), shop.clone()];
        assert_eq!(which(None, &one, &state).expect("the only one"), shop);
        assert_eq!(which(Some(&api), &two, &state).expect("named"), api);
        let exits = [
            which(None, &[], &state),
            which(Some(&api), &one, &state),
            which(None, &two, &state),
        ];
        let exits = exits.map(|error| error.expect_err("nothing to choose").exit);
        assert_eq!(exits, [Exit::UnknownName, Exit::UnknownName, Exit::Usage]);
    }
}
