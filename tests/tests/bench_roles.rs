//! What a benchmark has started ends with it, whatever ends it. A program of its own, as the roles of a benchmark are.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use ostler_tests::{
    bench::{
        peers,
        roles::{self, Play, Role},
    },
    harness::eventually,
};
use rustix::process::{Pid, Signal, kill_process};

/// A role: becomes a benchmark that a signal ends, as it does one that a user has started. A shell has what it runs in the
/// background ignore SIGINT, and whatever that starts.
fn listening_to_signals(_: &[String]) -> Result<(), String> {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM");
    command.args(roles::command("benchmark")?);
    Err(command.exec().to_string())
}

/// A role: a benchmark with a broker, which says the broker's process id and waits to be ended.
fn benchmark(_: &[String]) -> Result<(), String> {
    let mut broker = Role::start("server", &["sleep", "600"])?;
    println!("{}", broker.line()?);
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map_err(|e| e.to_string())?;
    Ok(())
}

/// A benchmark and its broker's process id.
fn begun() -> (Role, u32) {
    let mut benchmark = Role::start("listening", &[]).expect("a benchmark");
    let broker = benchmark.line().expect("a broker's process id");
    (benchmark, broker.parse().expect("a number"))
}

fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended.
    Path::new(&format!("/proc/{pid}")).exists() && !stat.contains(") Z ")
}

async fn ends(what: &str, pid: u32) {
    let ended = || (!runs(pid)).then_some(());
    eventually(what, Duration::from_secs(20), ended).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let own: [(&str, Play); 2] = [
        ("listening", listening_to_signals),
        ("benchmark", benchmark),
    ];
    let roles: Vec<_> = own.into_iter().chain(peers::ROLES).collect();
    if let Some(code) = roles::play(&roles) {
        return code;
    }
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        let (benchmark, broker) = begun();
        assert!(runs(broker));
        let pid = Pid::from_raw(benchmark.id().cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("it runs");
        ends(&format!("the broker after {signal:?}"), broker).await;
    }
    let mut role = Role::start("server", &["sleep", "600"]).expect("a role");
    let broker = role.line().expect("a line").parse().expect("a number");
    assert!(runs(broker));
    drop(role);
    ends("the broker of a role that was dropped", broker).await;
    println!("what a benchmark has started ends with it: ok");
    ExitCode::SUCCESS
}
