//! One history from its first input to the end of the master.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::{CHAOS, checker::Checker, world::World};
use crate::fleet::{Action, Fleet, Input, Moment, mutation::Mutation};

/// How long after that everything may take to come to rest: a slot that failed too often waits five minutes.
const REST_WITHIN: Duration = Duration::from_secs(1200);

/// Longer than anything that is under way takes, a drain and a trial together.
const QUIET: Duration = Duration::from_secs(20);

/// How long the master may take to end: a kill ladder or two.
const END_WITHIN: Duration = Duration::from_secs(60);

/// From when on the shell says that the master stood still.
const STOOD_STILL: Duration = Duration::from_secs(1);

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
pub(super) struct Tale {
    steps: u64,
    /// How often which events were told.
    pub(super) seen: BTreeMap<&'static str, u64>,
}

/// Lives through the history of a seed; the error says what was broken, and when.
pub(super) fn live(seed: u64, mutation: Option<Mutation>, tell: bool) -> Result<Tale, String> {
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
                // A master that stood still may be late for it.
                if !rest {
                    self.now = self.now.max(then);
                }
                return Ok(());
            };
            if rest && self.only_care_goes_on() {
                return Ok(());
            }
            self.now = self.now.max(next);
            match self.world.pop(self.now) {
                Some(inputs) => {
                    for input in inputs {
                        match input {
                            Input::Paused(time) => self.stand_still(time)?,
                            other => self.step(other)?,
                        }
                    }
                }
                None => self.step(Input::Tick)?,
            }
        }
    }

    /// The master stands still for so long. As the shell, it only sees by how much it is late for what was due, and says so
    /// before it takes in what has come meanwhile.
    fn stand_still(&mut self, time: Duration) -> Result<(), String> {
        self.now = self.now + time;
        let late = self.deadline.map(|due| self.now - due);
        match late.filter(|late| *late > STOOD_STILL) {
            Some(late) => self.step(Input::Paused(late)),
            None => Ok(()),
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
