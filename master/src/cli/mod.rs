//! The command line: what was asked ([`args`]), how failures are told ([`error`]) and how state is shown ([`render`]).
//!
//! Nothing here talks to a master; the verbs that do are handed a parsed [`args::Verb`] and return a [`error::CliError`].

pub mod args;
pub mod error;
mod examples;
pub mod render;
mod run;
pub mod select;
pub mod style;
mod table;
mod values;

use std::process::ExitCode;

use self::args::{Cli, Verb};

/// The command line, from its words to the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match cli.verb {
        Verb::Run(args) => run::run(&args, cli.master),
        other => panic!("{other:?} is being wired"),
    };
    match done {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}
