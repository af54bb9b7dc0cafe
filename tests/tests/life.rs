//! How workers are looked after: asked, watched, recycled, and made to go.

use std::{net::Ipv4Addr, time::Duration};

use ostler_bus::vocab::worker::{ExitStatus, WorkerDraining, WorkerExited, WorkerReady};
use ostler_tests::{
    habit,
    harness::{App, Exit, Fleet, PATIENCE, deadline, eventually, free_ports},
    ostler,
};
use rustix::process::Signal;
use serde_json::json;

/// The habit `answer` on a socket of the worker's own, well from one moment of its life to another, in milliseconds.
fn answering(times: &str) -> App {
    let habit = env!("CARGO_BIN_EXE_misbehave");
    let mut words = vec![habit.to_owned(), "answer".into(), "unix:w{id}.sock".into()];
    words.extend(times.split(' ').map(str::to_owned));
    App::new("web", words)
}

/// Asks each worker at its own socket.
fn asked() -> serde_json::Value {
    json!({"http": "/ready", "address": "unix:w{id}.sock", "interval": "20ms"})
}

// ---- readiness

#[tokio::test]
async fn a_worker_is_ready_when_it_answers_well() {
    let app = answering("400").set("ready", asked()).instances(0);
    let fleet = Fleet::start(ostler!().apps(&[app])).await;
    let mut ready = fleet.hear::<WorkerReady>().await;
    fleet.ostler(["scale", "1"]).success().await;
    let event = ready.next().await.event;
    assert!(!event.assumed && event.after_ms >= 300, "{event:?}");
    // Its successor is asked at an address of its own: the old one's answers don't count for it.
    let reload = fleet.ostler(["reload"]).success();
    let (_, next) = tokio::join!(reload, ready.next());
    let event = next.event;
    assert!(event.worker.id.0 == 2 && event.after_ms >= 300, "{event:?}");
}

#[tokio::test]
async fn probes_ask_each_slot_at_its_own_port() {
    let base = free_ports(Ipv4Addr::LOCALHOST, 4);
    let late = "sleep 0.4; exec \"$MISBEHAVE\" answer 127.0.0.1:$((BASE + OSTLER_SLOT)) 0";
    let app = |name: &str, base: u16, mut asked: serde_json::Value| {
        asked["port"] = base.into();
        asked["interval"] = "20ms".into();
        let env = json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave"), "BASE": base});
        App::new(name, ["sh", "-c", late])
            .set("env", env)
            .set("ready", asked)
            .set("strategy", "replace")
            .instances(0)
    };
    let apps = [
        app("connected", base, json!({"tcp": true})),
        app("answered", base + 2, json!({"http": "/"})),
    ];
    let fleet = Fleet::start(ostler!().apps(&apps)).await;
    let mut ready = fleet.hear::<WorkerReady>().await;
    for name in ["connected", "answered"] {
        // While slot 1 starts, slot 0 answers at its own port, which must not count.
        for slot in 0..2 {
            fleet.ostler(["scale", name, "+1"]).success().await;
            let event = ready.next().await.event;
            assert_eq!(
                (event.worker.app.as_str(), event.worker.slot.0),
                (name, slot)
            );
            assert!(!event.assumed && event.after_ms >= 300, "{event:?}");
        }
    }
}

#[tokio::test]
async fn a_worker_that_never_answers_well_fails_to_start() {
    let app = answering("600000")
        .set("ready", asked())
        .set("start_timeout", "300ms");
    let mut fleet = Fleet::start(ostler!().apps(&[app])).await;
    let told = fleet.wait_for_log("exited with code 0").await;
    assert!(told.contains("ERROR"), "{told}");
    let status = fleet.status().await;
    let why = status
        .workers
        .into_iter()
        .find_map(|worker| worker.last_exit);
    let why = why.expect("an exit");
    assert!(why.contains("status 503"), "{why}");
}

// ---- liveness

