//! `restart`, `stop` and `start` of single workers, `delete`, and the words that choose them.

use super::*;

#[tokio::test]
async fn restart_stops_all_before_it_starts_one() {
    // Each says when it comes and when it goes.
    let script =
        "echo + >> log; trap 'sleep 0.2; echo - >> log; exit 0' TERM; while :; do sleep 0.05; done";
    let app = App::new("web", ["sh", "-c", script])
        .set("ready", "delay(100ms)")
        .instances(2);
    let fleet = fleet(&[app], 2).await;
    let before = pids(&fleet, "web").await;
    let told = fleet.ostler(["restart", "web"]).stdout("").success().await;
    assert!(told.stderr.contains("restart done in"), "{told:#?}");
    let after = fleet.until_ready(2).await;
    assert!(
        after
            .iter()
            .all(|w| w.pid.is_some_and(|pid| !before.contains(&pid)))
    );
    assert!(after.iter().all(|w| w.generation.0 == 2 && w.restarts == 0));
    let log = lines_of(&fleet.dir().at("log"), 6).await;
    assert_eq!(log.concat(), "++--++");
}

#[tokio::test]
async fn restart_of_one_worker_leaves_the_others_alone() {
    let fleet = fleet(&[idle("web").instances(3)], 3).await;
    let before = pids(&fleet, "web").await;
    fleet.ostler(["restart", "web:1"]).success().await;
    let after = pids(&fleet, "web").await;
    assert_eq!((before[0], before[2]), (after[0], after[2]));
    assert_ne!(before[1], after[1]);
    let id = fleet
        .worker("web", 2)
        .await
        .id
        .expect("a worker")
        .to_string();
    fleet.ostler(["restart", &id]).success().await;
    assert_ne!(pids(&fleet, "web").await[2], before[2]);
    // The number is the old worker's, and nobody's any more.
    fleet
        .ostler(["restart", &id])
        .stderr_contains("there is no app and no worker")
        .fails_with(4)
        .await;
}

#[tokio::test]
async fn a_worker_is_stopped_and_started_by_itself() {
    let fleet = fleet(&[idle("web").instances(2)], 2).await;
    fleet.ostler(["stop", "web:0"]).success().await;
    let states = async || {
        let workers = fleet.status().await.workers;
        workers.iter().map(|w| w.state.clone()).collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["stopped", "ready"]);
    fleet.ostler(["start", "web:0"]).success().await;
    assert_eq!(states().await, ["ready", "ready"]);
}

#[tokio::test]
async fn apps_are_chosen_by_namespace_and_pattern() {
    let apps = [
        idle("web").set("namespace", "shop"),
        idle("api").set("namespace", "shop"),
        idle("job-a"),
        idle("job-b"),
    ];
    let fleet = fleet(&apps, 4).await;
    let running = async || {
        let apps = fleet.status().await.apps;
        let running = apps.iter().filter(|app| app.state == "running");
        running.map(|app| app.name.clone()).collect::<Vec<_>>()
    };
    let told = fleet.ostler(["stop", "shop"]).success().await;
    for app in ["web", "api"] {
        let line = format!("{app}.0: worker ");
        assert!(told.stderr.contains(&line), "{told:#?}");
    }
    assert_eq!(running().await, ["job-a", "job-b"]);
    fleet.ostler(["stop", "job-*"]).success().await;
    assert_eq!(running().await, [""; 0]);
    fleet.ostler(["start", "web", "job-b"]).success().await;
    assert_eq!(running().await, ["job-b", "web"]);
    fleet.ostler(["start", "all"]).success().await;
    assert_eq!(running().await, ["api", "job-a", "job-b", "web"]);
    fleet.ostler(["scale", "job-?", "2"]).success().await;
    assert_eq!(fleet.status().await.workers.len(), 6);
    fleet
        .ostler(["ls"])
        .stdout_contains("namespace shop")
        .success()
        .await;
}

#[tokio::test]
async fn an_unknown_word_names_the_nearest() {
    let fleet = fleet(&[idle("frontend")], 1).await;
    for verb in [
        &["stop"][..],
        &["start"],
        &["restart"],
        &["reload"],
        &["delete"],
        &["reset"],
    ] {
        let told = fleet.ostler([verb, &["fronted"]].concat());
        told.stdout("")
            .stderr_contains("there is no app \"fronted\"; did you mean \"frontend\"?")
            .fails_with(4)
            .await;
    }
    let told = fleet.ostler(["signal", "fronted", "HUP"]);
    told.stderr_contains("did you mean").fails_with(4).await;
    let told = fleet.ostler(["scale", "fronted", "2"]);
    told.stderr_contains("did you mean").fails_with(4).await;
    for (args, why) in [
        (["reload", "frontend:0"], "replaced with all of their app"),
        (["delete", "frontend:0"], "deleted as a whole"),
        (["stop", "a.b"], "names no app"),
    ] {
        fleet.ostler(args).stderr_contains(why).fails_with(2).await;
    }
    fleet.ostler(["delete"]).fails_with(2).await;
    assert_eq!(fleet.status().await.apps[0].state, "running");
}

