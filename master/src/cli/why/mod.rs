//! `why`: the causal story of workers, from the master's [chronicle](crate::chronicle). It asks nobody: it works while the
//! master runs, and after it.

mod pick;
mod show;
mod story;

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use self::{
    pick::{Asked, pick},
    story::{Part, tell},
};
use super::{
    args::WhyArgs,
    connect::Wanted,
    error::{CliError, Exit},
    output, remote,
    style::Style,
};
use crate::{
    chronicle::{self, Chronicle},
    escape,
    home::{Home, MasterName, StateDir},
};

/// `ostler why`
pub(super) fn why(args: &WhyArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    if wanted.master.is_none() && remote::Address::of(wanted.way)?.is_some() {
        let text = "a chronicle is read where its master runs, not over the bus";
        return Err(CliError::new(Exit::Usage, text).hint("run `ostler why` on that machine"));
    }
    let state = StateDir::of_this_process()?;
    let live = Home::of_this_process()?.live_masters()?;
    let names: Vec<MasterName> = live.iter().map(|master| master.name.clone()).collect();
    let master = choose(wanted.master, &names, || chronicle::masters(&state))?;
    let found = chronicle::read(&state, &master)?;
    let Some(Chronicle {
        records,
        unreadable,
    }) = found
    else {
        return Err(nothing_of(&master, &state));
    };
    let alive = live.iter().find(|live| live.name == master);
    let story = tell(&records, alive.map(|live| live.pid));
    let asked = Asked::of(args.of.as_ref(), &story).map_err(|why| {
        CliError::new(Exit::UnknownName, format!("master {master} {why}"))
            .hint("`ostler why` without a name tells all that is known, `ostler ls` who is there")
    })?;
    let since_ms = args.since.map(|ago| {
        let at = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    let (parts, earlier) = pick(story, &asked, since_ms, args.workers);
    let lines = usize::try_from(args.lines).unwrap_or(usize::MAX);
    let text = match args.json {
        true => parts.iter().filter_map(|part| json(part, lines)).collect(),
        false => show::text(&parts, lines, Style::of_stdout()),
    };
    output::print(&text)?;
    if earlier > 0 {
        eprintln!("note: {earlier} earlier workers are not shown; --workers shows more");
    }
    if unreadable > 0 {
        eprintln!("note: {unreadable} lines of the chronicle could not be read and are left out");
    }
    Ok(ExitCode::SUCCESS)
}

fn json(part: &Part, lines: usize) -> Option<String> {
    let json = serde_json::to_string(&part.with_last_lines(lines)).ok()?;
    Some(escape::json(&json).into_owned() + "\n")
}

/// Whose chronicle is meant: one that is named, that of the only live master, or the only one there is.
fn choose<E>(
    wanted: Option<&MasterName>,
    live: &[MasterName],
    kept: impl FnOnce() -> Result<Vec<MasterName>, E>,
) -> Result<MasterName, CliError>
where
    CliError: From<E>,
{
    let several = |names: &[MasterName], what: &str| {
        CliError::new(
            Exit::Usage,
            format!("{} {what}: say which one you mean", names.len()),
        )
        .details(names.iter().map(ToString::to_string))
        .hint(format!("add -M {}", names[0]))
    };
    match (wanted, live) {
        (Some(name), _) | (None, [name]) => Ok(name.clone()),
        (None, []) => match kept()?.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(CliError::new(
                Exit::NotRunning,
                "no master is running, and none has left a chronicle",
            )
            .hint("OSTLER_HOME chooses another place to look")),
            names => Err(several(names, "masters have left chronicles")),
        },
        (None, names) => Err(several(names, "masters are running")),
    }
}

fn nothing_of(master: &MasterName, state: &StateDir) -> CliError {
    let text = format!(
        "there is no chronicle of a master named {master} (looked in {})",
        state.path().display()
    );
    CliError::new(Exit::NotRunning, text).hint("OSTLER_HOME chooses another place to look")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::HomeError;

    #[test]
    fn whose_chronicle_is_meant() {
        let names = |names: &[&str]| -> Vec<MasterName> {
            let name = |name: &&str| MasterName::new(name).unwrap();
            names.iter().map(name).collect()
        };
        let told = |wanted: Option<&str>, live: &[&str], kept: &[&str]| {
            let wanted = wanted.map(|name| MasterName::new(name).unwrap());
            let kept = || Ok::<_, HomeError>(names(kept));
            choose(wanted.as_ref(), &names(live), kept)
                .map(|name| name.to_string())
                .map_err(|error| error.exit)
        };
        assert_eq!(told(Some("x"), &["a"], &["b"]), Ok("x".into()));
        assert_eq!(told(None, &["a"], &["b", "c"]), Ok("a".into()));
        assert_eq!(told(None, &[], &["b"]), Ok("b".into()));
        assert_eq!(told(None, &[], &["b", "c"]), Err(Exit::Usage));
        assert_eq!(told(None, &["a", "b"], &["a"]), Err(Exit::Usage));
        assert_eq!(told(None, &[], &[]), Err(Exit::NotRunning));
    }
}
