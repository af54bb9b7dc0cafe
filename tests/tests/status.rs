//! `masterStatus`: what it says, whom it is told to, and how it follows what happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ostler_bus::vocab::{
    status::{MasterStatus, StatusReport, WorkerStatus},
    update::SystemRestartNeeded,
};
use ostler_tests::harness::{Fleet, Programs, Web};
use rustix::process::Signal;
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

fn ask(id: &str) -> MasterStatus {
    let id = Some(id.into());
    MasterStatus { id }
}

fn pids(status: &StatusReport) -> Vec<Option<u32>> {
    status.workers.iter().map(|worker| worker.pid).collect()
}

async fn ls(fleet: &Fleet) -> Value {
    fleet.ostler(["ls", "--json"]).success().await.json()
}

/// Resident memory of a process in bytes, by another file than the master reads.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes: f64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kilobytes * 1024.0
}

#[tokio::test]
async fn report_has_every_field_of_the_seed() {
    let fleet = Fleet::ready(PROGRAMS.habit(2, &["trivial"]).listen("127.0.0.1:0"), 2).await;
    let report = ls(&fleet).await;
    let master = &report["master"];
    assert_eq!(master["title"], "web");
    assert_eq!(master["pid"], fleet.process.id());
    assert_eq!(master["restart_needed"], false);
    assert!(
        master["uptime"].as_u64().unwrap() < 60 && master["memory"].is_u64(),
        "{report}"
    );
    let cores = master["cores_used"].as_str().unwrap();
    assert!(cores.contains(" of "), "{report}");
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(report["hostname"], read("/proc/sys/kernel/hostname").trim());
    let os = report["os"].as_str().unwrap();
    assert!(os.starts_with("Linux ") && os.ends_with(read("/proc/sys/kernel/osrelease").trim()));
    let machine = &report["machine"];
    assert_eq!(machine["load_average"].as_array().unwrap().len(), 3);
    for field in [
        "uptime",
        "memory_total",
        "memory_used",
        "memory_used_at_boot",
        "cpu_percent",
    ] {
        assert!(machine[field].is_number(), "{field}: {report}");
    }
    let workers = report["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    for (slot, worker) in workers.iter().enumerate() {
        assert_eq!(
            (&worker["app"], &worker["slot"]),
            (&json!("web"), &json!(slot))
        );
        assert_eq!(
            (&worker["generation"], &worker["restarts"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(
            (&worker["state"], &worker["current"]),
            (&json!("ready"), &json!(true))
        );
        for flag in ["starting", "closing", "dead", "connected"] {
            assert_eq!(worker[flag], false, "{flag}: {worker}");
        }
        for number in ["id", "pid", "age_ms", "memory"] {
            assert!(worker[number].is_u64(), "{number}: {worker}");
        }
    }
}

#[tokio::test]
async fn figures_are_numbers_and_plausible() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    let first = fleet.status().await.machine;
    assert_eq!(first.memory_total, total * 1024);
    assert!(first.memory_used < first.memory_total && first.memory_used > total);
    assert!(first.memory_used_at_boot < first.memory_total);
    let load = || -> Vec<f64> {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap();
        text.split(' ')
            .take(3)
            .map(|number| number.parse().unwrap())
            .collect()
    };
    fleet
        .until("the kernel's load", |status| {
            status.machine.load_average[..] == load()[..]
        })
        .await;
    let busy = Arc::new(AtomicBool::new(true));
    let go_on = Arc::clone(&busy);
    let spinning = std::thread::spawn(move || {
        while go_on.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    // One of at most so many cores.
    let cores = std::thread::available_parallelism().unwrap().get();
    let least = 70.0 / cores as f64;
    let last = fleet
        .until("a busy core", |status| status.machine.cpu_percent >= least)
        .await;
    busy.store(false, Ordering::Relaxed);
    spinning.join().unwrap();
    assert!(last.machine.cpu_percent <= 100.0);
    assert_eq!(last.machine.memory_used_at_boot, first.memory_used_at_boot);
}

#[tokio::test]
async fn memory_of_master_and_workers_is_shown() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let status = fleet.status().await;
    let worker = &status.workers[0];
    let pairs = [
        (status.master.memory, status.master.pid),
        (worker.memory.unwrap(), worker.pid.unwrap()),
    ];
    for (shown, pid) in pairs {
        let ratio = shown as f64 / resident(pid);
        assert!((0.7..1.4).contains(&ratio), "{shown} of {pid}: {ratio}");
    }
}

#[tokio::test]
async fn request_is_answered_to_the_asker_alone() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let mut heard = fleet.hear_raw(">").await;
    let reply = fleet
        .ostler(["request", "masterStatus"])
        .success()
        .await
        .json();
    assert_eq!(reply["master"]["pid"], fleet.process.id());
    assert_eq!(reply["workers"][0]["state"], "ready");
    // The keeper takes one question after the other: had it broadcast, it had done so before this answer.
    fleet.status().await;
    fleet.bus.emit_json("barrier", &()).await.unwrap();
    assert_eq!(heard.up_to("barrier").await, []);
}

#[tokio::test]
async fn event_without_an_id_broadcasts_the_report() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    fleet
        .ostler(["emit", "masterStatus", "{\"id\":null}"])
        .success()
        .await;
    fleet.said("left.0 | report with 2 workers").await;
    fleet.said("right.0 | report with 2 workers").await;
}

#[tokio::test]
async fn event_without_a_payload_broadcasts_the_report() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let mut reports = fleet.hear::<StatusReport>().await;
    fleet.ostler(["emit", "masterStatus"]).success().await;
    let report = reports.next().await;
    assert_eq!(report.event.master.pid, fleet.process.id());
    let wait = fleet.ostler(["emit", "masterStatus", "--wait", "masterStatus.report"]);
    let line = wait.success().await.json();
    assert_eq!(line["payload"]["master"]["title"], "web");
}

