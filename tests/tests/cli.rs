//! The commands of `ostler` as a user types them, against real masters: what they print, where, and how they exit.

use std::{path::Path, time::Duration};

use ostler_bus::vocab::{
    control::AppReload,
    status::{StatusReport, WorkerStatus},
};
use ostler_tests::harness::{
    Cli, Exit, Fleet, Output, PATIENCE, PrivateDir, Process, Programs, Web,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A command in an empty home of its own.
fn alone(dir: &PrivateDir, args: &[&str]) -> Cli {
    let cli = Cli::new(PROGRAMS.ostler).env("OSTLER_HOME", dir.at("home"));
    cli.dir(dir.path()).args(args)
}

fn trivial(instances: u32) -> ostler_tests::harness::MasterBuilder {
    PROGRAMS.habit(instances, &["trivial"])
}

/// An app of workers that stop for nothing but KILL.
fn stubborn() -> String {
    let program = PROGRAMS.misbehave;
    format!(
        "[app.web]\ncommand = [{program:?}, \"ignore-term\"]\ninstances = 1\nkill_ladder = [\"TERM:60s\", \"KILL\"]\n"
    )
}

fn slots(workers: &[WorkerStatus]) -> Vec<u32> {
    workers.iter().map(|worker| worker.slot.0).collect()
}

async fn instances(fleet: &Fleet) -> u32 {
    fleet.status().await.apps[0].instances
}

#[tokio::test]
async fn run_with_a_command_serves() {
    let master = PROGRAMS
        .master()
        .args(["-n", "web", "-i", "2", "-l", "http=127.0.0.1:0"]);
    let version = master.dir().write("version.txt", "v7");
    let words = [Path::new(PROGRAMS.sdk_worker), &version];
    let fleet = Fleet::ready(master.command(words), 2).await;
    let told = fleet.get("web", "/").await;
    assert_eq!(
        (&told["app"], &told["version"]),
        (&json!("web"), &json!("v7"))
    );
    fleet.logged("master web, pid ").await;
}

#[tokio::test]
async fn run_with_a_file_serves_its_apps() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    for app in ["left", "right"] {
        assert_eq!(fleet.get(app, "/").await["app"], app);
    }
    // The default file, in the working directory.
    let master = PROGRAMS.master();
    let file = PROGRAMS.sdk_app("only", 1, master.dir().path());
    master.dir().write("ostler.toml", &file);
    let fleet = Fleet::ready(master, 1).await;
    assert_eq!(fleet.get("only", "/").await["slot"], 0);
    assert_eq!(fleet.status().await.master.title, "only");
}

#[tokio::test]
async fn instances_are_set_by_option() {
    let fleet = Fleet::ready(trivial(3), 3).await;
    assert_eq!(instances(&fleet).await, 3);
    let cores = std::thread::available_parallelism().unwrap().get();
    let auto = PROGRAMS
        .master()
        .args(["-i", "auto"])
        .command([PROGRAMS.misbehave, "trivial"]);
    Fleet::ready(auto, cores).await;
    // `auto` is the default.
    let master = PROGRAMS.master().command([PROGRAMS.misbehave, "trivial"]);
    Fleet::ready(master, cores).await;
}

#[tokio::test]
async fn names_come_from_the_option_or_the_command() {
    let master = PROGRAMS.master();
    let script = master.dir().write("my.server.sh", "exec sleep 60");
    let fleet = Fleet::start(
        master
            .instances(1)
            .command(["sh".as_ref(), script.as_os_str()]),
    )
    .await;
    let status = fleet.status().await;
    assert_eq!(
        (status.master.title.as_str(), status.apps[0].name.as_str()),
        ("my_server", "my_server")
    );
    let fleet = Fleet::start(trivial(1).args(["-M", "house"])).await;
    let status = fleet.status().await;
    assert_eq!(
        (status.master.title.as_str(), status.apps[0].name.as_str()),
        ("house", "web")
    );
    let file = "name = \"from-file\"\n".to_owned() + &stubborn();
    let fleet = Fleet::start(PROGRAMS.master().file(&file)).await;
    assert_eq!(fleet.status().await.master.title, "from-file");
}

