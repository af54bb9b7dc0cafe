//! What reading the process file again must not do: keep the master waiting, or leave something behind.

#[path = "reread/sockets.rs"]
mod sockets;

use std::{net::TcpListener, net::TcpStream, time::Instant};

use ostler_bus::{
    Request,
    vocab::{
        commands::AppAdd,
        control::{Answer, AppScale, ScaleTo},
        plan::{MasterPlan, MasterReload, PlanAnswer},
        status::StatusReport,
    },
};
use ostler_tests::{
    habit,
    harness::{App, Exit, Fleet, Master, PATIENCE},
    ostler,
};
use rustix::process::Signal;
use serde_json::json;

fn web() -> App {
    quiet("web")
}

fn quiet(name: &str) -> App {
    habit!(name, "notify 0").unwatched()
}

async fn running(apps: &[App], names: &[&str]) -> Master {
    let master = ostler!().apps(apps).start().await;
    for name in names {
        master.settled(name, "running").await;
    }
    master
}

/// A listener that is in the way, and a port that nobody has.
fn ports() -> (TcpListener, u16) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    (taken, free.local_addr().expect("an address").port())
}

#[tokio::test]
async fn what_reload_would_refuse_plan_refuses_and_neither_leaves_a_socket() {
    let listening = |sockets: serde_json::Value| web().set("listen", sockets);
    let before = [listening(json!({"http": "127.0.0.1:0"}))];
    let master = running(&before, &["web"]).await;
    let (taken, free) = ports();
    let taken = taken.local_addr().expect("an address");
    let long = "x".repeat(64);
    master.rewrite(&[
        listening(json!({"http": "127.0.0.1:0", "admin": format!("127.0.0.1:{free}")})),
        quiet("api").set("listen", taken.to_string()),
        quiet(&long),
    ]);
    for verb in [&["plan"][..], &["reload", "--config"][..]] {
        let output = master.ostler(verb).fails_with(1).await;
        let told = format!("api: socket \"http\": can't listen on {taken}: the address is in use");
        assert!(output.stderr.contains(&told), "{output:#?}");
        // A name as long as names may be leaves no room for its workers' sockets here.
        assert!(output.stderr.contains(&format!("{long}: ")), "{output:#?}");
        TcpStream::connect(("127.0.0.1", free)).expect_err("nobody listens");
        let sockets = master.app("web").await["sockets"].clone();
        assert_eq!(sockets.as_array().map(Vec::len), Some(1), "{sockets}");
    }
}

#[tokio::test]
async fn what_an_app_that_went_has_printed_is_forgotten() {
    let old = || {
        App::new("old", ["sh", "-c", "echo secret; exec sleep 600"])
            .unwatched()
            .instances(1)
    };
    let master = running(&[web(), old()], &["web", "old"]).await;
    let logs = || async { master.ostler(["logs", "old"]).success().await.stdout };
    let end = Instant::now() + PATIENCE;
    while !logs().await.contains("secret") {
        assert!(Instant::now() < end, "{:?}", logs().await);
    }
    master.rewrite(&[web()]);
    master.ostler(["reload", "--config"]).success().await;
    master.rewrite(&[web(), old().set("autostart", false)]);
    master.ostler(["reload", "--config"]).success().await;
    assert_eq!(logs().await, "");
}

/// A process file with these apps, and so much beside them that it takes a second or more to read.
fn long(fleet: &Fleet, name: &str, apps: &[App]) {
    let file = format!("include = \"part*.toml\"\n{}", App::file(apps));
    fleet.dir().write(name, &file);
}

