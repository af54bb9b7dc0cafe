//! The whole fleet in virtual time, under random crashes, hangs, slow starts, commands and repeated change events.
//!
//! One seed decides a whole history: the apps, the character of every worker, every command and its moment. After a
//! while of chaos the world calms down (new workers behave) and everything must come to rest; then the master is ended.
//! [`checker`] knows nothing of how the fleet works: it watches inputs and actions, and after every step holds them to
//! what is promised.
//!
//! A failure prints its seed. `OSTLER_SIM_SEED=<seed> cargo test -p ostler one_history -- --nocapture` tells that
//! history step by step; `OSTLER_SIM_SEEDS=<n>` runs another number of histories, `OSTLER_SIM_FIRST=<seed>` from another seed on.

mod births;
mod checker;
mod dice;
mod events;
mod hooks;
mod model;
mod order;
mod process;
mod replacing;
mod script;
mod verdict;
mod words;
mod world;

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::{Action, Fleet, Input, Moment, mutation::Mutation};
use checker::Checker;
use world::World;

/// How long the chaos lasts.
const CHAOS: Duration = Duration::from_secs(40);

/// How long after that everything may take to come to rest: a slot that failed too often waits five minutes.
const REST_WITHIN: Duration = Duration::from_secs(1200);

/// Longer than anything that is under way takes, a drain and a trial together.
const QUIET: Duration = Duration::from_secs(20);

/// How long the master may take to end: a kill ladder or two.
const END_WITHIN: Duration = Duration::from_secs(60);

/// More steps than any honest history takes.
const MOST_STEPS: u64 = 20_000;

/// One history.
struct Sim {
    fleet: Fleet,
    world: World,
    checker: Checker,
    now: Moment,
    steps: u64,
    /// When the fleet wants to be woken.
    deadline: Option<Moment>,
    /// When anything was last done but asking workers whether they are well.
    eventful: Moment,
    tell: bool,
}

/// What happened in a history.
#[derive(Debug, PartialEq, Eq)]
struct Tale {
    steps: u64,
    /// How often which events were told.
    seen: BTreeMap<&'static str, u64>,
}

/// Lives through the history of a seed; the error says what was broken, and when.
fn live(seed: u64, mutation: Option<Mutation>, tell: bool) -> Result<Tale, String> {
    let leaves = seed.is_multiple_of(3);
    let mut fleet = Fleet::new(seed);
    fleet.leaves = leaves;
    if let Some(mutation) = mutation {
        fleet.supplies.mutate(mutation);
    }
    let (now, steps) = (Moment::default(), 0);
    let mut sim = Sim {
        fleet,
        world: World::new(seed),
        checker: Checker::of(leaves),
        now,
        steps,
        deadline: None,
        eventful: now,
        tell,
    };
    sim.run().map_err(|broken| {
        format!(
            "seed {seed}, step {}, {:?}: {broken}",
            sim.steps,
            sim.now.since_epoch()
        )
    })?;
    Ok(Tale {
        steps: sim.steps,
        seen: sim.checker.seen,
    })
}

impl Sim {
    fn run(&mut self) -> Result<(), String> {
        let calm = Moment::after_epoch(CHAOS);
        self.until(calm, false)?;
        self.world.calm_down();
        self.until(calm + REST_WITHIN, true)?;
        if !self.checker.done {
            self.checker.at_rest(&self.fleet.snapshot(self.now))?;
            let kill = self.world.kill();
            self.step(kill)?;
            self.until(self.now + END_WITHIN, true)?;
        }
        self.checker.at_end(self.fleet.next_deadline())
    }

    /// Lets time pass until then; if everything must have come to rest by then, it has.
    fn until(&mut self, then: Moment, rest: bool) -> Result<(), String> {
        loop {
            let next = self.world.next().into_iter().chain(self.deadline).min();
            let Some(next) = next.filter(|next| *next <= then) else {
                if rest && let Some(next) = next {
                    return Err(format!(
                        "not at rest by {then:?}: something is due at {next:?}"
                    ));
                }
                self.now = if rest { self.now } else { then };
                return Ok(());
            };
            if rest && self.only_care_goes_on() {
                return Ok(());
            }
            self.now = self.now.max(next);
            match self.world.pop(self.now) {
                Some(inputs) => {
                    for input in inputs {
                        self.step(input)?;
                    }
                }
                None => self.step(Input::Tick)?,
            }
        }
    }