#[tokio::test]
async fn ready_option_takes_every_mode() {
    let modes: [(&str, &[&str]); 3] = [
        ("auto", &["trivial"]),
        ("notify", &["notify", "10"]),
        ("delay(50ms)", &["trivial"]),
    ];
    for (mode, habit) in modes {
        let fleet = Fleet::ready(PROGRAMS.habit(1, habit).ready(mode), 1).await;
        assert_eq!(fleet.status().await.apps[0].readiness, mode);
    }
    let sdk = PROGRAMS.sdk(1);
    let file = PROGRAMS.sdk_app("web", 1, sdk.dir().path()) + "ready = \"sdk\"\n";
    Fleet::ready(sdk.file(&file), 1).await;
    let dir = PrivateDir::new();
    let wrong = alone(&dir, &["run", "--ready", "soon", "--", "true"]);
    wrong.stderr_contains("delay(2s)").fails_with(2).await;
}

#[tokio::test]
async fn ls_prints_a_table_and_json() {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let report = fleet
        .ostler(["ls", "--json"])
        .stderr_empty()
        .success()
        .await
        .json();
    assert_eq!(report["apps"][0]["instances"], 2);
    let table = fleet.ostler(["ls"]).stderr_empty().success().await.stdout;
    let header = table
        .lines()
        .find(|line| line.contains("PID"))
        .expect(&table)
        .to_lowercase();
    for column in [
        "slot", "id", "pid", "gen", "state", "age", "restarts", "memory",
    ] {
        assert!(header.contains(column), "{column}: {table}");
    }
    for worker in report["workers"].as_array().unwrap() {
        let pid = worker["pid"].to_string();
        let row = table
            .lines()
            .find(|line| line.split_whitespace().any(|word| word == pid));
        assert!(row.expect(&table).contains("ready"), "{table}");
    }
    let address = report["apps"][0]["sockets"][0]["address"].as_str().unwrap();
    assert!(table.contains(address) && table.contains("web"), "{table}");
    for alias in ["status", "list"] {
        let other = fleet.ostler([alias]).success().await.stdout;
        assert!(other.contains("web") && other.contains("ready"), "{other}");
    }
}

#[tokio::test]
async fn reload_waits_and_tells_each_step() {
    let fleet = Fleet::ready(PROGRAMS.sdk(3), 3).await;
    let before = fleet.status().await;
    let output = fleet
        .ostler(["reload", "--reason", "v2"])
        .stdout("")
        .success()
        .await;
    let steps: Vec<_> = output.stderr.lines().collect();
    assert!(steps.len() >= 4, "{output:#?}");
    for slot in ["web.0", "web.1", "web.2"] {
        assert!(output.stderr.contains(slot), "{output:#?}");
    }
    assert!(
        !output.stderr.contains('\u{1b}'),
        "no terminal, no escapes: {output:#?}"
    );
    fleet.logged("v2").await;
    let renewed = |s: &StatusReport| s.workers.iter().all(|w| w.generation.0 == 2 && w.current);
    let after = fleet.until("all workers to be new", renewed).await;
    assert_eq!(slots(&after.workers), slots(&before.workers));
    assert_eq!(after.master.pid, before.master.pid);
}

#[tokio::test]
async fn aborted_reload_exits_1_with_the_reason() {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let before = fleet.status().await;
    fleet.dir().write("fail", "exit");
    let reload = fleet.ostler(["reload"]).stdout("");
    let output = reload
        .stderr_contains("this version can't start")
        .fails_with(1)
        .await;
    assert!(output.stderr.contains("error: "), "{output:#?}");
    let last = |s: &StatusReport| {
        s.apps[0]
            .last_update
            .as_ref()
            .is_some_and(|l| l.contains("given up"))
    };
    let after = fleet.until("the aborted update in the status", last).await;
    let pids = |s: &StatusReport| s.workers.iter().map(|w| w.pid).collect::<Vec<_>>();
    assert_eq!(pids(&after), pids(&before));
    fleet.dir().write("fail", "");
    fleet.ostler(["reload"]).success().await;
}

#[tokio::test]
async fn reload_without_waiting_returns_at_once() {
    let master = PROGRAMS.master();
    let file = PROGRAMS.sdk_app("web", 1, master.dir().path()) + "canary_healthy = \"60s\"\n";
    let fleet = Fleet::ready(master.file(&file), 1).await;
    let output = fleet.ostler(["reload", "--no-wait"]).success().await;
    let printed = format!("{}{}", output.stdout, output.stderr);
    assert!(
        printed.contains(|c: char| c.is_ascii_digit()),
        "the operation: {output:#?}"
    );
    fleet
        .until("the update", |s| s.apps[0].state == "updating")
        .await;
    fleet.ostler(["stop"]).success().await;
}

