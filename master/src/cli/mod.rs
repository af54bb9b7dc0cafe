//! The command line: what was asked ([`args`]), how failures are told ([`error`]) and how state is shown ([`render`]).
//!
//! A verb is handed its parsed arguments and returns how to end, or a [`error::CliError`]. Those that talk to a master
//! ([`state_verbs`], [`fleet_verbs`], [`bus_verbs`]) are clients of its bus like any other: `connect` finds the way, `operation`
//! follows what was accepted to its end, `progress` and `live` show it.

pub mod args;
mod away;
mod background;
mod bus_errors;
mod bus_state;
mod bus_verbs;
mod carry_out;
mod config_verbs;
mod connect;
mod describe;
pub mod error;
mod event_line;
mod examples;
mod filter;
mod fleet_verbs;
mod foreign;
mod held;
mod import;
pub(crate) mod interrupt;
mod kill;
pub(crate) mod live;
mod logs;
mod monit;
mod operation;
pub(crate) mod output;
mod plan;
pub(crate) mod progress;
mod project;
mod remote;
pub mod render;
mod resurrect;
mod run;
pub(crate) mod runtime;
mod save;
pub mod select;
mod send;
mod sockets;
mod startup;
mod state_verbs;
pub mod style;
pub(crate) mod table;
mod tail;
mod traffic;
mod values;
mod why;

use std::process::ExitCode;

use self::{
    args::{Cli, Verb},
    connect::Wanted,
};
use crate::{bench, demo, home};

/// The command line, from its words to the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    // Who says nothing, in a worker, means its own master.
    let wanted = cli.master.clone().or_else(home::own_master);
    let master = Wanted {
        master: wanted.as_ref(),
        way: &cli.way,
    };
    let done = match cli.verb {
        Verb::Run(args) => run::run(&args, cli.master),
        Verb::Validate(args) => config_verbs::validate(&args),
        Verb::Init(args) => config_verbs::init(&args),
        Verb::Import(args) => import::import(&args),
        Verb::Ls(args) => state_verbs::ls(args, master),
        Verb::Describe(args) => describe::describe(&args, master),
        Verb::Monit => monit::monit(master),
        Verb::Sockets(args) => sockets::sockets(&args, master),
        Verb::Reload(args) => fleet_verbs::reload(&args, master),
        Verb::Plan(args) => plan::plan(&args, master),
        Verb::Scale(args) => fleet_verbs::scale(&args, master),
        Verb::Stop(args) => fleet_verbs::stop(&args, master),
        Verb::Start(args) => background::start(&args, master),
        Verb::Restart(args) => fleet_verbs::restart(&args, master),
        Verb::Delete(args) => fleet_verbs::delete(&args, master),
        Verb::Signal(args) => fleet_verbs::signal(&args, master),
        Verb::Reset(args) => fleet_verbs::reset(&args, master),
        Verb::Kill(args) => kill::kill(args, master),
        Verb::Logs(args) => logs::logs(&args, master),
        Verb::Flush(args) => logs::flush(&args, master),
        Verb::Why(args) => why::why(&args, master),
        Verb::Send(args) => send::send(&args, master),
        Verb::Save(args) => save::save(&args, master),
        Verb::Resurrect(args) => resurrect::resurrect(&args, master),
        Verb::Startup(args) => startup::startup(&args, master),
        Verb::Unstartup(args) => startup::unstartup(&args, master),
        Verb::Ping(args) => state_verbs::ping(args, master),
        Verb::Emit(args) => bus_verbs::emit(&args, master),
        Verb::Request(args) => bus_verbs::request(&args, master),
        Verb::Bus(args) => bus_state::bus(args, master),
        Verb::Tail(args) => tail::tail(&args, master),
        Verb::Wait(args) => bus_verbs::wait(&args, master),
        Verb::Bench(args) => bench::run(args),
        Verb::Demo(args) => demo::run(args, cli.master),
    };
    match done {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}