/// How many commands are obeyed until an answer comes.
async fn meanwhile<R: Request>(fleet: &Fleet, asked: &R) -> (R::Reply, usize) {
    let scale = AppScale {
        app: "web".into(),
        to: ScaleTo::Exactly(1),
    };
    let mut answer = std::pin::pin!(fleet.bus.request_within(asked, PATIENCE));
    let mut obeyed = 0;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return (answer.expect("an answer"), obeyed),
            scaled = fleet.bus.request_within(&scale, PATIENCE) => {
                assert!(matches!(scaled, Ok(Answer::Accepted { .. })), "{scaled:?}");
                obeyed += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_takes_its_time_keeps_nobody_waiting() {
    let mut fleet = Fleet::ready(ostler!().apps(&[web()]), 1).await;
    for part in 0..8 {
        let template = |n| format!("[template.t{part}-{n}]\ncommand = [\"x\"]\nenv.A = \"{n}\"\n");
        let templates: String = (0..5000).map(template).collect();
        fleet.dir().write(&format!("part{part}.toml"), &templates);
    }
    long(&fleet, "ostler.toml", &[web(), quiet("late")]);
    long(&fleet, "more.toml", &[quiet("more")]);
    // Held up, it would obey the first at most.
    let (plan, obeyed) = meanwhile(&fleet, &MasterPlan::default()).await;
    let PlanAnswer::Plan(plan) = plan else {
        panic!("{plan:?}")
    };
    assert!(
        plan.apps
            .iter()
            .any(|app| app.action == "start" && app.app == "late")
    );
    assert!(obeyed > 10, "while it planned: {obeyed}");
    let (answer, obeyed) = meanwhile(&fleet, &MasterReload::default()).await;
    assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
    assert!(obeyed > 10, "while it read the file again: {obeyed}");
    let add = AppAdd {
        file: fleet.dir().at("more.toml").display().to_string(),
        text: None,
        environment: None,
        only: None,
    };
    let (answer, obeyed) = meanwhile(&fleet, &add).await;
    assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
    assert!(obeyed > 10, "while it read another file: {obeyed}");
    fleet.until_ready(3).await;
    // Nor does a file that is being read keep the master from ending.
    let never = tokio::spawn(fleet.ostler(["plan"]).run());
    assert_eq!(fleet.end(Signal::TERM).await, Exit::Code(0));
    assert_ne!(never.await.expect("refused").exit, Exit::Code(0));
}

#[tokio::test]
async fn sighup_says_nothing_of_an_app_that_is_on_its_way_out() {
    let stubborn = App::new(
        "old",
        ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"],
    )
    .unwatched()
    .instances(1);
    let master = running(&[web(), stubborn], &["web", "old"]).await;
    master.rewrite(&[web()]);
    let reload = ["reload", "--config", "--no-wait"];
    master.ostler(reload).success().await;
    let before = master.pids("old").await;
    let mut tail = master.tail().await;
    master.process.signal(Signal::HUP);
    tail.next_with("update.finished", "/app", "web").await;
    assert_eq!(master.pids("old").await, before, "it drains");
    let log = master.process.output();
    assert!(!log.contains("runs on as it was"), "{log}");
    assert!(log.contains("SIGHUP: read"), "{log}");
    master.process.signal(Signal::QUIT);
}

#[tokio::test]
async fn sighup_rolls_what_came_by_command_too_and_leaves_it_watched() {
    let fleet = Fleet::ready(ostler!().apps(&[web()]), 1).await;
    fleet.dir().write("src.txt", "1");
    let extra = quiet("extra").set("auto_reload", json!(["src.txt"]));
    fleet.dir().write("extra.toml", &App::file(&[extra]));
    fleet.ostler(["start", "extra.toml"]).success().await;
    let generation = |status: &StatusReport, app: &str| {
        let mut workers = status.workers.iter();
        workers.any(|w| w.app == app && w.current && w.state == "ready" && w.generation.0 == 2)
    };
    fleet.process.signal(Signal::HUP);
    let both = |s: &StatusReport| generation(s, "web") && generation(s, "extra");
    fleet.until("both to be rolled", both).await;
    let log = fleet.process.output();
    assert!(!log.contains("extra is not in"), "{log}");
    fleet.dir().write("src.txt", "2");
    let third = |s: &StatusReport| {
        s.workers
            .iter()
            .any(|w| w.app == "extra" && w.generation.0 == 3)
    };
    fleet.until("an update for its file", third).await;
}