#[tokio::test]
async fn event_with_an_id_is_answered_on_that_topic() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let mut answers = fleet
        .bus
        .subscribe_to::<StatusReport>("reply.to-me")
        .await
        .unwrap();
    fleet.bus.emit(&ask("reply.to-me")).await.unwrap();
    let report = answers.next_event().await.unwrap();
    assert_eq!(report.event.master.pid, fleet.process.id());
    let payload = "{\"id\":\"from.cli\"}";
    let wait = fleet.ostler(["emit", "masterStatus", payload, "--wait", "from.cli"]);
    let line = wait.success().await.json();
    assert_eq!(line["payload"]["master"]["pid"], fleet.process.id());
    assert_eq!(line["origin"], "Master");
}

#[tokio::test]
async fn event_with_a_built_in_id_is_not_answered_there() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let mut heard = fleet.hear_raw(">").await;
    let mut reserved = fleet.hear_raw("_sys.>").await;
    let ids = [
        "worker.exited",
        "_sys.x",
        "update.nonsense",
        "systemRestartNeeded",
        "app.reload",
    ];
    for id in ids {
        fleet.bus.emit(&ask(id)).await.unwrap();
        fleet
            .logged(format!("masterStatus was not answered on \"{id}\""))
            .await;
    }
    fleet.bus.emit(&ask("no topic at all")).await.unwrap();
    fleet.logged("not answered on \"no topic at all\"").await;
    fleet.status().await;
    fleet.bus.emit_json("barrier", &()).await.unwrap();
    let topics = heard
        .up_to("barrier")
        .await
        .into_iter()
        .map(|(topic, _)| topic);
    let others = topics.filter(|topic| topic != "masterStatus" && topic != "masterStatus.report");
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new());
    fleet.process.signal(Signal::TERM);
    let last = reserved.delivery().await;
    assert!(
        matches!(last, ostler_bus::client::Delivery::Disconnected(_)),
        "{last:?}"
    );
}

#[tokio::test]
async fn late_subscriber_gets_the_last_report() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let mut reports = fleet.hear::<StatusReport>().await;
    fleet.bus.emit(&MasterStatus::default()).await.unwrap();
    let live = reports.next().await;
    let late = fleet.hear::<StatusReport>().await.next().await;
    assert!(!live.is_retained() && late.is_retained());
    assert_eq!((late.event, late.seq), (live.event, live.seq));
}

#[tokio::test]
async fn flood_of_questions_is_conflated() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let mut reports = fleet.bus.subscribe::<StatusReport>().await.unwrap();
    let began = Instant::now();
    for _ in 0..1000 {
        fleet.bus.emit(&MasterStatus::default()).await.unwrap();
    }
    let acked = fleet.bus.emit_acked(&MasterStatus::default()).await;
    assert_eq!(acked, Ok(1), "the keeper alone listens");
    let asked = Instant::now();
    let mut heard = Vec::new();
    while let Ok(Some(_)) =
        tokio::time::timeout(Duration::from_millis(700), reports.next_event()).await
    {
        heard.push(Instant::now());
    }
    let last = *heard.last().expect("a report");
    assert!(last > asked, "one after the last question");
    // Ten a second, the first at once, and one that a busy machine delivered with the one before.
    let most = last.duration_since(began).as_millis() / 100 + 2;
    assert!(heard.len() as u128 <= most, "{} > {most}", heard.len());
}