#[tokio::test]
async fn a_worker_that_is_silent_leaves_a_core_first_and_is_killed_then() {
    // It says once that it lives, and heeds neither TERM nor, being blocked there too, ABRT.
    let app = habit!("web", "notify 0 ignore-term")
        .set("watchdog", "300ms")
        .set("hang_signal", "QUIT")
        .set("hang_grace", "100ms");
    let mut fleet = Fleet::start(ostler!().apps(&[app])).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let exit = exits.next().await.event;
    assert_eq!(exit.status, ExitStatus::Signal("SIGKILL".into()));
    assert!(!exit.voluntary && exit.uptime_ms >= 400, "{exit:?}");
    assert_eq!(
        exit.hung.as_deref(),
        Some("no check-in for 300ms (watchdog)")
    );
    fleet
        .wait_for_log("(hung: no check-in for 300ms (watchdog))")
        .await;
    fleet.wait_for_log("started: worker 2").await;
}

#[tokio::test]
async fn a_worker_that_checks_in_lives_on_until_it_hangs() {
    let app = habit!("web", "beat 50 1000").set("watchdog", "400ms");
    let fleet = Fleet::start(ostler!().apps(&[app])).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let checks_in = |ms: Option<u64>| ms.is_some_and(|ms| ms < 400);
    fleet
        .until("a check-in", |s| {
            s.workers.iter().any(|w| checks_in(w.check_in_ms))
        })
        .await;
    let exit = exits.next().await.event;
    assert_eq!(exit.status, ExitStatus::Signal("SIGABRT".into()));
    let why = exit.hung.as_deref().unwrap_or_default();
    assert_eq!(why, "no check-in for 400ms (watchdog)");
    assert!(exit.uptime_ms >= 1300, "{exit:?}");
}

#[tokio::test]
async fn a_worker_of_the_sdk_checks_in_by_itself() {
    let app = App::new("web", [env!("CARGO_BIN_EXE_sdk_worker"), "version"])
        .listening()
        .set("watchdog", "500ms");
    let builder = ostler!().apps(&[app]);
    std::fs::write(builder.dir().at("version"), "1").expect("written");
    let fleet = Fleet::ready(builder, 1).await;
    // It outlives its watchdog several times over.
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let mut outlived = async || loop {
        let worker = fleet.worker("web", 0).await;
        assert_eq!((worker.restarts, worker.id.map(|id| id.0)), (0, Some(1)));
        if worker.age_ms > 2000 {
            return worker.check_in_ms;
        }
        tick.tick().await;
    };
    let checked_in = deadline("two seconds of life", PATIENCE, outlived()).await;
    assert!(checked_in.is_some_and(|ms| ms < 500), "{checked_in:?}");
}

#[tokio::test]
async fn nobody_is_hung_because_the_master_stood_still() {
    let app = App::new("web", [env!("CARGO_BIN_EXE_sdk_worker"), "version"])
        .listening()
        .instances(2)
        .set("watchdog", "1s");
    let builder = ostler!().apps(&[app]);
    std::fs::write(builder.dir().at("version"), "1").expect("written");
    let mut fleet = Fleet::ready(builder, 2).await;
    fleet.process.signal(Signal::STOP);
    // Time itself is what is tested: twice the watchdog's.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    fleet.process.signal(Signal::CONT);
    fleet.wait_for_log("the master stood still for").await;
    for slot in 0..2 {
        let worker = fleet.worker("web", slot).await;
        assert_eq!((worker.restarts, worker.state.as_str()), (0, "ready"));
    }
}

#[tokio::test]
async fn a_worker_that_answers_badly_too_often_is_replaced() {
    let health =
        json!({"http": "/", "address": "unix:w{id}.sock", "interval": "50ms", "failures": 2});
    let app = answering("0 700")
        .set("ready", asked())
        .set("health", health);
    let mut fleet = Fleet::start(ostler!().apps(&[app])).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let exit = exits.next().await.event;
    assert!(exit.uptime_ms >= 700 && exit.was_ready, "{exit:?}");
    let why = "2 health checks in a row failed: status 503";
    assert_eq!(exit.hung.as_deref(), Some(why));
    fleet.wait_for_log("started: worker 2").await;
}

#[tokio::test]
async fn a_health_check_can_be_a_command() {
    let health = json!({"command": ["sh", "-c", "test -d /proc/$OSTLER_PID && test ! -e sick.{id} || { echo it is sick >&2; exit 9; }"],
        "interval": "50ms", "failures": 1});
    let app = habit!("web", "notify 0").set("health", health);
    let mut fleet = Fleet::ready(ostler!().apps(&[app]), 1).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    std::fs::write(fleet.dir().at("sick.1"), "").expect("written");
    let hung = exits.next().await.event.hung.expect("it was hung");
    assert!(hung.contains("exited with 9: it is sick"), "{hung}");
    fleet.wait_for_log("started: worker 2").await;
}

