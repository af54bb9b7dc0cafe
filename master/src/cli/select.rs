//! Which master a command means.

use super::error::{CliError, Exit};
use crate::home::{Home, LiveMaster, MasterHome, MasterName};

/// The master that `-M` names, or the only live one.
///
/// # Errors
/// With exit code 3 if there is none (or none of that name), 2 if there are several to choose from.
pub fn master(home: &Home, wanted: Option<&MasterName>) -> Result<MasterHome, CliError> {
    let live = home.live_masters()?;
    choose(home, wanted, &live).map(|master| home.master(&master.name))
}

fn choose<'l>(
    home: &Home,
    wanted: Option<&MasterName>,
    live: &'l [LiveMaster],
) -> Result<&'l LiveMaster, CliError> {
    match (wanted, live) {
        (Some(name), _) => live
            .iter()
            .find(|master| master.name == *name)
            .ok_or_else(|| no_such(name, live)),
        (None, [only]) => Ok(only),
        (None, []) => Err(CliError::new(
            Exit::NotRunning,
            format!("no master is running (looked in {})", home.path().display()),
        )
        .hint("start one with `ostler run`; OSTLER_HOME chooses another place to look")),
        (None, several) => Err(CliError::new(
            Exit::Usage,
            format!(
                "{} masters are running: say which one you mean",
                several.len()
            ),
        )
        .details(several.iter().map(listed))
        .hint(format!("add -M {}", several[0].name))),
    }
}

fn no_such(name: &MasterName, live: &[LiveMaster]) -> CliError {
    let error = CliError::new(
        Exit::NotRunning,
        format!("no master named {name} is running"),
    );
    match live {
        [] => error.hint("start one with `ostler run`"),
        _ => error
            .details(live.iter().map(listed))
            .hint("these are running: choose one with -M"),
    }
}

fn listed(master: &LiveMaster) -> String {
    format!("{} (pid {})", master.name, master.pid)
}