#[tokio::test]
async fn worker_flags_follow_its_life() {
    let master = PROGRAMS.sdk(1);
    master.dir().write("fail", "never");
    let fleet = Fleet::start(master).await;
    let one = |is: fn(&WorkerStatus) -> bool| move |s: &StatusReport| s.workers.iter().any(is);
    let starting = fleet
        .until("a connected worker", one(|w| w.connected))
        .await;
    let worker = &starting.workers[0];
    assert_eq!(
        (worker.state.as_str(), worker.starting, worker.closing),
        ("starting", true, false)
    );
    fleet.dir().write("fail", "");
    let pid = rustix::process::Pid::from_raw(worker.pid.unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let ready = &fleet.until_ready(1).await[0];
    assert!(!ready.starting && !ready.closing && !ready.dead && ready.connected && ready.current);
    assert_eq!((ready.restarts, ready.assumed_ready), (1, false));
    assert!(
        ready
            .last_exit
            .as_ref()
            .is_some_and(|text| text.contains("SIGKILL")),
        "{ready:?}"
    );
    let older = |s: &StatusReport| s.workers[0].age_ms > ready.age_ms;
    fleet.until("an older worker", older).await;
    let mut web = Web::connect(fleet.address().await).await;
    let slow = tokio::spawn(async move { web.ask("/slow/1500").await });
    fleet.said("slow").await;
    fleet.ostler(["stop", "--no-wait"]).success().await;
    let draining = fleet
        .until("a draining worker", one(|w| w.state == "draining"))
        .await;
    assert!(draining.workers[0].closing && draining.workers[0].connected);
    slow.await.unwrap();
    let stopped = fleet
        .until("a stopped slot", one(|w| w.state == "stopped"))
        .await;
    let slot = &stopped.workers[0];
    assert_eq!(
        (slot.pid, slot.connected, slot.closing),
        (None, false, false),
        "{slot:?}"
    );
}

#[tokio::test]
async fn slots_without_a_worker_are_shown() {
    let app = |name: &str, more: &str| {
        let program = PROGRAMS.misbehave;
        format!("[app.{name}]\ncommand = [{program:?}, \"exit\", \"3\"]\ninstances = 1\n{more}\n")
    };
    let file = app("again", "backoff = { first = \"20s\", max = \"30s\" }")
        + &app(
            "gone",
            "max_restarts = 1\nbackoff = { first = \"1ms\", max = \"1ms\" }",
        )
        + &app("parked", "").replace("instances = 1", "instances = 0");
    let fleet = Fleet::start(PROGRAMS.master().file(&file)).await;
    let of = |s: &StatusReport, app: &str| {
        let mut workers = s.workers.iter();
        workers.find(|worker| worker.app == app).cloned()
    };
    let is =
        |s: &StatusReport, app: &str, state: &str| of(s, app).is_some_and(|w| w.state == state);
    let settled = |s: &StatusReport| is(s, "again", "backoff") && is(s, "gone", "failed");
    let status = fleet
        .until("both slots to be without a worker", settled)
        .await;
    let again = of(&status, "again").unwrap();
    assert_eq!((again.id, again.pid), (None, None));
    assert!(
        again
            .retry_in_ms
            .is_some_and(|ms| ms > 1_000 && ms <= 30_000),
        "{again:?}"
    );
    for app in ["again", "gone"] {
        let last = of(&status, app).unwrap().last_exit.unwrap();
        assert!(last.contains('3'), "{last}");
    }
    let shown = fleet.ostler(["ls"]).success().await.stdout;
    assert!(shown.contains("backoff") && shown.contains("failed") && shown.contains("parked"));
}

#[tokio::test]
async fn stopping_worker_is_shown_until_it_is_gone() {
    let file = format!(
        "[app.web]\ncommand = [{:?}, \"ignore-term\"]\ninstances = 1\n\
         kill_ladder = [\"INT:300ms\", \"TERM:3s\", \"KILL\"]\n",
        PROGRAMS.misbehave
    );
    let fleet = Fleet::ready(PROGRAMS.master().file(&file), 1).await;
    let pid = fleet.worker("web", 0).await.pid.unwrap();
    fleet.ostler(["stop", "--no-wait"]).success().await;
    let stopping = |s: &StatusReport| s.workers.iter().any(|w| w.state == "stopping" && w.closing);
    let status = fleet.until("a stopping worker", stopping).await;
    assert_eq!(status.workers[0].pid, Some(pid));
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    let stopped = |s: &StatusReport| s.workers.iter().all(|w| w.state == "stopped");
    fleet.until("a stopped slot", stopped).await;
    fleet.assert_nothing_left().await;
}

#[tokio::test]
async fn status_text_of_a_worker_is_shown() {
    let script = format!(
        "{0} say \"$(printf 'STATUS=clear\\033[2J')\" READY=1; exec {0} trivial",
        PROGRAMS.misbehave
    );
    let master = PROGRAMS.master().name("web").instances(1);
    let fleet = Fleet::ready(master.command(["sh", "-c", &script]), 1).await;
    let worker = fleet.worker("web", 0).await;
    assert_eq!(worker.status_text.as_deref(), Some("clear\u{1b}[2J"));
    assert!(!worker.assumed_ready);
    let shown = fleet.ostler(["ls"]).success().await.stdout;
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[tokio::test]
async fn sockets_are_shown_with_their_bound_address() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1).arg("--log-format=human"), 1).await;
    let socket = &ls(&fleet).await["apps"][0]["sockets"][0];
    assert_eq!(socket["name"], "http");
    let address: std::net::SocketAddr = socket["address"].as_str().unwrap().parse().unwrap();
    assert_ne!(address.port(), 0);
    assert_eq!(Web::get(address, "/").await["slot"], 0);
    // By then the worker has asked the master for it.
    let balanced =
        |status: &StatusReport| status.apps[0].sockets.iter().all(|s| s.mode == "balanced");
    fleet.until("its mode to be shown", balanced).await;
    fleet.logged(format!("http={address}")).await;
}