#[tokio::test]
async fn scale_takes_a_number_more_or_fewer() {
    let fleet = Fleet::ready(trivial(1).ready("delay(0)"), 1).await;
    let steps: [(&[&str], usize); 6] = [
        (&["scale", "3"], 3),
        (&["scale", "web", "+1"], 4),
        (&["scale", "-2"], 2),
        (&["scale", "web", "-9"], 0),
        (&["scale", "2"], 2),
        (&["scale", "0"], 0),
    ];
    let mut resized = fleet.hear_raw("app.resized").await;
    for (args, size) in steps {
        fleet.ostler(args).success().await;
        assert_eq!(fleet.until_ready(size).await.len(), size, "{args:?}");
        let event: Value =
            serde_json::from_str(&resized.next().await.event.to_json().unwrap()).unwrap();
        assert_eq!(event["to"], size, "{event}");
    }
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    let output = fleet.ostler(["scale", "2"]).fails_with(2).await;
    assert!(
        output.stderr.contains("left") && output.stderr.contains("right"),
        "{output:#?}"
    );
    fleet.ostler(["scale", "left", "2"]).success().await;
    fleet.until_ready(3).await;
}

#[tokio::test]
async fn scale_to_nonsense_is_refused() {
    let fleet = Fleet::ready(trivial(1), 1).await;
    for size in ["x", "1000000000", "+", "1.5", "--", "-x"] {
        let output = fleet
            .ostler(["scale", "--", "web", size])
            .fails_with(2)
            .await;
        assert!(output.stderr.contains("error:"), "{output:#?}");
    }
    assert_eq!(instances(&fleet).await, 1);
}

#[tokio::test]
async fn scale_down_drains_the_highest_slots() {
    let fleet = Fleet::ready(PROGRAMS.sdk(4), 4).await;
    let before = fleet.status().await.workers;
    fleet.ostler(["scale", "2"]).success().await;
    let left = fleet.until_ready(2).await;
    assert_eq!(slots(&left), [0, 1]);
    assert_eq!((left[0].id, left[1].id), (before[0].id, before[1].id));
    fleet.ostler(["scale", "3"]).success().await;
    assert_eq!(slots(&fleet.until_ready(3).await), [0, 1, 2]);
}

#[tokio::test]
async fn stop_ends_the_workers_and_keeps_the_master() {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let address = fleet.address().await;
    fleet.ostler(["stop"]).success().await;
    fleet
        .until("no worker", |s| s.workers.iter().all(|w| w.pid.is_none()))
        .await;
    let status = fleet.status().await;
    assert_eq!(status.apps[0].state, "stopped");
    fleet.ostler(["ping"]).success().await;
    // The socket is held: who connects now is served by the next worker.
    let waiting = tokio::spawn(async move { Web::get(address, "/").await });
    fleet.ostler(["start", "web"]).success().await;
    assert_eq!(waiting.await.unwrap()["app"], "web");
}

#[tokio::test]
async fn kill_waits_until_the_master_is_gone() {
    let mut fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let socket = fleet.socket();
    fleet.ostler(["kill"]).success().await;
    // Not a moment later: the command waited for it.
    assert_eq!(fleet.process.exit(), Some(Exit::Code(0)));
    fleet.assert_nothing_left().await;
    assert!(!socket.exists(), "{socket:?}");
    fleet.wait_for_log("ended").await;
    fleet.ostler(["ping"]).fails_with(3).await;
    let mut again = fleet
        .ostler(["run", "-n", "web", "-i", "0", "--", "true"])
        .start();
    again.stderr.wait_for_line("master web", PATIENCE).await;
}

#[tokio::test]
async fn kill_by_force_ends_a_stubborn_worker() {
    let fleet = Fleet::ready(PROGRAMS.master().file(&stubborn()), 1).await;
    let began = std::time::Instant::now();
    fleet.ostler(["kill", "--force"]).success().await;
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    fleet.process.wait(PATIENCE).await;
    fleet.assert_nothing_left().await;
}

