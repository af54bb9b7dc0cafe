//! The whole fleet in virtual time, under random crashes, hangs, slow starts, commands and repeated change events.
//!
//! One seed decides a whole history: the apps, the character of every worker, every command and its moment. After a
//! while of chaos the world calms down (new workers behave) and everything must come to rest; then the master is ended.
//! [`checker`] knows nothing of how the fleet works: it watches inputs and actions, and after every step holds them to
//! what is promised.
//!
//! A failure prints its seed. `OSTLER_SIM_SEED=<seed> cargo test -p ostler one_history -- --nocapture` tells that
//! history step by step; `OSTLER_SIM_SEEDS=<n>` runs another number of histories, `OSTLER_SIM_FIRST=<seed>` from another seed on.
//! [`history`] is one of them from its start to its end, [`faults`] are what all this must find.

mod births;
mod checker;
mod dice;
mod events;
mod faults;
mod history;
mod hooks;
mod lives;
mod model;
mod order;
mod process;
mod replacing;
mod script;
mod updates;
mod verdict;
mod words;
mod world;

use std::{collections::BTreeMap, ops::Range, time::Duration};

use history::live;

/// How long the chaos lasts.
const CHAOS: Duration = Duration::from_secs(40);

fn live_all(seeds: Range<u64>) {
    let broken: Vec<String> = seeds
        .filter_map(|seed| live(seed, None, false).err())
        .take(3)
        .collect();
    let again =
        "run again with OSTLER_SIM_SEED=<seed> cargo test -p ostler one_history -- --nocapture";
    assert!(broken.is_empty(), "{}\n{again}", broken.join("\n"));
}

/// A number from the environment.
fn said(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One of four equal parts of all histories, 20,000 if nothing else is said.
fn quarter(number: u64) -> Range<u64> {
    let all = said("OSTLER_SIM_SEEDS").unwrap_or(20_000);
    let (share, first) = (all.div_ceil(4), said("OSTLER_SIM_FIRST").unwrap_or(0));
    first + number * share..first + (number + 1) * share
}

#[test]
fn histories_hold_their_invariants_first_quarter() {
    live_all(quarter(0));
}

#[test]
fn histories_hold_their_invariants_second_quarter() {
    live_all(quarter(1));
}

#[test]
fn histories_hold_their_invariants_third_quarter() {
    live_all(quarter(2));
}

#[test]
fn histories_hold_their_invariants_last_quarter() {
    live_all(quarter(3));
}

#[test]
fn one_history_can_be_told_again() {
    let seed = said("OSTLER_SIM_SEED");
    let again =
        |tell| live(seed.unwrap_or(1), None, tell).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(
        again(seed.is_some()),
        again(false),
        "the same seed is the same history"
    );
}

#[test]
fn histories_are_eventful() {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for tale in (0..700).filter_map(|seed| live(seed, None, false).ok()) {
        for (event, times) in tale.seen {
            *seen.entry(event).or_default() += times;
        }
    }
    let least = [
        ("ready", 2000),
        ("exited", 2000),
        ("update finished", 200),
        ("update aborted", 300),
        ("update suspended", 3),
        ("resized", 100),
        ("failed", 30),
        ("operation finished", 500),
        ("hung", 40),
        ("grown", 10),
        ("old", 10),
        ("served enough", 10),
        ("idle", 10),
        ("its hour", 30),
        ("too large", 5),
        ("forgotten", 15),
        ("before_start", 100),
        ("after_ready", 100),
        ("before_stop", 50),
        ("after_exit", 100),
        ("released", 10),
        ("called off", 50),
        ("left", 3),
        ("rolled back", 10),
        ("rollback failed", 5),
        ("stopped first", 50),
        ("too many errors", 5),
        ("stood still", 30),
        ("counted", 50),
    ];
    for (event, times) in least {
        let told = seen.get(event).copied().unwrap_or(0);
        assert!(
            told >= times,
            "{event} was told {told} times only: {seen:?}"
        );
    }
}
