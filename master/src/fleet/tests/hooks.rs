//! Commands beside workers.

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    vocab::{control::Outcome, worker::ExitStatus},
};

use crate::{
    config::app::{
        AppDefinition, Rung,
        hooks::{Hook, HookKind},
    },
    fleet::{
        Action, FleetEvent, Notification, WorkerNews, drain,
        testing::{Stage, definition, kill, reload, start, stop},
    },
};

/// An app of one worker with all four.
fn hooked() -> AppDefinition {
    let mut app = definition("web", 1);
    let hook = || {
        Some(Hook {
            command: vec!["hook".into()],
            timeout: Duration::from_secs(30),
        })
    };
    app.hooks.before_start = hook();
    app.hooks.after_ready = hook();
    app.hooks.before_stop = hook();
    app.hooks.after_exit = hook();
    app
}

impl Stage {
    /// The commands begun since the last look, all other actions being kept.
    fn hooks(&mut self) -> Vec<(HookKind, WorkerId)> {
        let begun = |action: &Action| match action {
            Action::Hook(order) => Some((order.hook, order.worker.id)),
            _ => None,
        };
        let found = self.actions.iter().filter_map(begun).collect();
        self.actions.retain(|action| begun(action).is_none());
        found
    }

    fn cut_short(&mut self, id: WorkerId) -> bool {
        let cut = |action: &Action| *action == Action::EndHook { id };
        let was = self.actions.iter().any(cut);
        self.actions.retain(|action| !cut(action));
        was
    }

    fn hook_ends(&mut self, id: WorkerId, hook: HookKind, outcome: Result<(), &str>) {
        let outcome = outcome.map_err(str::to_owned);
        self.news(id, WorkerNews::Hooked { hook, outcome });
    }
}

const ONE: WorkerId = WorkerId(1);
const TWO: WorkerId = WorkerId(2);

/// An app whose one worker is ready, and its `after_ready` over.
fn serving() -> Stage {
    let mut stage = Stage::of(hooked());
    assert_eq!(stage.hooks(), [(HookKind::BeforeStart, ONE)]);
    stage.hook_ends(ONE, HookKind::BeforeStart, Ok(()));
    assert_eq!(stage.spawned(), ONE);
    stage.says_ready(ONE);
    assert_eq!(stage.hooks(), [(HookKind::AfterReady, ONE)]);
    stage.hook_ends(ONE, HookKind::AfterReady, Ok(()));
    stage.wait(10_000);
    stage.actions.clear();
    stage
}

#[test]
fn a_life_has_each_of_them_once_and_in_its_place() {
    let mut stage = serving();
    let op = stage.op(stop());
    assert_eq!(stage.hooks(), [(HookKind::BeforeStop, ONE)]);
    assert_eq!(
        stage.signals(ONE),
        Vec::<i32>::new(),
        "it has not heard of it"
    );
    assert_eq!(stage.states(), ["draining"]);
    stage.wait(20_000);
    assert_eq!(stage.signals(ONE), Vec::<i32>::new());
    stage.hook_ends(ONE, HookKind::BeforeStop, Ok(()));
    assert_eq!(stage.signals(ONE), [0]);
    stage.exits(ONE, 3);
    let hook = stage.actions.iter().find_map(|action| match action {
        Action::Hook(order) => Some(order.clone()),
        _ => None,
    });
    let order = hook.expect("after_exit");
    assert_eq!(
        (order.hook, order.exit),
        (HookKind::AfterExit, Some(ExitStatus::Code(3)))
    );
    assert_eq!(stage.outcome(op), None, "not before all is over");
    assert_eq!(stage.app().state, "stopping");
    stage.hook_ends(ONE, HookKind::AfterExit, Ok(()));
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.app().state, "stopped");
}

#[test]
fn a_failed_before_start_is_a_failed_start_with_that_reason() {
    let mut stage = Stage::of(hooked());
    stage.hooks();
    stage.hook_ends(
        ONE,
        HookKind::BeforeStart,
        Err("`hook` exited with 1: no disk"),
    );
    assert_eq!(stage.orders_only(), [], "nothing is started");
    let told = stage.events().find_map(|event| match event {
        FleetEvent::WorkerExited(event) => Some(event.status.clone()),
        _ => None,
    });
    let why = "before_start: `hook` exited with 1: no disk".to_owned();
    assert_eq!(told, Some(ExitStatus::NotStarted(why)));
    // The next comes by the rules of failed starts, when what is left has been cleaned up.
    assert_eq!(stage.hooks(), [(HookKind::AfterExit, ONE)]);
    stage.wait(60_000);
    assert_eq!(stage.hooks(), []);
    assert_eq!(stage.states(), ["backoff"]);
    stage.hook_ends(ONE, HookKind::AfterExit, Ok(()));
    assert_eq!(stage.hooks(), [(HookKind::BeforeStart, TWO)]);
    let status = stage.fleet.snapshot(stage.now).workers.remove(0);
    assert_eq!(
        status.waits_for.as_deref(),
        Some("its before_start command")
    );
}