#[tokio::test]
async fn system_restart_needed_is_shown_and_restarts_nothing() {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let mut heard = fleet.hear_raw(">").await;
    let before = fleet.status().await;
    let reason = "{\"reason\":\"new kernel\"}";
    fleet
        .ostler(["emit", "systemRestartNeeded", reason])
        .success()
        .await;
    let marked = fleet.until("the mark", |s| s.master.restart_needed).await;
    assert_eq!(marked.master.restart_reason.as_deref(), Some("new kernel"));
    assert_eq!(pids(&marked), pids(&before));
    let shown = fleet.ostler(["ls"]).success().await.stdout;
    assert!(shown.contains("new kernel"), "{shown}");
    fleet.bus.emit_json("barrier", &()).await.unwrap();
    let topics = heard.up_to("barrier").await;
    assert!(
        topics
            .iter()
            .all(|(topic, _)| topic == "systemRestartNeeded"),
        "{topics:?}"
    );
}

#[tokio::test]
async fn system_restart_needed_keeps_the_last_reason() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let says = |reason: &'static str| {
        move |s: &StatusReport| s.master.restart_reason.as_deref() == Some(reason)
    };
    assert!(fleet.get("web", "/system/first").await["ok"].is_u64());
    fleet.until("the first reason", says("first")).await;
    let reason = Some("second".into());
    fleet
        .bus
        .emit(&SystemRestartNeeded { reason })
        .await
        .unwrap();
    fleet.until("the second reason", says("second")).await;
}

#[tokio::test]
async fn worker_answers_http_with_the_masters_status() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let told = fleet.get("web", "/status").await;
    assert_eq!(told["ok"]["master"]["pid"], fleet.process.id());
    assert_eq!(told["ok"]["workers"][0]["connected"], true);
}

#[tokio::test]
async fn environment_values_never_appear() {
    let secret = "tell-nobody-7f3a";
    let file = format!(
        "[app.web]\ncommand = [{:?}, \"exit\", \"3\", \"200\"]\ninstances = 1\nmax_restarts = 2\n\
         env = {{ TOKEN = {secret:?} }}\nbackoff = {{ first = \"1ms\", max = \"1ms\" }}\n",
        PROGRAMS.misbehave
    );
    let master = PROGRAMS.master().file(&file).env("OTHER_TOKEN", secret);
    let fleet = Fleet::start(master.env("OSTLER_LOG", "debug")).await;
    let tail = fleet.tail().await;
    let failed = |s: &StatusReport| s.workers.iter().any(|w| w.state == "failed");
    fleet.until("a failed slot", failed).await;
    fleet.ostler(["reload"]).run().await;
    fleet
        .ostler(["emit", "masterStatus", "--wait", "masterStatus.report"])
        .success()
        .await;
    let output = fleet.ostler(["ls"]).success().await;
    let all = format!("{}{output:?}{:?}", fleet.process.output(), tail.events());
    assert!(all.contains("worker.exited"), "{all}");
    assert!(!all.contains(secret));
}
