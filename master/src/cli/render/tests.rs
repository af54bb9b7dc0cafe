//! The table as it is seen, with everything that can be hostile or missing in it.

use ostler_bus::{
    Generation, Slot, WorkerId,
    vocab::status::{MachineInfo, MasterInfo, SocketStatus},
};

use super::*;

pub(in crate::cli) fn worker(app: &str, slot: u32, id: Option<u64>, state: &str) -> WorkerStatus {
    WorkerStatus {
        app: app.into(),
        slot: Slot(slot),
        id: id.map(WorkerId),
        pid: id.map(|id| 4_000_000 + u32::try_from(id).unwrap()),
        generation: Generation(2),
        state: state.into(),
        assumed_ready: false,
        current: true,
        starting: state == "starting",
        closing: false,
        dead: id.is_none(),
        connected: true,
        restarts: 0,
        age_ms: 7_500_000,
        memory: id.map(|_| 41_200_000),
        cpu_ms: None,
        status_text: None,
        waits_for: None,
        last_exit: None,
        retry_in_ms: None,
        check_in_ms: None,
        failures: 0,
        backoff_ms: 0,
        requests: None,
        recycle: None,
        held: None,
        held_requests: None,
    }
}

fn app(name: &str, state: &str) -> AppStatus {
    AppStatus {
        name: name.into(),
        state: state.into(),
        instances: 4,
        ready: 3,
        generation: Generation(2),
        readiness: "auto".into(),
        sockets: vec![SocketStatus {
            name: "http".into(),
            address: "127.0.0.1:8080".into(),
            mode: "shared".into(),
            why: None,
            slot: None,
            passed_as: None,
            queue: None,
            balance: None,
            asked_by: None,
            share: None,
            accepts: None,
        }],
        last_update: Some("finished in 1.2s".into()),
        namespace: None,
        next_cron: None,
    }
}

pub(in crate::cli) fn report_of(workers: Vec<WorkerStatus>) -> StatusReport {
    StatusReport {
        workers,
        ..report()
    }
}

fn report() -> StatusReport {
    let old = WorkerStatus {
        current: false,
        closing: true,
        generation: Generation(1),
        held: Some(1),
        held_requests: Some(12),
        ..worker("web", 0, Some(3), "draining")
    };
    let assumed = WorkerStatus {
        assumed_ready: true,
        ..worker("web", 0, Some(11), "ready")
    };
    let backoff = WorkerStatus {
        restarts: 12,
        last_exit: Some(format!("code 1: \x1b[2Jpanicked\nat {}", "x".repeat(80))),
        retry_in_ms: Some(2_300),
        failures: 4,
        backoff_ms: 3_400,
        ..worker("web", 1, None, "backoff")
    };
    let says = WorkerStatus {
        status_text: Some("42 \u{202e}open".into()),
        ..worker("web", 2, Some(12), "ready")
    };
    StatusReport {
        master: MasterInfo {
            title: "shop".into(),
            version: "0.1.0".into(),
            file: None,
            pid: 4_194_304,
            uptime: 187_200,
            memory: 6_120_000,
            restart_needed: true,
            restart_reason: Some("kernel\nupdate".into()),
            cores_used: "3 of 8".into(),
        },
        hostname: "box1".into(),
        os: "Linux 6.18.1".into(),
        machine: MachineInfo {
            uptime: 1,
            load_average: [0.31, 1.5, 12.0],
            memory_total: 15_600_000_000,
            memory_used: 3_140_000_000,
            memory_used_at_boot: 1,
            cpu_percent: 12.4,
        },
        apps: vec![app("web", "updating")],
        workers: vec![old, assumed, backoff, says],
    }
}

#[test]
fn the_state_fits_80_columns() {
    let shown = status(&report(), Style::plain());
    let expected = "\
shop  pid 4194304  up 2d 4h  6.1 MB  3 of 8 cores  ostler 0.1.0
box1  Linux 6.18.1  load 0.31 1.50 12.00  cpu 12%  mem 3.1 GB of 15.6 GB
system restart needed: kernel\\nupdate

web  updating  3 of 4 ready  generation 2  ready: auto
  http on 127.0.0.1:8080 (shared)
  last update: finished in 1.2s

APP  SLOT  ID      PID  GEN  STATE            RESTARTS    AGE   MEMORY
web     0   3  4000003    1  draining (old)          0  2h 5m  41.2 MB
  holds 1 connection, 12 requests
web     0  11  4000011    2  ready (assumed)         0  2h 5m  41.2 MB
web     1   -        -    2  backoff                12      -        -
  last exit: code 1: \\x1b[2Jpanicked\\nat xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
  tried again in 2.3s (failures 4, back-off 3.4s)
web     2  12  4000012    2  ready                   0  2h 5m  41.2 MB
  says: 42 \\u{202e}open
";
    assert_eq!(shown, expected);
    assert!(shown.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn a_successor_on_trial_is_new_and_whoever_it_replaces_is_not_called_old_yet() {
    let holder = WorkerStatus {
        generation: Generation(1),
        ..worker("web", 0, Some(3), "ready")
    };
    let successor = WorkerStatus {
        current: false,
        ..worker("web", 0, Some(11), "starting")
    };
    let mut report = report();
    report.workers = vec![holder, successor];
    let shown = status(&report, Style::plain());
    assert!(shown.contains("  2  starting (new) "), "{shown}");
    assert!(
        shown.contains("  1  ready ") && !shown.contains("old"),
        "{shown}"
    );
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let coloured = status(&report(), Style::coloured());
    assert!(coloured.contains("\x1b[33mdraining (old)\x1b[0m  "));
    let mut plain = coloured;
    for code in ["0", "1", "2", "31", "32", "33"] {
        plain = plain.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(plain, status(&report(), Style::plain()));
}

#[test]
fn an_idle_master_has_no_table() {
    let mut report = report();
    report.workers.clear();
    report.master.restart_needed = false;
    report.apps = vec![AppStatus {
        sockets: Vec::new(),
        last_update: None,
        next_cron: None,
        ..app("jobs", "stopped")
    }];
    let shown = status(&report, Style::plain());
    let last = "\njobs  stopped  3 of 4 ready  generation 2  ready: auto\n";
    assert!(
        shown.ends_with(last) && !shown.contains("APP") && !shown.contains("restart"),
        "{shown}"
    );
}

#[test]
fn json_is_the_report_and_safe_to_print() {
    let report = report();
    let text = json(&report).unwrap();
    assert_eq!(serde_json::from_str::<StatusReport>(&text).unwrap(), report);
    assert!(text.contains("42 \\u202eopen") && !text.contains('\u{202e}'));
    assert!(text.contains("\n  \"hostname\": \"box1\",\n"));
}
