//! Stories, from what was written down to what is shown.

use serde_json::{Value, json};

use super::{
    super::{
        pick::{Asked, pick},
        story::tell,
    },
    *,
};
use crate::{chronicle::Record, cli::values};

/// 2026-01-31T12:00:00Z
const NOON: u64 = 1_769_860_800_000;

fn record(after: u64, run: u64, topic: &str, event: Value) -> Record {
    Record {
        time_ms: NOON + after,
        run,
        topic: topic.into(),
        event,
    }
}

fn worker(id: u64, generation: u64) -> Value {
    json!({"app": "web", "slot": 0, "id": id, "generation": generation, "pid": 4000 + id})
}

fn spawned(after: u64, id: u64, generation: u64, trigger: &str) -> Record {
    let event = json!({"worker": worker(id, generation), "trigger": trigger});
    record(after, 1, "worker.spawned", event)
}

fn exited(after: u64, worker: Value, status: Value, more: Value) -> Record {
    let mut event = json!({
        "worker": worker, "status": status, "voluntary": false, "was_ready": true, "uptime_ms": 2000,
        "stderr_tail": [], "hint": null, "hung": null, "core_dumped": false, "trigger": "first start",
        "cause": null, "next": "Nothing", "because": null, "held": null, "held_requests": null
    });
    let fields = more.as_object().expect("fields").clone();
    event.as_object_mut().expect("fields").extend(fields);
    record(after, 1, "worker.exited", event)
}

/// A crash, its successor, an update that replaces that, and a master that is killed.
fn history() -> Vec<Record> {
    vec![
        record(
            0,
            1,
            chronicle::STARTED,
            json!({"pid": 77, "version": "0.1.0"}),
        ),
        spawned(10, 1, 1, "first start"),
        record(
            260,
            1,
            "worker.ready",
            json!({"worker": worker(1, 1), "assumed": false, "after_ms": 250}),
        ),
        exited(
            2_010,
            worker(1, 1),
            json!({"Signal": "SIGSEGV"}),
            json!({"core_dumped": true, "stderr_tail": ["one", "two\u{1b}[2J"], "hint": "mend it",
                   "next": {"After": {"ms": 1200}}, "because": "failure 1 of 16 within 10m"}),
        ),
        spawned(3_210, 2, 1, "after the end of worker 1"),
        record(
            4_000,
            1,
            "update.started",
            json!({"app": "web", "generation": 2, "total": 1, "reason": "file changed: /a", "ops": []}),
        ),
        spawned(4_010, 3, 2, "update to generation 2: file changed: /a"),
        record(
            5_000,
            1,
            "worker.draining",
            json!({"worker": worker(2, 1), "reason": "update: file changed: /a"}),
        ),
        exited(
            5_100,
            worker(2, 1),
            json!({"Code": 0}),
            json!({"voluntary": true, "cause": "update: file changed: /a", "next": {"Succeeded": {"by": 3}}}),
        ),
    ]
}

fn shown(records: &[Record], alive: Option<u32>, of: &str, most: u32) -> (String, usize) {
    let story = tell(records, alive);
    let target = values::target(of).expect("a target");
    let asked = Asked::of(Some(&target), &story).expect("known");
    let (parts, earlier) = pick(story, &asked, None, most);
    (text(&parts, 20, Style::plain()), earlier)
}