#[test]
fn a_stop_overtakes_before_start() {
    let mut stage = Stage::of(hooked());
    stage.hooks();
    let op = stage.op(stop());
    assert!(stage.cut_short(ONE));
    // It was just done: that is too late.
    stage.hook_ends(ONE, HookKind::BeforeStart, Ok(()));
    assert_eq!(stage.orders_only(), []);
    let voluntary = stage.events().any(
        |event| matches!(event, FleetEvent::WorkerExited(e) if e.voluntary && e.worker.id == ONE),
    );
    assert!(voluntary);
    assert_eq!(stage.outcome(op), None);
    stage.hook_ends(ONE, HookKind::AfterExit, Ok(()));
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn a_stop_cuts_after_ready_short_and_then_asks_before_stop() {
    let mut stage = Stage::of(hooked());
    stage.hook_ends(ONE, HookKind::BeforeStart, Ok(()));
    stage.spawned();
    stage.says_ready(ONE);
    assert_eq!(stage.hooks(), [(HookKind::AfterReady, ONE)]);
    stage.op(stop());
    assert!(stage.cut_short(ONE));
    assert_eq!(stage.hooks(), [], "one at a time");
    stage.hook_ends(ONE, HookKind::AfterReady, Err("cut short"));
    assert_eq!(stage.hooks(), [(HookKind::BeforeStop, ONE)]);
    assert_eq!(stage.signals(ONE), Vec::<i32>::new());
    stage.hook_ends(ONE, HookKind::BeforeStop, Err("no answer"));
    assert_eq!(stage.signals(ONE), [0], "the stop goes on");
}

#[test]
fn what_is_left_counts_the_command_that_comes_first() {
    let mut app = hooked();
    app.kill_ladder = vec![Rung {
        signal: 15,
        wait: Some(Duration::from_secs(10)),
    }];
    app.min_healthy = Some(Duration::ZERO);
    app.canary_healthy = Some(Duration::ZERO);
    app.hooks.before_start = None;
    app.hooks.after_ready = None;
    let mut stage = Stage::of(app);
    stage.spawned();
    stage.says_ready(ONE);
    stage.op(reload(false));
    stage.spawned();
    stage.says_ready(TWO);
    let left = |stage: &Stage| {
        let worker = stage
            .fleet
            .apps
            .values()
            .find_map(|app| app.workers.get(&ONE));
        drain::left(worker.expect("it drains"), stage.now)
    };
    assert_eq!(stage.hooks(), [(HookKind::BeforeStop, ONE)]);
    assert_eq!(
        left(&stage),
        Some(Duration::from_secs(40)),
        "the command's 30 s first"
    );
    stage.wait(5_000);
    assert_eq!(left(&stage), Some(Duration::from_secs(35)));
    stage.hook_ends(ONE, HookKind::BeforeStop, Ok(()));
    assert_eq!(left(&stage), Some(Duration::from_secs(10)));
    stage.wait(10_000);
    assert_eq!(left(&stage), Some(Duration::ZERO), "it is killed");
}

#[test]
fn a_failure_that_changes_nothing_is_told() {
    let mut stage = Stage::of(hooked());
    stage.hook_ends(ONE, HookKind::BeforeStart, Ok(()));
    stage.spawned();
    stage.says_ready(ONE);
    stage.wait(1_500);
    stage.hook_ends(ONE, HookKind::AfterReady, Err("no answer"));
    let told = stage.events().find_map(|event| match event {
        FleetEvent::WorkerHook(event) if event.hook == "after_ready" => Some(event.clone()),
        _ => None,
    });
    let told = told.expect("told");
    assert_eq!(
        (told.error.as_deref(), told.took_ms),
        (Some("no answer"), 1_500)
    );
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn one_that_crashes_or_goes_by_itself_has_no_before_stop() {
    let mut stage = serving();
    stage.exits(ONE, 1);
    assert_eq!(stage.hooks(), [(HookKind::AfterExit, ONE)]);
    assert_eq!(stage.hooks(), [], "its successor waits");
    stage.hook_ends(ONE, HookKind::AfterExit, Err("no answer"));
    assert_eq!(stage.hooks(), [(HookKind::BeforeStart, TWO)]);

    let mut stage = serving();
    stage.news(ONE, WorkerNews::Notified(Notification::Stopping));
    assert_eq!(stage.hooks(), []);
    stage.exits(ONE, 0);
    assert_eq!(stage.hooks(), [(HookKind::AfterExit, ONE)]);
}

#[test]
fn one_that_exits_during_its_before_stop_lets_it_come_to_its_end() {
    let mut stage = serving();
    let op = stage.op(stop());
    assert_eq!(stage.hooks(), [(HookKind::BeforeStop, ONE)]);
    stage.exits(ONE, 0);
    assert!(!stage.cut_short(ONE));
    assert_eq!((stage.hooks(), stage.outcome(op)), (vec![], None));
    stage.hook_ends(ONE, HookKind::BeforeStop, Ok(()));
    assert_eq!(stage.hooks(), [(HookKind::AfterExit, ONE)]);
    stage.hook_ends(ONE, HookKind::AfterExit, Ok(()));
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn a_forced_end_waits_for_none() {
    let mut stage = serving();
    stage.op(kill(false));
    assert_eq!(stage.hooks(), [(HookKind::BeforeStop, ONE)]);
    stage.op(kill(true));
    assert!(stage.cut_short(ONE));
    assert_eq!(stage.signals(ONE), [9]);
    stage.hook_ends(ONE, HookKind::BeforeStop, Err("cut short"));
    stage.exits(ONE, 0);
    assert_eq!(stage.hooks(), [], "and begins none");
    assert!(stage.actions.contains(&Action::Done { code: 1 }));

    let mut stage = serving();
    stage.exits(ONE, 1);
    assert_eq!(stage.hooks(), [(HookKind::AfterExit, ONE)]);
    stage.op(kill(true));
    assert!(stage.cut_short(ONE));
    let done = Action::Done { code: 1 };
    assert!(!stage.actions.contains(&done), "not before it is over");
    stage.hook_ends(ONE, HookKind::AfterExit, Err("cut short"));
    assert!(stage.actions.contains(&done));
}

#[test]
fn an_update_waits_for_the_hooks_of_those_that_it_starts_and_sends_away() {
    let mut stage = serving();
    let op = stage.op(reload(false));
    assert_eq!(stage.hooks(), [(HookKind::BeforeStart, TWO)]);
    stage.hook_ends(TWO, HookKind::BeforeStart, Ok(()));
    stage.spawned();
    stage.says_ready(TWO);
    assert_eq!(stage.hooks(), [(HookKind::AfterReady, TWO)]);
    stage.wait(5_000);
    assert_eq!(stage.hooks(), [(HookKind::BeforeStop, ONE)]);
    stage.hook_ends(ONE, HookKind::BeforeStop, Ok(()));
    assert_eq!(stage.signals(ONE), [0]);
    stage.exits(ONE, 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.hooks(), [(HookKind::AfterExit, ONE)]);
    stage.hook_ends(ONE, HookKind::AfterExit, Ok(()));
    stage.hook_ends(TWO, HookKind::AfterReady, Ok(()));
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn a_failed_before_start_gives_an_update_up() {
    let mut stage = serving();
    let op = stage.op(reload(false));
    stage.hook_ends(TWO, HookKind::BeforeStart, Err("no disk"));
    let outcome = stage.outcome(op);
    assert!(
        matches!(&outcome, Some(Outcome::Failed(why)) if why.contains("before_start: no disk")),
        "{outcome:?}"
    );
    assert_eq!(stage.states(), ["ready"], "the old one serves on");
}

#[test]
fn started_again_while_its_after_exit_runs_an_app_waits_for_that() {
    let mut stage = serving();
    stage.op(stop());
    stage.hook_ends(ONE, HookKind::BeforeStop, Ok(()));
    stage.exits(ONE, 0);
    assert!(!stage.hooks().is_empty());
    let op = stage.op(start());
    stage.wait(5_000);
    assert_eq!(stage.hooks(), []);
    assert_eq!(
        stage.fleet.snapshot(stage.now).workers[0]
            .waits_for
            .as_deref(),
        Some("the after_exit command of worker 1")
    );
    stage.hook_ends(ONE, HookKind::AfterExit, Ok(()));
    stage.hook_ends(TWO, HookKind::BeforeStart, Ok(()));
    stage.spawned();
    stage.says_ready(TWO);
    stage.wait(5_000);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.states(), ["ready"]);
}