    /// Workers are watched for ever, so with some the last thing never happens. All is at rest when for long nothing else
    /// has, and nothing is left to be wished for.
    fn only_care_goes_on(&self) -> bool {
        self.now - self.eventful > QUIET
            && self.steps.is_multiple_of(16)
            && self.checker.at_rest(&self.fleet.snapshot(self.now)).is_ok()
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err("no end in sight".into());
        }
        let actions = self.fleet.step(self.now, input.clone());
        if actions
            .iter()
            .any(|action| !matches!(action, Action::Probe(_)))
        {
            self.eventful = self.now;
        }
        if self.tell {
            self.tell_step(&input, &actions);
        }
        self.checker.check(self.now, &input, &actions)?;
        self.deadline = self.fleet.next_deadline();
        match self.deadline {
            Some(at) if at <= self.now => {
                return Err(format!("wants to be woken at {at:?}, which is past"));
            }
            Some(_) | None => {}
        }
        if self.steps.is_multiple_of(16) {
            self.checker.compare(&self.fleet.snapshot(self.now))?;
        }
        if !actions.is_empty() {
            self.all_is_done()?;
        }
        for action in actions {
            self.world.perform(self.now, action);
        }
        Ok(())
    }

    /// A step does all there is to do at its moment: what it decides must not depend on whether it is asked again.
    fn all_is_done(&mut self) -> Result<(), String> {
        let left = self.fleet.step(self.now, Input::Tick);
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("something was left undone: {left:?}")),
        }
    }

    fn tell_step(&self, input: &Input, actions: &[Action]) {
        let mut text = format!("{:>10.3?}  {input:?}", self.now.since_epoch());
        for action in actions {
            let _ = write!(text, "\n              -> {action:?}");
        }
        eprintln!("{text}");
    }
}

fn live_all(seeds: std::ops::Range<u64>) {
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
fn quarter(number: u64) -> std::ops::Range<u64> {
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
    ];
    for (event, times) in least {
        let told = seen.get(event).copied().unwrap_or(0);
        assert!(
            told >= times,
            "{event} was told {told} times only: {seen:?}"
        );
    }
}

/// The simulation must notice this fault within so many histories.
fn noticed(mutation: Mutation, within: u64, how: &[&str]) {
    let broken = (0..within).find_map(|seed| live(seed, Some(mutation), false).err());
    let broken =
        broken.unwrap_or_else(|| panic!("{mutation:?} went unnoticed for {within} histories"));
    assert!(
        how.iter().any(|how| broken.contains(how)),
        "{mutation:?} was noticed by something else: {broken}"
    );
}

#[test]
fn a_forgotten_reply_is_noticed() {
    noticed(Mutation::ForgetReply, 100, &["was not answered"]);
}

#[test]
fn a_worker_too_many_is_noticed() {
    noticed(Mutation::OneTooMany, 20, &["beyond the size"]);
}

#[test]
fn a_request_merged_into_the_running_update_is_noticed() {
    noticed(Mutation::MergeIntoRunning, 200, &["the last version is"]);
}

#[test]
fn a_stale_exit_taken_for_the_holders_is_noticed() {
    noticed(
        Mutation::TrustStaleExit,
        200,
        &["two current workers", "instances", "have not ended"],
    );
}

#[test]
fn a_hang_overlooked_is_noticed() {
    noticed(
        Mutation::OverlookHang,
        200,
        &["has hung", "wants to be woken"],
    );
}

#[test]
fn a_rollback_that_is_left_out_is_noticed() {
    noticed(Mutation::NeverGoBack, 200, &["rolling back", "out of turn"]);
}

#[test]
fn workers_that_are_there_together_and_must_not_be_are_noticed() {
    noticed(Mutation::CrowdSlots, 200, &["still"]);
}

#[test]
fn too_many_missing_are_noticed() {
    noticed(Mutation::SpendTooMuch, 200, &["may be", "drain at once"]);
}

#[test]
fn an_app_that_does_not_wait_for_its_turn_is_noticed() {
    let how = &["begins", "before the last has gone"];
    noticed(Mutation::IgnoreOrder, 100, how);
}

#[test]
fn a_restart_that_does_not_wait_for_the_last_is_noticed() {
    let how = &["before the last has gone", "was not told to go"];
    noticed(Mutation::RestartAtOnce, 100, how);
}

#[test]
fn a_stop_that_does_not_wait_for_its_command_is_noticed() {
    noticed(
        Mutation::StopBeforeHook,
        100,
        &["before its before_stop has ended"],
    );
}

#[test]
fn a_start_that_goes_on_although_nobody_wants_it_is_noticed() {
    noticed(Mutation::StartOnRegardless, 100, &["was not called off"]);
}

#[test]
fn a_budget_ignored_is_noticed() {
    noticed(
        Mutation::IgnoreBudget,
        100,
        &["are missing", "drain at once"],
    );
}

#[test]
fn a_back_off_never_left_is_noticed() {
    noticed(Mutation::NeverLeaveBackoff, 100, &["wants to be woken"]);
}
