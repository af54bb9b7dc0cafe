//! What is lost when workers are killed, are all dead for a while, or are replaced, under load.

mod others;

use std::time::Duration;

use ostler_tests::{
    bench::{
        peers::goals::{Bound, Goals},
        sockets::{Account, Client, MODES, Ours, Policy, app, signal},
    },
    harness::App,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{LOAD, OSTLER, sites::left_out};

const WORKERS: u32 = 4;

/// Workers killed under one load.
const KILLS: usize = 20;

/// Clients of that load: so many requests may be served at once.
const CLIENTS: u64 = 8;

/// How long a worker has stood still before it is killed, where it has.
const HANG: Duration = Duration::from_millis(50);

/// Updates under load.
const UPDATES: usize = 10;

/// How long all workers are dead.
const DEAD: &str = "1s";

/// Requests asked for meanwhile, by as many clients at once as wait in vain.
const WAITING: [&str; 4] = ["-c", "64", "-n", "2000"];

/// Loads on updates, all at once: a name, and the generator's arguments.
const LOADS: [(&str, &[&str]); 3] = [
    ("new connections", &["-c", "4", "-d", "60"]),
    ("kept alive", &["-k", "-c", "4", "-d", "60"]),
    ("paced, 200/s", &["-r", "200", "-c", "4", "-d", "60"]),
];

pub(crate) fn measure(runtime: &Runtime, goals: &mut Goals) -> Result<(), String> {
    println!(
        "**Requests lost of all**: by {KILLS} SIGKILLs at random under {CLIENTS} clients, who may lose what is served just then; the same"
    );
    println!(
        "where each worker had stood still for {HANG:?}; while all four workers were dead for {DEAD}; by {UPDATES} rolling updates, for clients of each kind\n"
    );
    let loads = LOADS.map(|(name, _)| name).join(" | ");
    println!("| | killed | hung, then killed | all dead | updates: {loads} |");
    println!("|---|---|---|---|---|---|---|");
    for mode in MODES {
        let usual = app(mode, WORKERS)?;
        match Ours::start(runtime, OSTLER, &usual, WORKERS) {
            Ok(ours) => {
                let row = of_mode(runtime, mode, &ours, usual, goals)?;
                println!("| {mode} | {row} |");
            }
            Err(why) => left_out(mode, &why),
        }
    }
    for policy in [Policy::RoundRobin, Policy::None] {
        match others::of_cluster(policy) {
            Ok(row) => println!("| {policy} | {row} |"),
            Err(why) => left_out(&policy.to_string(), &why),
        }
    }
    println!();
    Ok(())
}

fn of_mode(
    runtime: &Runtime,
    mode: &str,
    ours: &Ours,
    usual: App,
    goals: &mut Goals,
) -> Result<String, String> {
    let mut cells = Vec::new();
    for hang in [None, Some(HANG)] {
        let account = kills(runtime, ours, hang)?;
        let how = hang.map_or("", |_| ", hung before");
        let most = (KILLS as u64 * CLIENTS) as f64;
        let reset =
            format!("{mode}: reset by {KILLS} SIGKILLs{how}, of {most} that may be in service");
        goals.add(&reset, Bound::AtMost(most), Some(account.reset as f64));
        let other = account.lost() - account.reset;
        none(
            goals,
            &format!("{mode}: refused, timed out or wrong meanwhile{how}"),
            other,
        );
        cells.push(cell(&account));
    }
    let slow = usual
        .set("backoff", json!({"first": DEAD}))
        .set("min_uptime", "1m");
    let account = all_dead(runtime, &Ours::start(runtime, OSTLER, &slow, WORKERS)?)?;
    let waited = account.max_ms.unwrap_or(f64::NAN);
    if waited < 500.0 {
        return Err(format!(
            "{mode}: nobody was dead: the longest wait was {waited} ms"
        ));
    }
    none(
        goals,
        &format!("{mode}: lost while all were dead for {DEAD}"),
        account.lost(),
    );
    cells.push(cell(&account));
    let accounts = under_load(ours.address, UPDATES, || {
        ours.update(runtime);
        Ok(())
    })?;
    for ((kind, _), account) in LOADS.iter().zip(accounts) {
        none(
            goals,
            &format!("{mode}: lost by {UPDATES} updates, {kind}"),
            account.lost(),
        );
        cells.push(cell(&account));
    }
    Ok(cells.join(" | "))
}

fn none(goals: &mut Goals, what: &str, lost: u64) {
    goals.add(what, Bound::AtMost(0.0), Some(lost as f64));
}

/// Kills workers at random under load.
fn kills(runtime: &Runtime, ours: &Ours, hang: Option<Duration>) -> Result<Account, String> {
    killing(ours.address, |kill| {
        let pids = ours.pids(runtime);
        let pid = pids[chance(kill, pids.len())];
        kill_after(pid, hang)?;
        ours.until_replaced(runtime, &[pid]);
        Ok(())
    })
}

/// Repeats that under load, until it has been done often enough.
fn killing(
    address: std::net::SocketAddr,
    mut kill: impl FnMut(usize) -> Result<(), String>,
) -> Result<Account, String> {
    let clients = CLIENTS.to_string();
    let client = Client::start(LOAD, address, "/", &["-c", &clients, "-d", "60"])?;
    wait(Duration::from_millis(200));
    for number in 0..KILLS {
        kill(number)?;
        // At another moment of the load's each time.
        wait(Duration::from_micros(
            20_000 + 997 * chance(number, 20) as u64,
        ));
    }
    client.stop()
}

fn kill_after(pid: u32, hang: Option<Duration>) -> Result<(), String> {
    if let Some(hang) = hang {
        signal(pid, Signal::STOP)?;
        wait(hang);
    }
    signal(pid, Signal::KILL)
}

fn all_dead(runtime: &Runtime, ours: &Ours) -> Result<Account, String> {
    let pids = ours.pids(runtime);
    dead(&pids, ours.address)
}

/// Kills all, and asks when they are gone.
fn dead(pids: &[u32], address: std::net::SocketAddr) -> Result<Account, String> {
    for pid in pids {
        signal(*pid, Signal::KILL)?;
    }
    for pid in pids {
        while runs(*pid) {
            wait(Duration::from_millis(1));
        }
    }
    Client::start(LOAD, address, "/", &WAITING)?.finish()
}

/// A process that has ended and was not waited for runs no more.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Updates under all kinds of load at once.
fn under_load(
    address: std::net::SocketAddr,
    updates: usize,
    mut update: impl FnMut() -> Result<(), String>,
) -> Result<Vec<Account>, String> {
    let mut clients = Vec::new();
    for (_, args) in LOADS {
        clients.push(Client::start(LOAD, address, "/", args)?);
    }
    wait(Duration::from_millis(200));
    for _ in 0..updates {
        update()?;
    }
    wait(Duration::from_millis(200));
    clients.into_iter().map(Client::stop).collect()
}

/// Some number below `bound`, the same in each run.
fn chance(step: usize, bound: usize) -> usize {
    (step + 1).wrapping_mul(0x9E37_79B1) % 65_521 % bound
}

fn wait(time: Duration) {
    std::thread::park_timeout(time);
}

fn cell(account: &Account) -> String {
    let Account {
        requests,
        refused,
        reset,
        timed_out,
        wrong,
        ..
    } = account;
    let counts = [
        (reset, "reset"),
        (refused, "refused"),
        (timed_out, "timed out"),
        (wrong, "wrong"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| **count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match told.is_empty() {
        true => format!("0 of {requests}"),
        false => format!("{} of {requests}", told.join(", ")),
    }
}
