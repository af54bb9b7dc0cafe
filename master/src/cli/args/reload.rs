//! What `reload` was given. Its `--env` is two things that people look for under this name: with `--config` which environment
//! of the file, else a variable.

use std::collections::BTreeMap;

use clap::Args;

use super::{Waiting, values};
use crate::{cli::error::CliError, config::errors::Wrong};

/// What `reload` was given.
#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// Which apps: APP, NAMESPACE, a pattern, all [default: all]
    #[arg(value_name = "WHICH", value_parser = values::selector)]
    pub which: Vec<String>,

    /// Read the process file again and take up what it says: what is new starts, what is gone stops, what is different is
    /// rolled, and all else is left alone
    #[arg(long, conflicts_with_all = ["which", "now", "reason"])]
    pub config: bool,

    /// A variable for the new workers, and for those that replace them after a crash; can be repeated. With --config: the
    /// environment to read the file for from now on
    #[arg(long, value_name = "NAME=VALUE|NAME")]
    pub env: Vec<String>,

    /// New workers inherit this shell's environment from now on, instead of the master's own
    #[arg(long, conflicts_with = "config")]
    pub update_env: bool,

    /// Give up a running update and begin this one at once
    #[arg(long)]
    pub now: bool,

    /// Why, for the log and other listeners
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Whether to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

impl ReloadArgs {
    /// The environment that the process file is to be read for.
    ///
    /// # Errors
    /// If `--env` has another meaning, or several.
    pub fn environment(&self) -> Result<Option<String>, CliError> {
        match self.env.as_slice() {
            [] => Ok(None),
            [name] if !name.contains('=') => Ok(Some(name.clone())),
            [variable] => Err(Wrong::new(
                format!("--env {variable:?} is a variable, and with --config it names an environment of the file"),
                "reload --config first, then reload --env NAME=VALUE; or write the variable into the file",
            )
            .into()),
            [_, _, ..] => Err(Wrong::new(
                "there are several --env",
                "with --config there is one: the environment to read the file for",
            )
            .into()),
        }
    }

    /// The variables for the new generation, if there are any.
    ///
    /// # Errors
    /// If one has no value.
    pub fn variables(&self) -> Result<Option<BTreeMap<String, String>>, CliError> {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            Some(_) | None => Err(Wrong::new(
                format!("--env {text:?} is no variable"),
                "write --env NAME=VALUE; an environment of the file is chosen with --config --env NAME",
            )),
        };
        let pairs: Result<BTreeMap<_, _>, Wrong> = self.env.iter().map(pair).collect();
        let pairs = pairs?;
        Ok((!pairs.is_empty()).then_some(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Verb};
    use super::*;

    fn reload(line: &str) -> ReloadArgs {
        let words = ["ostler", "reload"].into_iter().chain(line.split(' '));
        match Cli::read(words.map(Into::into)).map(|cli| cli.verb) {
            Ok(Verb::Reload(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn variables_are_pairs_and_an_environment_is_a_name() {
        let args = reload("web --env A=1 --env B=x=y --env C= --update-env");
        let pairs = [("A", "1"), ("B", "x=y"), ("C", "")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(args.variables(), Ok(Some(BTreeMap::from(pairs))));
        assert!(args.update_env);
        let args = reload("--config --env staging");
        assert_eq!(args.environment(), Ok(Some("staging".into())));
        assert_eq!(reload("--now").variables(), Ok(None));
        assert_eq!(reload("--config").environment(), Ok(None));
    }

    #[test]
    fn what_mixes_the_two_is_told() {
        assert!(reload("--env staging").variables().is_err());
        assert!(reload("--env =1").variables().is_err());
        assert!(reload("--config --env A=1").environment().is_err());
        let two = reload("--config --env a --env b").environment();
        assert!(two.is_err());
    }
}