#[test]
fn a_story_tells_what_led_to_what() {
    let (text, earlier) = shown(&history(), Some(77), "web:0", 10);
    assert_eq!(earlier, 0);
    let expected = "\
2026-01-31 (UTC)
  12:00:00.000  the master began: ostler 0.1.0, pid 77
web.0  worker 1, generation 1, pid 4001
  12:00:00.010  started: first start
  12:00:00.260  ready after 250ms
  12:00:02.010  was ended by SIGSEGV, core dumped, after 2.0s
                ! one
                ! two\\x1b[2J
                hint: mend it
                so another is started after 1.2s (backoff): failure 1 of 16 within 10m
web.0  worker 2, generation 1, pid 4002
  12:00:03.210  started: after the end of worker 1
  12:00:05.000  leaves: update: file changed: /a
  12:00:05.100  exited with code 0 after 2.0s
                so the slot is worker 3's
  12:00:04.000  web: update to generation 2 of 1 workers began: file changed: /a
web.0  worker 3, generation 2, pid 4003
  12:00:04.010  started: update to generation 2: file changed: /a
                it runs
";
    assert_eq!(text, expected);
}

#[test]
fn what_failed_beside_a_worker_is_told_and_that_it_was_let_go_of() {
    let hook = |after, hook: &str, error: Value| {
        let event = json!({"worker": worker(1, 1), "hook": hook, "error": error, "took_ms": 5});
        record(after, 1, "worker.hook", event)
    };
    let records = [
        record(
            0,
            1,
            chronicle::STARTED,
            json!({"pid": 77, "version": "0.1.0"}),
        ),
        hook(5, "before_start", Value::Null),
        spawned(10, 1, 1, "first start"),
        hook(20, "after_ready", json!("`greet` exited with 3")),
        record(30, 1, "worker.released", json!({"worker": worker(1, 1)})),
    ];
    for alive in [Some(77), None] {
        let (text, _) = shown(&records, alive, "web", 10);
        let expected = "\
web.0  worker 1, generation 1, pid 4001
  12:00:00.010  started: first start
  12:00:00.020  after_ready failed: `greet` exited with 3
  12:00:00.030  let go of (delete --keep-running): it is nobody's
";
        assert!(text.ends_with(expected), "{text}");
    }
}

#[test]
fn how_a_rollback_ended_is_told() {
    let back = |after, slots: u32, failed: Value| {
        let event = json!({"app": "web", "generation": 3, "slots": slots, "took_ms": 1500, "failed": failed});
        record(after, 1, "update.rolled_back", event)
    };
    let records = [
        back(10, 2, Value::Null),
        back(
            20,
            1,
            json!("slot 0: worker 9 exited with code 7; its last lines:\nno luck"),
        ),
    ];
    let (text, _) = shown(&records, None, "web", 10);
    let expected = "\
2026-01-31 (UTC)
  12:00:00.010  web: 2 rolled back from generation 3 in 1.5s
  12:00:00.020  web: rollback from generation 3 failed after 1.5s, 1 rolled back: slot 0: worker 9 exited with code 7
";
    assert_eq!(text, expected);
}

#[test]
fn a_master_that_is_gone_leaves_ends_unknown_and_ids_begin_anew() {
    let mut records = history();
    let (text, _) = shown(&records, None, "3", 10);
    assert!(
        text.ends_with("its end is not known: its master was gone before\n"),
        "{text}"
    );
    // Another master has its pid now, or it has begun anew.
    assert!(shown(&records, Some(78), "3", 10).0.contains("not known"));
    let again = json!({"pid": 78, "version": "0.1.0"});
    records.push(record(9_000, 2, chronicle::STARTED, again));
    let event = json!({"worker": worker(1, 1), "trigger": "first start"});
    records.push(record(9_010, 2, "worker.spawned", event));
    let (text, earlier) = shown(&records, Some(78), "web", 1);
    assert_eq!(earlier, 3);
    assert_eq!(
        text,
        "2026-01-31 (UTC)\n  12:00:09.000  the master began: ostler 0.1.0, pid 78\n\
         web.0  worker 1, generation 1, pid 4001\n  12:00:09.010  started: first start\n                it runs\n"
    );
    let (text, _) = shown(&records, Some(78), "web", 9);
    assert!(text.contains("ended without a word"), "{text}");
    // A number is the last worker of that id.
    let (text, _) = shown(&records, Some(78), "1", 9);
    assert!(
        text.contains("12:00:09.010") && !text.contains("SIGSEGV"),
        "{text}"
    );
}

#[test]
fn a_worker_that_never_was_has_a_story_too() {
    let mut worker = worker(1, 1);
    worker["pid"] = Value::Null;
    let status = json!({"NotStarted": "no such file"});
    let more = json!({"uptime_ms": 0, "was_ready": false, "next": {"GivenUp": {"again_ms": null}},
                      "because": "failure 1 of 1 within 10m"});
    let (text, _) = shown(&[exited(5, worker, status, more)], None, "web", 9);
    assert_eq!(
        text,
        "2026-01-31 (UTC)\nweb.0  worker 1, generation 1\n  12:00:00.005  to be started: first start\n  \
         12:00:00.005  could not be started: no such file\n                \
         so the slot is given up until `start`: failure 1 of 1 within 10m\n"
    );
}

#[test]
fn who_is_unknown_is_told_who_is_known() {
    let story = tell(&history(), None);
    let asked = |of: &str| Asked::of(Some(&values::target(of).unwrap()), &story);
    assert_eq!(
        asked("wob").unwrap_err(),
        "has told nothing of an app \"wob\", only of web"
    );
    assert_eq!(asked("99").unwrap_err(), "has told nothing of a worker 99");
    assert_eq!(
        asked("web:7").unwrap_err(),
        "has told nothing of a slot 7 of \"web\", only of 0"
    );
    assert!(asked("web:0").is_ok());
}

#[test]
fn what_has_not_moved_since_is_left_out() {
    let parts = |after: u64| {
        let (parts, _) = pick(
            tell(&history(), Some(77)),
            &Asked::All,
            Some(NOON + after),
            9,
        );
        parts.len()
    };
    // The worker that runs still moves.
    assert_eq!((parts(0), parts(3_000), parts(5_101)), (5, 3, 1));
}