#[tokio::test]
async fn a_deleted_app_is_gone_until_the_file_is_taken_up_again() {
    let fleet = fleet(&[idle("web"), idle("api")], 2).await;
    let pid = pids(&fleet, "web").await[0];
    fleet.ostler(["delete", "web"]).success().await;
    assert!(!lives(pid));
    let names = async || {
        let apps = fleet.status().await.apps;
        apps.into_iter().map(|app| app.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["api"]);
    fleet.ostler(["start", "web"]).fails_with(4).await;
    fleet.ostler(["reload", "--config"]).success().await;
    assert_eq!(names().await, ["api", "web"]);
}

#[tokio::test]
async fn while_a_deleted_app_finishes_it_is_nobodys_to_command() {
    let app = App::new("web", [PROGRAMS.misbehave, "ignore-term"])
        .set("ready", "delay(0s)")
        .set("kill_ladder", serde_json::json!(["TERM:60s", "KILL"]));
    let fleet = fleet(&[app], 1).await;
    fleet.ostler(["delete", "web", "--no-wait"]).success().await;
    fleet
        .ostler(["start", "web"])
        .stderr_contains("web is being deleted: 1 of its workers")
        .fails_with(75)
        .await;
    fleet.ostler(["kill", "--no-wait"]).success().await;
    fleet
        .ostler(["reload"])
        .stderr_contains("the master is stopping: 1 worker still finishes")
        .fails_with(75)
        .await;
    fleet.ostler(["kill", "--force"]).success().await;
}

#[tokio::test]
async fn workers_that_are_let_go_of_outlive_their_app_and_the_master() {
    let script =
        "sleep 600 & echo $! > child; while :; do echo still here; sleep 0.05; date >> ticks; done";
    let app = App::new("web", ["sh", "-c", script]).set("ready", "delay(100ms)");
    let fleet = fleet(&[app], 1).await;
    let pid = pids(&fleet, "web").await[0];
    let child: u32 = lines_of(&fleet.dir().at("child"), 1).await[0]
        .parse()
        .expect("a number");
    let mut released = fleet
        .hear::<ostler_bus::vocab::commands::WorkerReleased>()
        .await;
    fleet
        .ostler(["delete", "web", "--keep-running"])
        .success()
        .await;
    assert_eq!(released.next().await.event.worker.pid, Some(pid));
    assert!(fleet.status().await.apps.is_empty());
    fleet.ostler(["kill"]).success().await;
    // What it prints is read by nobody, and it doesn't die of it.
    std::fs::remove_file(fleet.dir().at("ticks")).expect("it ticked");
    lines_of(&fleet.dir().at("ticks"), 5).await;
    assert!(lives(pid) && lives(child));
}

#[tokio::test]
async fn the_input_of_workers_that_are_let_go_of_does_not_end() {
    // What reads it prints nothing: that it reads is all that somebody stays for.
    let script = "exec > heard 2>&1; while read -r line; do echo \"$line\"; done";
    let app = App::new("web", ["sh", "-c", script])
        .set("ready", "delay(0s)")
        .set("stdin", "lines");
    let fleet = fleet(&[app], 1).await;
    let pid = pids(&fleet, "web").await[0];
    let input = format!("/proc/{pid}/fd/0");
    let pipe = std::fs::read_link(&input).expect("a pipe");
    fleet.ostler(["send", "web", "one"]).success().await;
    fleet
        .ostler(["delete", "web", "--keep-running"])
        .success()
        .await;
    fleet.ostler(["kill"]).success().await;
    let mut end = std::fs::File::options().write(true).open(input);
    let end = end.as_mut().expect("somebody reads");
    std::io::Write::write_all(end, b"two\n").expect("written");
    assert_eq!(lines_of(&fleet.dir().at("heard"), 2).await, ["one", "two"]);
    let holds = |pid: &u32| {
        let fd = |n| std::fs::read_link(format!("/proc/{pid}/fd/{n}"));
        (0..3).any(|n| fd(n).is_ok_and(|at| at == pipe))
    };
    let holders = || {
        fleet
            .descendants()
            .into_iter()
            .filter(holds)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        holders().len(),
        2,
        "the worker, and who keeps its input open"
    );
    // With the last that reads there, nobody stays.
    fleet.signal(pid.into(), rustix::process::Signal::TERM);
    eventually("nobody to be left", PATIENCE, || {
        holders().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn workers_that_are_let_go_of_keep_their_sockets() {
    let unix = idle("unix").set("listen", "unix:unix.sock");
    let fleet = fleet(&[idle("tcp").listening(), unix], 2).await;
    let address = fleet.address().await;
    let path = fleet.dir().at("unix.sock");
    for app in ["tcp", "unix"] {
        fleet
            .ostler(["delete", app, "--keep-running"])
            .success()
            .await;
    }
    assert!(fleet.status().await.apps.is_empty());
    fleet.ostler(["kill"]).success().await;
    std::net::TcpStream::connect(address).expect("somebody listens");
    std::os::unix::net::UnixStream::connect(path).expect("somebody listens");
}