// ---- what becomes of a slot

#[tokio::test]
async fn a_oneshot_runs_to_its_end_and_again_when_asked() {
    let app = App::new("job", ["sh", "-c", "echo run >> runs; sleep 0.1"]).set("oneshot", true);
    let fleet = Fleet::start(ostler!().apps(&[app])).await;
    let runs =
        || std::fs::read_to_string(fleet.dir().at("runs")).map_or(0, |text| text.lines().count());
    eventually("its first run", PATIENCE, || (runs() == 1).then_some(())).await;
    fleet
        .ostler(["reload", "job"])
        .stderr_contains("oneshot")
        .fails_with(1)
        .await;
    // The first run may not have ended: then there is nothing to start again.
    let again = async || loop {
        fleet.ostler(["start", "job"]).success().await;
        if runs() == 2 {
            return fleet.status().await;
        }
    };
    let status = deadline("a second run", PATIENCE, again()).await;
    assert_eq!(
        (status.workers[0].state.as_str(), status.workers[0].restarts),
        ("stopped", 0)
    );
    let told = status.workers[0].last_exit.as_deref().unwrap_or_default();
    assert!(!told.contains("before it was ready"), "{told}");
}

#[tokio::test]
async fn an_app_that_cannot_boot_ends_the_master_with_its_code() {
    let apps = [
        habit!("good", "notify 0"),
        habit!("web", "exit 78 50")
            .set("fatal_exit_codes", json!([78]))
            .set("ready", "notify"),
    ];
    let master = ostler!().apps(&apps).start().await;
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(78));
}

#[tokio::test]
async fn counters_are_shown_and_can_be_reset() {
    let apps = ["web", "api", "job"].map(|name| {
        habit!(name, "exit 1")
            .set("restart", "on_crash")
            .set("max_restarts", 3)
            .set("retry_failed", "never")
    });
    let mut fleet = Fleet::start(ostler!().apps(&apps)).await;
    for _ in &apps {
        fleet
            .wait_for_log("failed too often; tried again by `start`")
            .await;
    }
    let slot = fleet.worker("web", 0).await;
    assert_eq!(
        (slot.restarts, slot.failures, slot.retry_in_ms),
        (3, 3, None)
    );
    assert!(slot.backoff_ms >= 150, "{slot:?}");
    for (which, left) in [("web", 2), ("job:0", 1), ("all", 0)] {
        fleet.ostler(["reset", which]).success().await;
        let slots = fleet.status().await.workers;
        let counts = slots.iter().filter(|slot| slot.restarts > 0).count();
        assert_eq!(counts, left, "after reset {which}");
    }
    let slot = fleet.worker("web", 0).await;
    assert_eq!((slot.restarts, slot.failures, slot.backoff_ms), (0, 0, 0));
    fleet.ostler(["reset", "wob"]).fails_with(4).await;
}

// ---- recycling

#[tokio::test]
async fn a_worker_that_has_grown_is_replaced_by_one_that_is_ready() {
    // The first one alone grows; its shell is replaced, so that the memory is the worker's own.
    let habit = env!("CARGO_BIN_EXE_misbehave");
    let script =
        format!("test $OSTLER_WORKER_ID = 1 && exec {habit} grow 64; exec {habit} notify 0");
    let app = App::new("web", ["sh", "-c", script.as_str()])
        .set("ready", "notify")
        .set("max_memory", "48MiB")
        .unwatched();
    let fleet = Fleet::start(ostler!().apps(&[app])).await;
    let mut draining = fleet.hear::<WorkerDraining>().await;
    let event = draining.next().await.event;
    assert!(
        event.worker.id.0 == 1 && event.reason.starts_with("recycle: "),
        "{event:?}"
    );
    let worker = fleet.worker("web", 0).await;
    assert_eq!(
        (
            worker.id.map(|id| id.0),
            worker.state.as_str(),
            worker.restarts
        ),
        (Some(2), "ready", 0)
    );
}
