//! Histories of operations, and what is shown of them.

use ostler_bus::{
    Slot, WorkerId,
    vocab::{control::Outcome, worker::Next},
};

use super::*;
use crate::cli::render::tests::{report_of, worker as status_of};

fn worker(app: &str, slot: u32, id: u64) -> WorkerRef {
    WorkerRef {
        app: app.into(),
        slot: Slot(slot),
        id: WorkerId(id),
        generation: Generation(2),
        pid: Some(77),
    }
}

fn started(app: &str, generation: u64, ops: &[u64]) -> News {
    News::Started(UpdateStarted {
        app: app.into(),
        generation: Generation(generation),
        total: 2,
        reason: "v\x1b2".into(),
        ops: ops.iter().copied().map(OpId).collect(),
    })
}

fn progress(app: &str, generation: u64, step: UpdateStep, done: u32) -> News {
    News::Progress(UpdateProgress {
        app: app.into(),
        generation: Generation(generation),
        slot: Slot(0),
        worker: WorkerId(5),
        step,
        done,
        total: 2,
        rollback: false,
        draining: Vec::new(),
    })
}

fn finished(app: &str, generation: u64) -> News {
    News::Finished(UpdateFinished {
        app: app.into(),
        generation: Generation(generation),
        took_ms: 1_240,
    })
}

fn exited(app: &str, voluntary: bool) -> News {
    News::Exited(WorkerExited {
        worker: worker(app, 1, 6),
        status: ExitStatus::Code(3),
        voluntary,
        was_ready: false,
        uptime_ms: 40,
        stderr_tail: Vec::new(),
        hint: None,
        hung: None,
        core_dumped: false,
        trigger: "first start".into(),
        cause: None,
        next: Next::Nothing,
        because: None,
        held: None,
        held_requests: None,
    })
}

/// Milestones are marked with `!`.
fn shown(doing: Doing, app: Option<&str>, history: &[News]) -> Vec<String> {
    let mut progress = Progress::new(doing, OpId(9), app.map(Into::into));
    let lines = history.iter().filter_map(|news| progress.see(news));
    lines
        .map(|line| match line {
            Line::Step(text) => text,
            Line::Milestone(text) => format!("! {text}"),
        })
        .collect()
}

#[test]
fn a_reload_is_told_step_by_step() {
    let history = [
        started("web", 2, &[8, 9]),
        progress("web", 2, UpdateStep::Starting, 0),
        News::Spawned(WorkerSpawned {
            worker: worker("web", 0, 5),
            trigger: "update".into(),
        }),
        progress("web", 2, UpdateStep::Watching, 0),
        progress("web", 2, UpdateStep::Replaced, 1),
        exited("web", true),
        progress("web", 2, UpdateStep::Drained, 1),
        finished("web", 2),
    ];
    assert_eq!(
        shown(Doing::Reload, Some("web"), &history),
        [
            r"! web: generation 2 replaces 2 workers: v\x1b2",
            "web.0: worker 5 starts (0 of 2 replaced)",
            "web.0: worker 5 is ready, and watched for a while (0 of 2 replaced)",
            "web.0: worker 5 has taken over (1 of 2 replaced)",
            "web.0: worker 5 has gone (1 of 2 replaced)",
            "! web: generation 2 serves after 1.2s",
        ]
    );
}

#[test]
fn a_reload_that_waits_its_turn_says_for_what_once() {
    let history = [
        progress("web", 2, UpdateStep::Watching, 0),
        progress("web", 2, UpdateStep::Replaced, 1),
        finished("web", 2),
        started("web", 3, &[9]),
        progress("web", 3, UpdateStep::Starting, 0),
    ];
    assert_eq!(
        shown(Doing::Reload, None, &history),
        [
            "! web: the update to generation 2 goes first",
            r"! web: generation 3 replaces 2 workers: v\x1b2",
            "web.0: worker 5 starts (0 of 2 replaced)",
        ]
    );
}

#[test]
fn what_happens_to_other_apps_is_not_shown() {
    let others = [
        started("api", 7, &[3]),
        progress("api", 7, UpdateStep::Starting, 0),
        exited("api", false),
        exited("api", true),
        News::Failed(AppFailed {
            app: "api".into(),
            slot: Slot(0),
            reason: "failed too often".into(),
        }),
    ];
    for doing in [Doing::Reload, Doing::Scale, Doing::Stop, Doing::Start] {
        assert!(shown(doing, Some("web"), &others).is_empty(), "{doing:?}");
    }
    assert_eq!(shown(Doing::Kill, None, &others).len(), 3);
}