#[tokio::test]
async fn ping_tells_whether_the_master_answers() {
    let fleet = Fleet::start(trivial(0)).await;
    let pong = fleet.ostler(["ping", "--json"]).success().await.json();
    assert_eq!(
        (&pong["master"], &pong["pid"]),
        (&json!("web"), &json!(fleet.process.id()))
    );
    fleet
        .ostler(["ping"])
        .stdout_contains("web")
        .success()
        .await;
    fleet.process.signal(Signal::STOP);
    let output = fleet.ostler(["ping"]).run().await;
    fleet.process.signal(Signal::CONT);
    assert_eq!(output.exit, Exit::Code(1), "{output:#?}");
    assert!(output.stderr.contains("SIGSTOP"), "{output:#?}");
    fleet.ostler(["ping"]).success().await;
}

#[tokio::test]
async fn emitted_event_reaches_a_tail() {
    let fleet = Fleet::start(trivial(0)).await;
    let mut tail = fleet.tail().await;
    let payload = "{\"text\":\"look here\"}";
    fleet
        .ostler(["emit", "note", payload])
        .stdout("")
        .success()
        .await;
    let event = tail.wait_for("note", PATIENCE, |_| true).await;
    assert_eq!(event["payload"]["text"], "look here");
    assert_eq!(event["origin"]["Client"]["name"], "cli");
}

#[tokio::test]
async fn emit_waits_for_a_pattern() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let emit = fleet.ostler(["emit", "workerRestartNeeded", "--wait", "update.finished"]);
    let event = emit.success().await.json();
    assert_eq!(
        (&event["topic"], &event["payload"]["app"]),
        (&json!("update.finished"), &json!("web"))
    );
    let late = fleet.ostler(["emit", "note", "--wait", "nothing.*", "--timeout", "200ms"]);
    late.stdout("")
        .stderr_contains("nothing.*")
        .fails_with(1)
        .await;
}

#[tokio::test]
async fn request_prints_the_reply() {
    let fleet = Fleet::start(trivial(0)).await;
    let reply = fleet
        .ostler(["request", "masterStatus"])
        .stderr_empty()
        .success()
        .await;
    assert_eq!(reply.json()["apps"][0]["name"], "web");
    let scale = [
        "request",
        "app.scale",
        "{\"app\":\"nobody\",\"to\":{\"More\":1}}",
    ];
    let refused = fleet.ostler(scale).success().await.json();
    assert_eq!(refused["Refused"]["kind"], "UnknownName");
    let denied = fleet.ostler(["request", "_sys.worker.ready"]).stdout("");
    denied
        .stderr_contains("only workers report")
        .fails_with(1)
        .await;
    let misfit = fleet
        .ostler(["request", "app.scale", "{\"app\":1}"])
        .stdout("");
    misfit.stderr_contains("app").fails_with(1).await;
}

#[tokio::test]
async fn tail_prints_one_json_object_per_line() {
    let fleet = Fleet::start(trivial(0)).await;
    let mut all = fleet.tail().await;
    let some = fleet.ostler(["tail", "orders.*"]).start();
    let stands = async { while fleet.bus.json("orders.probe", &()).acked().await != Ok(2) {} };
    ostler_tests::harness::deadline("both tails", PATIENCE, stands).await;
    for topic in ["orders.new", "other", "orders.new.too", "orders.last"] {
        fleet.bus.emit_json(topic, &"a\nb").await.unwrap();
    }
    all.wait_for("orders.last", PATIENCE, |_| true).await;
    some.stdout
        .clone()
        .wait_for_line("orders.last", PATIENCE)
        .await;
    let lines = some.stdout.all();
    let events: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let topics: Vec<_> = events
        .iter()
        .map(|event| event["topic"].as_str().unwrap())
        .collect();
    let last = ["orders.new", "orders.last"];
    assert!(
        topics.ends_with(&last)
            && topics[..topics.len() - 2]
                .iter()
                .all(|t| *t == "orders.probe")
    );
    assert_eq!(events.last().unwrap()["payload"], "a\nb");
    some.signal(Signal::INT);
    assert_eq!(some.wait(PATIENCE).await, Exit::Code(0));
}

