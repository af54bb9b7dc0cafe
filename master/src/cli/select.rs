//! Which master a command means.

use super::error::{CliError, Exit};
use crate::home::{Home, LiveMaster, MasterName};

/// The master that `-M` names, or the only live one.
///
/// # Errors
/// With exit code 3 if there is none (or none of that name), 2 if there are several to choose from.
pub fn master(home: &Home, wanted: Option<&MasterName>) -> Result<LiveMaster, CliError> {
    let live = home.live_masters()?;
    choose(home, wanted, &live).cloned()
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

/// One of several.
pub(super) fn listed(master: &LiveMaster) -> String {
    format!("{} (pid {})", master.name, master.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::style::Style, home::Surroundings};

    fn told(wanted: Option<&str>, live: &[&str]) -> Result<String, (Exit, String)> {
        let around = Surroundings {
            ostler_home: Some("/srv/o".into()),
            ..Surroundings::default()
        };
        let home = Home::locate(&around).unwrap();
        let name = |name: &str| MasterName::new(name).unwrap();
        let live: Vec<LiveMaster> = (1..)
            .zip(live)
            .map(|(pid, master)| LiveMaster {
                name: name(master),
                pid,
            })
            .collect();
        choose(&home, wanted.map(name).as_ref(), &live)
            .map(|master| master.name.to_string())
            .map_err(|error| (error.exit, error.render(Style::plain())))
    }

    #[test]
    fn the_only_master_needs_no_name() {
        assert_eq!(told(None, &["shop"]), Ok("shop".into()));
        assert_eq!(told(Some("b"), &["a", "b"]), Ok("b".into()));
    }

    #[test]
    fn without_a_choice_there_is_a_reason() {
        assert_eq!(
            told(None, &[]),
            Err((
                Exit::NotRunning,
                "error: no master is running (looked in /srv/o)\n\nhint: start one with `ostler run`; OSTLER_HOME chooses another place to look\n".into()
            ))
        );
        assert_eq!(
            told(None, &["a", "b"]),
            Err((
                Exit::Usage,
                "error: 2 masters are running: say which one you mean\n  a (pid 1)\n  b (pid 2)\n\nhint: add -M a\n".into()
            ))
        );
        assert_eq!(
            told(Some("c"), &["a"]),
            Err((
                Exit::NotRunning,
                "error: no master named c is running\n  a (pid 1)\n\nhint: these are running: choose one with -M\n".into()
            ))
        );
        assert_eq!(told(Some("c"), &[]).unwrap_err().0, Exit::NotRunning);
    }
}