#[test]
fn an_aborted_reload_shows_the_crash_and_the_end() {
    let history = [
        started("web", 2, &[9]),
        exited("web", false),
        News::Aborted(UpdateAborted {
            app: "web".into(),
            generation: Generation(2),
            reason: "told by the operation's end".into(),
            overtaken: false,
            replaced: 1,
            rolling_back: 0,
        }),
    ];
    assert_eq!(
        shown(Doing::Reload, None, &history)[1..],
        [
            "! web.1: worker 6 exited with code 3 after 40ms, before it was ready",
            "! web: the update to generation 2 was given up; 1 worker replaced",
        ]
    );
}

#[test]
fn workers_coming_and_going_are_told() {
    let history = [
        News::Spawned(WorkerSpawned {
            worker: worker("web", 1, 6),
            trigger: "first start".into(),
        }),
        News::Ready(WorkerReady {
            worker: worker("web", 1, 6),
            assumed: true,
            after_ms: 1_000,
        }),
        News::Draining(WorkerDraining {
            worker: worker("web", 1, 6),
            reason: "stop".into(),
        }),
        exited("web", true),
        News::Ended(OperationFinished {
            op: OpId(9),
            outcome: Outcome::Done,
        }),
    ];
    assert_eq!(
        shown(Doing::Scale, Some("web"), &history),
        [
            "web.1: worker 6 started",
            "web.1: worker 6 lives, and is taken to be ready after 1.0s",
            "web.1: worker 6 finishes what it has",
            "web.1: worker 6 has gone",
        ]
    );
}

#[test]
fn who_drains_is_told_with_what_is_held_and_how_long_is_left() {
    let drainer = |slot, worker, held, left_ms| Drainer {
        slot: Slot(slot),
        worker: WorkerId(worker),
        held,
        held_requests: held.map(|held| held - 2),
        left_ms,
    };
    let News::Progress(mut event) = progress("web", 2, UpdateStep::Draining, 1) else {
        panic!("progress");
    };
    event.draining = vec![
        drainer(0, 1, Some(3), Some(28_400)),
        drainer(1, 2, None, None),
    ];
    let mut shown = Progress::new(Doing::Reload, OpId(9), None);
    shown.see(&started("web", 2, &[9]));
    assert_eq!(shown.again(Duration::ZERO), None, "nobody drains yet");
    let line = |rest: &str| {
        let text = format!("web.0: worker 5 finishes what it has (1 of 2 {rest}; worker 2 drains");
        Some(Line::Step(text))
    };
    let told = shown.see(&News::Progress(event.clone()));
    assert_eq!(
        told,
        line("replaced); worker 1 drains, 3 connections, 1 request held, 28s left")
    );
    let later = shown.again(Duration::from_secs(9));
    assert_eq!(
        later,
        line("replaced); worker 1 drains, 3 connections, 1 request held, 19s left")
    );
    event.rollback = true;
    let back = shown.see(&News::Progress(event));
    assert_eq!(
        back,
        line("rolled back); worker 1 drains, 3 connections, 1 request held, 28s left")
    );
    shown.see(&progress("web", 2, UpdateStep::Drained, 2));
    assert_eq!(shown.again(Duration::ZERO), None, "nobody drains any more");
}

#[test]
fn a_rollback_is_told_with_its_end() {
    let aborted = News::Aborted(UpdateAborted {
        app: "web".into(),
        generation: Generation(2),
        reason: "bad".into(),
        overtaken: false,
        replaced: 2,
        rolling_back: 2,
    });
    let back = |failed: Option<&str>| {
        News::RolledBack(UpdateRolledBack {
            app: "web".into(),
            generation: Generation(2),
            slots: 1,
            took_ms: 1_240,
            failed: failed.map(Into::into),
        })
    };
    let history = [
        started("web", 2, &[9]),
        aborted,
        back(None),
        back(Some("bo\x1bom")),
    ];
    assert_eq!(
        shown(Doing::Reload, None, &history)[1..],
        [
            "! web: the update to generation 2 was given up; 2 workers replaced, 2 workers going back",
            "! web: 1 worker back from generation 2 after 1.2s",
            r"! web: the rollback from generation 2 failed, 1 worker back: bo\x1bom",
        ]
    );
}

#[test]
fn a_kill_that_takes_long_names_whom_it_waits_for() {
    let shown = |doing, workers: u32| {
        let there = (0..workers).map(|n| status_of("web", n, Some(n.into()), "draining"));
        let gone = status_of("web", 9, None, "backoff");
        let report = report_of(there.chain([gone]).collect());
        Progress::new(doing, OpId(9), None).still(&report)
    };
    for (workers, expected) in [
        (0, "still waits for the master's own end"),
        (2, "still waits for web.0: worker 0, web.1: worker 1"),
        (
            7,
            "still waits for web.0: worker 0, web.1: worker 1, web.2: worker 2, web.3: worker 3, web.4: worker 4 and 2 more",
        ),
    ] {
        let line = Line::Milestone(expected.into());
        assert_eq!(shown(Doing::Kill, workers), Some(line));
    }
    assert_eq!(shown(Doing::Stop, 2), None, "its steps tell it");
}