/// A reader that closes the pipe ends the tail quietly, though no event makes it write.
#[tokio::test]
async fn tail_ends_with_its_reader() {
    let fleet = Fleet::start(trivial(0)).await;
    let script = format!("{} tail '>' | head -n 1", PROGRAMS.ostler);
    let tail = Cli::new("bash").args(["-c", "set -o pipefail; eval \"$0\"", &script]);
    let tail = tail.env("OSTLER_HOME", fleet.home()).start();
    let heard = async {
        while tail.exit().is_none() {
            fleet.bus.emit_json("x", &1).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    ostler_tests::harness::deadline("the pipeline's end", PATIENCE, heard).await;
    assert_eq!(
        (tail.exit(), tail.stderr.text().as_str()),
        (Some(Exit::Code(0)), "")
    );
}

#[tokio::test]
async fn tail_ends_with_its_master() {
    let fleet = Fleet::start(trivial(0)).await;
    let tail = fleet.ostler(["tail", "x"]).start();
    let stands = async { while fleet.bus.json("x", &()).acked().await != Ok(1) {} };
    ostler_tests::harness::deadline("the tail", PATIENCE, stands).await;
    fleet.ostler(["kill"]).success().await;
    assert_eq!(tail.wait(PATIENCE).await, Exit::Code(1));
    assert!(
        tail.stderr.text().contains("master has stopped"),
        "{}",
        tail.output()
    );
}

#[tokio::test]
async fn wait_returns_the_first_match() {
    let fleet = Fleet::start(trivial(0)).await;
    let wait = fleet.ostler(["wait", "a.*", "--timeout", "20s"]).start();
    let stands = async {
        while fleet.bus.json("b", &0).acked().await.is_ok()
            && fleet.bus.json("a.b", &7).acked().await != Ok(1)
        {}
    };
    ostler_tests::harness::deadline("the wait", PATIENCE, stands).await;
    assert_eq!(wait.wait(PATIENCE).await, Exit::Code(0));
    let event: Value = serde_json::from_str(wait.stdout.text().trim()).unwrap();
    assert_eq!(
        (&event["topic"], &event["payload"]),
        (&json!("a.b"), &json!(7))
    );
    let late = fleet
        .ostler(["wait", "a.*", "--timeout", "200ms"])
        .stdout("");
    late.stderr_contains("200ms").fails_with(1).await;
}

/// Another master in the same home.
async fn beside(fleet: &Fleet, name: &str) -> Process {
    let args = ["run", "-n", name, "-i", "0", "--", "true"];
    let mut process = fleet.ostler(args).start();
    process.stderr.wait_for_line("master ", PATIENCE).await;
    process
}

#[tokio::test]
async fn masters_are_told_apart_by_name() {
    let fleet = Fleet::start(trivial(0)).await;
    let other = beside(&fleet, "shop").await;
    let listed = fleet.ostler(["ls"]).stdout("").fails_with(2).await;
    let expected = format!("shop (pid {})", other.id());
    assert!(
        listed.stderr.contains(&expected) && listed.stderr.contains("web (pid"),
        "{listed:#?}"
    );
    assert!(listed.stderr.contains("hint: add -M "), "{listed:#?}");
    for (name, pid) in [("web", fleet.process.id()), ("shop", other.id())] {
        let report = fleet
            .ostler(["-M", name, "ls", "--json"])
            .success()
            .await
            .json();
        assert_eq!(
            (&report["master"]["title"], &report["master"]["pid"]),
            (&json!(name), &json!(pid))
        );
    }
    let unknown = fleet.ostler(["ls", "-M", "nobody"]).fails_with(3).await;
    assert!(
        unknown.stderr.contains("web") && unknown.stderr.contains("shop"),
        "{unknown:#?}"
    );
    fleet.ostler(["kill", "-M", "shop"]).success().await;
    assert_eq!(
        fleet.ostler(["ls", "--json"]).success().await.json()["master"]["title"],
        "web"
    );
}

/// Every verb that needs a master, with arguments that are right.
const VERBS: [&[&str]; 11] = [
    &["ls"],
    &["status", "--json"],
    &["reload"],
    &["scale", "2"],
    &["stop"],
    &["start"],
    &["kill"],
    &["ping"],
    &["emit", "a"],
    &["tail"],
    &["wait", "a"],
];

#[tokio::test]
async fn without_a_master_commands_exit_3() {
    let dir = PrivateDir::new();
    for verb in VERBS.iter().chain(&[&["request", "a"] as &[&str]]) {
        let output = alone(&dir, verb).stdout("").fails_with(3).await;
        assert!(
            output.stderr.contains("no master is running"),
            "{verb:?}: {output:#?}"
        );
        assert!(
            output.stderr.contains("hint: start one with `ostler run`"),
            "{output:#?}"
        );
    }
    assert!(!dir.at("home").exists(), "asking makes nothing");
}

#[tokio::test]
async fn unknown_app_exits_4() {
    let fleet = Fleet::start(trivial(0)).await;
    for verb in [
        &["reload", "nobody"] as &[&str],
        &["scale", "nobody", "2"],
        &["stop", "nobody"],
        &["start", "nobody"],
    ] {
        let output = fleet.ostler(verb).stdout("").fails_with(4).await;
        assert!(
            output.stderr.contains("nobody") && output.stderr.contains("web"),
            "{output:#?}"
        );
    }
}

#[tokio::test]
async fn exit_codes_are_as_documented() {
    let dir = PrivateDir::new();
    dir.write("bad.toml", "[app.web]\ncolour = 1\n");
    let fleet = Fleet::start(trivial(0)).await;
    let bad = dir.at("bad.toml");
    alone(&dir, &["run", bad.to_str().unwrap()])
        .fails_with(78)
        .await;
    alone(&dir, &["scale"]).fails_with(2).await;
    alone(&dir, &["nonsense"]).fails_with(2).await;
    alone(&dir, &["ping"]).fails_with(3).await;
    fleet.ostler(["ping"]).success().await;
    fleet
        .ostler(["wait", "x", "--timeout", "10ms"])
        .fails_with(1)
        .await;
    fleet.ostler(["stop", "nobody"]).fails_with(4).await;
    let second = fleet.ostler(["run", "-n", "web", "--", "true"]);
    second
        .stderr_contains("already running")
        .fails_with(75)
        .await;
    let help = alone(&dir, &["--help"]).success().await.stdout;
    for code in [
        "0 done",
        "1 failed",
        "2 usage",
        "3 not running",
        "4 unknown name",
        "75 busy",
        "78 bad",
    ] {
        assert!(help.contains(code), "{code}: {help}");
    }
}

/// The verbs that the top-level help lists.
async fn verbs(dir: &PrivateDir) -> Vec<String> {
    let help = alone(dir, &["--help"]).success().await.stdout;
    let list = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap()
        .to_owned();
    let names = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn help_teaches_by_example() {
    let dir = PrivateDir::new();
    let verbs = verbs(&dir).await;
    assert!(verbs.len() >= 13, "{verbs:?}");
    for verb in verbs {
        let help = alone(&dir, &[&verb, "--help"]).success().await.stdout;
        let example = format!("  ostler {verb}");
        assert!(
            help.contains("Examples:") && help.contains(&example),
            "{help}"
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
    let none = alone(&dir, &[]).fails_with(2).await;
    assert!(none.stderr.contains("Examples:"), "{none:#?}");
}

#[tokio::test]
async fn help_lists_only_what_exists() {
    let dir = PrivateDir::new();
    let verbs = verbs(&dir).await;
    for (verb, args) in VERBS.iter().map(|words| (words[0], &words[1..])) {
        assert!(
            verbs.iter().any(|known| known == verb) || verb == "status",
            "{verb} {args:?}"
        );
    }
    for later in [
        "restart", "delete", "describe", "logs", "upgrade", "repl", "__exec",
    ] {
        assert!(!verbs.iter().any(|known| known == later), "{later}");
        alone(&dir, &[later, "--help"]).run().await;
    }
}

#[tokio::test]
async fn version_is_printed_and_in_the_status() {
    let fleet = Fleet::start(trivial(0)).await;
    let version = env!("CARGO_PKG_VERSION");
    fleet
        .ostler(["--version"])
        .stdout(format!("ostler {version}\n"))
        .success()
        .await;
    assert_eq!(fleet.status().await.master.version, version);
    fleet.logged(format!("ostler {version}")).await;
}

#[tokio::test]
async fn log_is_human_or_json() {
    let human = Fleet::ready(trivial(1), 1).await;
    let line = human.logged("web.0 started").await;
    assert!(
        serde_json::from_str::<Value>(&line).is_err() && !line.contains('\u{1b}'),
        "{line:?}"
    );
    human.said("web.0 | ready").await;
    let mut json = Fleet::ready(trivial(1).arg("--log-format=json"), 1).await;
    json.said("\"line\":\"ready\"").await;
    json.end(Signal::TERM).await;
    for line in [json.process.stdout.all(), json.process.stderr.all()].concat() {
        let value = serde_json::from_str::<Value>(&line);
        assert!(value.is_ok_and(|value| value.is_object()), "{line}");
    }
}

#[tokio::test]
async fn log_level_is_chosen_by_the_filter() {
    let off = trivial(1).env("OSTLER_LOG", "off");
    let file = off.dir().at("given.json");
    let words = [
        PROGRAMS.misbehave.as_ref(),
        "print-env".as_ref(),
        file.as_os_str(),
    ];
    let off = Fleet::ready(off.command(words), 1).await;
    assert_eq!(off.process.stderr.text(), "");
    off.said("web.0 | ready").await;
    let given: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(
        given["env"].get("OSTLER_LOG").is_none(),
        "the master's own: {given}"
    );
    let debug = Fleet::start(trivial(0).env("OSTLER_LOG", "debug")).await;
    debug.logged("DEBUG").await;
    let info = Fleet::start(trivial(0)).await;
    info.logged("INFO").await;
    assert!(!info.process.stderr.text().contains("DEBUG"));
}

fn told(output: &Output) {
    let lines: Vec<_> = output.stderr.lines().collect();
    assert!(lines[0].starts_with("error: "), "{output:#?}");
    let hint = lines
        .iter()
        .position(|line| line.starts_with("hint: "))
        .expect(&output.stderr);
    assert_eq!(lines[hint - 1], "", "{output:#?}");
    assert_eq!(output.stdout, "");
}

#[tokio::test]
async fn errors_have_cause_and_hint() {
    let dir = PrivateDir::new();
    told(&alone(&dir, &["ls"]).run().await);
    told(
        &alone(&dir, &["run", "--", "no-such-program-here"])
            .run()
            .await,
    );
    dir.write("home", "a file");
    let output = alone(&dir, &["run", "--", "true"]).run().await;
    told(&output);
    let fleet = Fleet::start(trivial(0)).await;
    fleet.process.signal(Signal::STOP);
    let output = fleet.ostler(["ls"]).run().await;
    fleet.process.signal(Signal::CONT);
    told(&output);
}

#[tokio::test]
async fn commands_from_a_program_are_those_of_the_command_line() {
    let fleet = Fleet::ready(trivial(1), 1).await;
    let ask = AppReload {
        app: Some("nobody".into()),
        reason: None,
        now: false,
    };
    let answer = fleet.bus.request(&ask).await.unwrap();
    let reply = fleet.ostler([
        "request",
        "app.reload",
        "{\"app\":\"nobody\",\"reason\":null,\"now\":false}",
    ]);
    assert_eq!(reply.success().await.json(), json!(answer));
}

#[tokio::test]
async fn reasons_of_others_stay_on_one_line_of_the_log() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let hostile = "tidy\u{1b}[2J\n2026 ERROR forged \u{202e}";
    fleet
        .ostler(["reload", "--reason", hostile])
        .success()
        .await;
    let wish = json!({ "reason": hostile }).to_string();
    fleet
        .ostler(["emit", "systemRestartNeeded", &wish])
        .success()
        .await;
    for begin in ["began: ", "needs a restart: "] {
        let line = fleet.logged(begin).await;
        assert!(
            line.contains("tidy") && line.contains("ERROR forged"),
            "{line:?}"
        );
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line:?}");
    }
    let shown = fleet.ostler(["ls"]).success().await.stdout;
    assert!(
        shown.contains("tidy") || shown.contains("system restart needed"),
        "{shown}"
    );
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
}

#[tokio::test]
async fn master_that_cannot_start_makes_nothing() {
    let dir = PrivateDir::new();
    let output = alone(&dir, &["run", "--", "./nothing-here"])
        .fails_with(2)
        .await;
    assert!(output.stderr.contains("nothing-here"), "{output:#?}");
    assert!(!dir.at("home").exists());
}
