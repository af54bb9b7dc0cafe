//! What is wrong is told with what to do about it, leaves nothing behind, and touches nobody who does well.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ostler_bus::{
    client::{ConnectOptions, Delivery},
    vocab::{
        status::StatusReport,
        worker::{ExitStatus, WorkerExited},
    },
};
use ostler_tests::{
    harness::{
        Cli, Exit, Fleet, Guest, Mark, Output, PATIENCE, PrivateDir, Process, Programs, Web,
        eventually,
        peer::{Peer, frame, hello, kind},
    },
    words::{Double, Note},
};
use rustix::process::Signal;
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A command in a home of its own, started in a directory of its own.
struct Alone {
    dir: PrivateDir,
}

impl Alone {
    fn new() -> Self {
        let dir = PrivateDir::new();
        Self { dir }
    }

    fn ostler(&self, args: &[&str]) -> Cli {
        let cli = Cli::new(PROGRAMS.ostler).env("OSTLER_HOME", self.dir.at("home"));
        let mark = Mark::new(self.dir.path());
        cli.env(Mark::VARIABLE, mark.value())
            .dir(self.dir.path())
            .args(args)
    }

    /// Runs it; it must fail with this code, say these words and what to do, and leave nothing.
    async fn fails(&self, args: &[&str], code: i32, words: &[&str]) -> Output {
        let output = self.ostler(args).fails_with(code).await;
        told(&output, words);
        self.nothing_is_left();
        output
    }

    fn nothing_is_left(&self) {
        let processes = Mark::new(self.dir.path()).processes();
        assert_eq!(processes, Vec::<u32>::new());
        let mut found = Vec::new();
        walk(&self.dir.at("home"), &mut found);
        let socket = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "sock");
        assert!(!found.iter().any(socket), "{found:?}");
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        found.push(entry.path());
        walk(&entry.path(), found);
    }
}

fn told(output: &Output, words: &[&str]) {
    assert!(output.stderr.starts_with("error: "), "{output:#?}");
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?}: {output:#?}");
    }
    assert_eq!(output.stdout, "", "{output:#?}");
}

/// A fleet that does well, to see that it goes on doing so.
async fn well() -> (Fleet, Vec<Option<u32>>) {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let pids = fleet.status().await.workers.iter().map(|w| w.pid).collect();
    (fleet, pids)
}

async fn still_well(fleet: &Fleet, pids: &[Option<u32>]) {
    let now = fleet.until_ready(pids.len()).await;
    assert_eq!(now.iter().map(|w| w.pid).collect::<Vec<_>>(), pids);
    assert!(fleet.get("web", "/note/well").await["ok"].is_u64());
}

#[tokio::test]
async fn unknown_command_is_named_with_its_neighbour() {
    let output = Alone::new()
        .ostler(&["relaod"])
        .stdout("")
        .fails_with(2)
        .await;
    assert!(
        output.stderr.contains("relaod") && output.stderr.contains("'reload'"),
        "{output:#?}"
    );
    let output = Alone::new()
        .ostler(&["run", "--instance", "2"])
        .fails_with(2)
        .await;
    assert!(output.stderr.contains("--instances"), "{output:#?}");
}

#[tokio::test]
async fn command_that_does_not_exist_is_reported() {
    let alone = Alone::new();
    alone
        .fails(
            &["run", "--", "no-such-program"],
            2,
            &["no-such-program", "hint: check its spelling"],
        )
        .await;
    alone
        .fails(&["run", "--", "./no/such"], 2, &["no/such", "hint: "])
        .await;
    alone
        .fails(
            &["run", "node", "server.js"],
            2,
            &["hint: to run a command, put `--` before it"],
        )
        .await;
    alone
        .fails(
            &["run", "--"],
            78,
            &["ostler.toml", "run a command without a file"],
        )
        .await;
}

#[tokio::test]
async fn command_that_cannot_be_run_is_reported() {
    let alone = Alone::new();
    alone.dir.write("text", "just text");
    alone.dir.make("folder");
    alone
        .fails(&["run", "--", "./text"], 2, &["text", "hint: ", "chmod +x"])
        .await;
    alone
        .fails(
            &["run", "--", "./folder"],
            2,
            &["folder", "directory", "hint: "],
        )
        .await;
    let script = alone.dir.write("script", "#!/no/such/interpreter\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    alone
        .fails(
            &["run", "--", "./script"],
            2,
            &["/no/such/interpreter", "hint: "],
        )
        .await;
}

#[tokio::test]
async fn command_that_vanishes_later_aborts_the_update() {
    let master = PROGRAMS.master().name("web").instances(2);
    let program = master.dir().at("worker");
    ostler_tests::harness::copy_program(PROGRAMS.misbehave, &program);
    let fleet = Fleet::ready(master.command([program.as_os_str(), "trivial".as_ref()]), 2).await;
    let before = fleet.until_ready(2).await;
    std::fs::remove_file(&program).unwrap();
    let reload = fleet.ostler(["reload"]).stderr_contains("No such file");
    reload
        .stderr_contains(program.to_str().unwrap())
        .fails_with(1)
        .await;
    let after = fleet.until_ready(2).await;
    assert_eq!((after[0].pid, after[1].pid), (before[0].pid, before[1].pid));
}

#[tokio::test]
async fn working_directory_that_is_missing_is_reported() {
    let alone = Alone::new();
    alone.dir.write(
        "ostler.toml",
        "[app.web]\ncommand = \"sleep 60\"\ncwd = \"gone\"\n",
    );
    alone
        .fails(&["run"], 2, &["gone", "does not exist", "hint: create it"])
        .await;
}

#[tokio::test]
async fn address_in_use_is_reported_and_nothing_starts() {
    let (fleet, pids) = well().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let alone = Alone::new();
    let run = ["run", "-l", &address, "--", PROGRAMS.misbehave, "trivial"];
    let began = std::time::Instant::now();
    let pid = format!("{}", std::process::id());
    let output = alone
        .fails(&run, 1, &[&address, "in use", &pid, "hint: "])
        .await;
    assert!(began.elapsed() < Duration::from_secs(10), "no retry");
    assert!(!output.stderr.contains("started"), "{output:#?}");
    // The other master's, too.
    let theirs = fleet.address().await.to_string();
    let master = fleet.process.id().to_string();
    let run = ["run", "-l", &theirs, "--", PROGRAMS.misbehave, "trivial"];
    alone.fails(&run, 1, &[&theirs, &master, "hint: "]).await;
    still_well(&fleet, &pids).await;
}

#[tokio::test]
async fn privileged_port_is_reported_with_what_to_do() {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim().parse::<u32>().unwrap() < 2 {
        return eprintln!("not run: this machine has no privileged ports");
    }
    let guest = Guest::new(PROGRAMS.ostler);
    let run = ["run", "-l", "127.0.0.1:1", "--", "sleep", "60"];
    let output = guest.ostler(&run).fails_with(1).await;
    told(
        &output,
        &[
            "127.0.0.1:1",
            "reserved for root",
            "hint: use a port from 1024 on",
            "setcap",
        ],
    );
}

#[tokio::test]
async fn unusable_address_is_reported() {
    let alone = Alone::new();
    let long = format!("unix:/tmp/{}", "x".repeat(120));
    let folder = format!("unix:{}", alone.dir.at("gone/web.sock").display());
    let text = format!("unix:{}", alone.dir.write("text", "").display());
    let cases: [(&str, i32, &str); 7] = [
        ("127.0.0.1:99999", 2, "99999"),
        ("no.such.name.invalid:80", 2, "no.such.name.invalid"),
        ("127.0.0.1", 2, "port"),
        ("192.0.2.1:18080", 1, "no such address"),
        (&long, 2, "107"),
        (&folder, 1, "its directory is not there"),
        (&text, 1, "no socket is in the way"),
    ];
    for (address, code, word) in cases {
        let run = ["run", "-l", address, "--", "sleep", "60"];
        alone.fails(&run, code, &[word, "hint: "]).await;
    }
    assert!(alone.dir.at("text").exists());
}

const BAD: &str = "\
name = \"shop\"
colour = \"red\"

[app.web]
command = 7
instances = \"many\"
start_timeout = \"soon\"
comand = [\"x\"]

[app.api]
listen = \"127.0.0.1:18001\"

[app.\"bad name\"]
command = \"sleep 1\"
listen = \"127.0.0.1:18001\"
";

#[tokio::test]
async fn bad_file_lists_every_error_with_its_line() {
    let alone = Alone::new();
    alone.dir.write("shop.toml", BAD);
    let places = ["2:1", "5:11", "6:13", "7:17", "8:1", "10:", "13:"];
    let output = alone
        .fails(&["run", "shop.toml"], 78, &places.map(|p| p))
        .await;
    for place in places {
        assert!(
            output.stderr.contains(&format!("shop.toml:{place}")),
            "{place}: {output:#?}"
        );
    }
    for word in [
        "colour",
        "app.web.command",
        "\"many\"",
        "\"soon\"",
        "comand",
        "no command",
        "bad name",
        "already declared",
    ] {
        assert!(output.stderr.contains(word), "{word}: {output:#?}");
    }
    assert!(output.stderr.contains("command"), "the neighbour of comand");
    alone.dir.write("not.toml", "[app.web\ncommand = \n");
    alone
        .fails(&["run", "not.toml"], 78, &["not.toml:1:"])
        .await;
    std::fs::write(
        alone.dir.at("bytes.toml"),
        b"[app.web]\ncommand = \"\xff\"\n",
    )
    .unwrap();
    alone
        .fails(&["run", "bytes.toml"], 78, &["bytes.toml:2:12", "UTF-8"])
        .await;
    alone
        .fails(&["run", "gone.toml"], 78, &["gone.toml", "No such file"])
        .await;
    alone.dir.make("folder.toml");
    alone
        .fails(
            &["run", "folder.toml"],
            78,
            &["folder.toml", "name a file in it"],
        )
        .await;
    let guest = Guest::new(PROGRAMS.ostler);
    let secret = guest
        .dir()
        .write("secret.toml", "[app.web]\ncommand = \"sleep 1\"\n");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
    told(
        &guest.ostler(&["run", "secret.toml"]).fails_with(78).await,
        &["secret.toml", "make it readable"],
    );
}

#[tokio::test]
async fn worker_that_exits_before_ready_is_told_with_its_last_lines() {
    let file = format!(
        "[app.web]\ncommand = [{:?}, \"readers\"]\ninstances = 1\nready = \"notify\"\n\
         backoff = {{ first = \"20s\", max = \"20s\" }}\n",
        PROGRAMS.misbehave
    );
    let fleet = Fleet::start(PROGRAMS.master().file(&file)).await;
    fleet.logged("web.0 exited with code 3").await;
    fleet.logged("web.0 ! can't open the book").await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    fleet.ostler(["start"]).run().await;
    fleet.ostler(["reload"]).run().await;
    let exit = exits.next().await.event;
    assert_eq!(
        (exit.status, exit.was_ready, exit.voluntary),
        (ExitStatus::Code(3), false, false)
    );
    assert_eq!(exit.stderr_tail, ["can't open the book", "giving up"]);
    let told = |s: &StatusReport| {
        s.workers
            .iter()
            .any(|w| w.last_exit.as_ref().is_some_and(|e| e.contains("code 3")))
    };
    fleet.until("the last exit in the status", told).await;
}

#[tokio::test]
async fn second_master_of_a_name_is_refused() {
    let (fleet, pids) = well().await;
    let second = fleet.ostler(["run", "-n", "web", "--", "sleep", "60"]);
    let output = second.fails_with(75).await;
    let pid = fleet.process.id().to_string();
    told(&output, &["web", "already running", &pid, "hint: ", "-M"]);
    still_well(&fleet, &pids).await;
}

/// Of several that start at once exactly one wins, and the others say so.
#[tokio::test]
async fn race_of_masters_has_one_winner() {
    let alone = Alone::new();
    let run = ["run", "-n", "race", "-i", "0", "--", "sleep", "60"];
    let mut all: Vec<Process> = (0..8).map(|_| alone.ostler(&run).start()).collect();
    let losers = || (all.iter().filter(|p| p.exit().is_some()).count() == 7).then_some(());
    eventually("seven to give up", PATIENCE, losers).await;
    let (winners, losers): (Vec<_>, Vec<_>) = all.iter_mut().partition(|p| p.exit().is_none());
    for loser in losers {
        assert_eq!(loser.exit(), Some(Exit::Code(75)), "{}", loser.output());
    }
    let ping = alone.ostler(&["ping", "--json"]).success().await.json();
    assert_eq!(ping["pid"], winners[0].id());
}

#[tokio::test]
async fn stale_socket_of_a_dead_master_is_replaced() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    fleet.process.signal(Signal::KILL);
    fleet.process.wait(PATIENCE).await;
    assert!(fleet.socket().exists());
    fleet
        .ostler(["ls"])
        .stderr_contains("no master is running")
        .fails_with(3)
        .await;
    let mut again = fleet
        .ostler(["run", "-n", "web", "-i", "0", "--", "sleep", "60"])
        .start();
    again.stderr.wait_for_line("master web", PATIENCE).await;
    let ping = fleet.ostler(["ping", "--json"]).success().await.json();
    assert_eq!(ping["pid"], again.id());
}

#[tokio::test]
async fn client_of_another_uid_is_refused() {
    let guest = Guest::new(PROGRAMS.ostler);
    if !guest.is_another() {
        return eprintln!("not run: only root can be another user");
    }
    let (fleet, pids) = well().await;
    let ls = |fleet: &Fleet| {
        guest
            .ostler(&["-M", "web", "ls"])
            .env("OSTLER_HOME", fleet.home())
    };
    let output = ls(&fleet).run().await;
    assert!(
        output.stderr.starts_with("error: ") && output.stderr.contains("hint: "),
        "{output:#?}"
    );
    assert!(
        output.exit != Exit::Code(0) && output.stdout.is_empty(),
        "{output:#?}"
    );
    // Even where somebody has opened the way to the socket.
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    for dir in [
        fleet.dir().path(),
        &fleet.home(),
        fleet.socket().parent().unwrap(),
    ] {
        open(dir, 0o711);
    }
    open(&fleet.socket(), 0o777);
    let socket = fleet.socket();
    let hear = guest.program(PROGRAMS.misbehave, &["hear", socket.to_str().unwrap()]);
    hear.stdout_contains("uid 65534 may not connect")
        .success()
        .await;
    let denied = fleet.logged("turned away from the bus").await;
    assert!(denied.contains("uid 65534"), "{denied}");
    still_well(&fleet, &pids).await;
}

#[tokio::test]
async fn oversized_frame_is_refused_before_it_is_read() {
    let (fleet, pids) = well().await;
    let before = resident_kib(fleet.process.id());
    let mut early = Peer::connect(fleet.socket()).await;
    // The length alone: nothing of the body was sent.
    early.send_bytes(&5000_u32.to_be_bytes()).await;
    assert!(early.closing().await.contains("5000"));
    for (kind, size) in [
        (kind::CONTROL, 70_000_u32),
        (kind::EMIT, 2 << 20),
        (kind::EMIT, u32::MAX),
    ] {
        let mut peer = Peer::client(fleet.socket()).await;
        let mut head = size.to_be_bytes().to_vec();
        head.extend([kind, 0]);
        peer.send_bytes(&head).await;
        let reason = peer.closing().await;
        assert!(reason.contains(&size.to_string()), "{reason}");
    }
    let grown = resident_kib(fleet.process.id()).saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
    let bus = fleet.connect(ConnectOptions::client("big")).await;
    let error = bus
        .emit_bytes("big", vec![0; (1 << 20) + 1])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("1048576"), "{error}");
    bus.bytes("big", &vec![0; 1 << 20]).acked().await.unwrap();
    still_well(&fleet, &pids).await;
}

fn resident_kib(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

#[tokio::test]
async fn garbage_on_the_socket_closes_that_connection_alone() {
    let (fleet, pids) = well().await;
    let noise: Vec<u8> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &noise,
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &frame(kind::HELLO, 0, b"{\"magic\":"),
        &frame(kind::CONTROL, 0, b"{}"),
    ];
    for bytes in garbage {
        let mut peer = Peer::connect(fleet.socket()).await;
        peer.send_bytes(bytes).await;
        let reason = peer.closing().await;
        assert!(reason.len() > 20, "{reason}");
        // The same after a good beginning: refused or closed, and nobody else notices.
        let mut peer = Peer::client(fleet.socket()).await;
        peer.send_bytes(bytes).await;
        peer.end().await;
        while peer.next().await.is_some() {}
    }
    still_well(&fleet, &pids).await;
    assert!(!fleet.process.stderr.text().contains("panicked"));
}

#[tokio::test]
async fn unknown_frame_is_refused_and_the_connection_lives() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    let mut peer = Peer::client(fleet.socket()).await;
    let (unknown, ignorable) = (0x7e, 0x01);
    peer.send(unknown, ignorable, &json!({})).await;
    peer.send(unknown, 0, &json!({})).await;
    let refused = peer.next_of(kind::CONTROL).await;
    assert!(
        refused["op"]["Refused"]["reason"]
            .as_str()
            .is_some_and(|r| r.contains("126") || r.contains("7e")),
        "{refused}"
    );
    let nonsense = peer.control(9, &json!({ "Dance": {} })).await;
    assert!(nonsense.get("Refused").is_some(), "{nonsense}");
    let subscribe =
        json!({ "Subscribe": { "sub": 1, "pattern": "x", "reader": null, "options": {} } });
    let done = peer.control(10, &subscribe).await;
    assert!(done.get("Done").is_some(), "{done}");
    assert_eq!(fleet.bus.json("x", &1).acked().await, Ok(1));
}

#[tokio::test]
async fn event_that_does_not_fit_its_type_is_refused_with_the_path() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    let mut notes = fleet.hear::<Note>().await;
    let _answers = fleet.bus.serve::<Double>().await.unwrap();
    let note = |field: &str, value: Value| {
        let mut note = json!(Note::new("x", 1));
        note[field] = value;
        note.to_string()
    };
    let cases = [
        (note("number", json!(-1)), "number"),
        (note("number", json!("1")), "number"),
        (note("text", json!(null)), "text"),
        (note("mood", json!({ "Loud": 256 })), "mood"),
        (note("tags", json!({ "a": 1.5 })), "tags"),
        (json!({ "text": "x" }).to_string(), "number"),
    ];
    for (payload, path) in cases {
        fleet
            .ostler(["emit", "tests.note", &payload])
            .success()
            .await;
        let Delivery::Misfit { reason, topic, .. } = notes.delivery().await else {
            panic!("{payload} is no note");
        };
        assert!(
            reason.contains(path) && topic == "tests.note",
            "{path}: {reason}"
        );
    }
    fleet.bus.emit(&Note::new("fits", 2)).await.unwrap();
    assert_eq!(notes.next().await.event.number, 2);
    // Whoever asks is told, and whoever writes what is the master's.
    let ask = fleet
        .ostler(["request", "tests.double", "{\"number\":-1}"])
        .stdout("");
    ask.stderr_contains("number").fails_with(1).await;
    for payload in ["{\"app\":1}", "{\"ap\":\"web\"}", "[]"] {
        fleet
            .ostler(["emit", "workerRestartNeeded", payload])
            .stdout("")
            .fails_with(1)
            .await;
    }
    let output = fleet
        .ostler(["emit", "x", "{\"a\":}"])
        .stdout("")
        .fails_with(2)
        .await;
    assert!(
        output.stderr.contains("not JSON") && output.stderr.contains("column"),
        "{output:#?}"
    );
}

#[tokio::test]
async fn unusable_topic_is_refused_with_what_is_wrong() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    let long = "x".repeat(256);
    for topic in ["", "a..b", ".a", "a b", "ä", "a.*", "a.>", "a/b", &long] {
        let output = fleet
            .ostler(["emit", topic, "1"])
            .stdout("")
            .fails_with(2)
            .await;
        assert!(output.stderr.starts_with("error: "), "{output:#?}");
    }
    for pattern in ["", "a.>.b", "a..b", "a*", &long] {
        let output = fleet
            .ostler(["tail", pattern])
            .stdout("")
            .fails_with(2)
            .await;
        assert!(output.stderr.starts_with("error: "), "{output:#?}");
    }
    // By the hub as well, for those who don't ask the client.
    let mut peer = Peer::client(fleet.socket()).await;
    peer.send(
        kind::EMIT,
        2,
        &json!({ "topic": "a..b", "payload": 1, "ref": 4 }),
    )
    .await;
    let refused = peer.next_of(kind::CONTROL).await;
    assert_eq!(refused["op"]["Refused"]["kind"], "BadTopic", "{refused}");
}

#[tokio::test]
async fn hostile_schema_is_refused() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    let mut peer = Peer::client(fleet.socket()).await;
    let mut schemas: Vec<Vec<u8>> = (0..=60).map(|byte| vec![byte; 12_000]).collect();
    schemas.extend([vec![], vec![255; 16], (0..=255).collect(), vec![20; 20_000]]);
    for (index, schema) in (1_u64..).zip(&schemas) {
        let announce =
            json!({ "Announce": { "index": index, "topic": "hostile", "schema": schema } });
        let answer = peer.control(index, &announce).await;
        assert!(
            answer.get("Refused").is_some(),
            "{:?}: {answer}",
            &schema[..schema.len().min(4)]
        );
    }
    fleet.status().await;
    assert_eq!(fleet.bus.json("hostile", &1).acked().await, Ok(0));
}

#[tokio::test]
async fn hostile_notify_datagrams_change_nothing() {
    let bystander = Cli::new("sleep").arg("60").start();
    let say = format!("{} say", PROGRAMS.misbehave);
    let script = format!(
        "{say} MAINPID={}; {say} MAINPID=-1 MAINPID=x; {say} $(head -c 60000 /dev/zero | tr '\\0' x); \
         {say} EXTEND_TIMEOUT_USEC=99999999999999999999; {say} =; {say} READY=2; {say} READY=1; exec {} trivial",
        bystander.id(),
        PROGRAMS.misbehave
    );
    let master = PROGRAMS.master().name("web").instances(1).ready("notify");
    let fleet = Fleet::ready(master.command(["bash", "-c", &script]), 1).await;
    fleet.ostler(["stop"]).success().await;
    fleet.ostler(["kill"]).success().await;
    assert_eq!(
        bystander.exit(),
        None,
        "a stranger is nobody's main process"
    );
}

#[tokio::test]
async fn unwritable_home_is_reported() {
    let guest = Guest::new(PROGRAMS.ostler);
    let run = ["run", "-n", "web", "--", "sleep", "60"];
    let theirs = guest.dir().make("theirs");
    std::fs::set_permissions(&theirs, PermissionsExt::from_mode(0o555)).unwrap();
    let at = |home: &Path| guest.ostler(&run).env("OSTLER_HOME", home);
    let output = at(&theirs.join("home")).fails_with(1).await;
    told(
        &output,
        &["theirs/home", "Permission denied", "hint: set OSTLER_HOME"],
    );
    if guest.is_another() {
        let output = at(&theirs).fails_with(78).await;
        told(&output, &["belongs to user 0", "hint: "]);
    }
    let real = guest.dir().make("real");
    guest.own(real.clone());
    let link = guest.dir().at("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    told(&at(&link).fails_with(78).await, &["symlink", "hint: "]);
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o777)).unwrap();
    told(
        &at(&real).fails_with(78).await,
        &["writable by others", "0777", "chmod go-w"],
    );
    told(
        &at(Path::new("relative")).fails_with(78).await,
        &["relative", "hint: "],
    );
    let file = guest.dir().write("file", "");
    guest.own(file.clone());
    told(
        &at(&file).fails_with(78).await,
        &["not a directory", "hint: "],
    );
}

#[tokio::test]
async fn too_long_home_is_reported() {
    let alone = Alone::new();
    let home = alone.dir.make(&"deep/".repeat(18));
    let run = alone
        .ostler(&["run", "-n", "web", "--", "sleep", "60"])
        .env("OSTLER_HOME", &home);
    let output = run.fails_with(78).await;
    told(
        &output,
        &["107", "hint: set OSTLER_HOME to a shorter directory"],
    );
    let mut left = Vec::new();
    walk(&home, &mut left);
    assert!(
        left.iter().all(|path| path.extension().is_none()),
        "{left:?}"
    );
}

/// A master whose home is a small disk of its own, where this user may mount one.
async fn on_a_small_disk(options: &str, alone: &Alone) -> Option<Process> {
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs \"$OSTLER_HOME\" && chmod 711 \"$OSTLER_HOME\" && echo mounted && exec \"$@\""
    );
    alone.dir.make("home");
    let run = [
        PROGRAMS.ostler,
        "run",
        "-n",
        "web",
        "-i",
        "1",
        "--",
        PROGRAMS.misbehave,
        "trivial",
    ];
    let cli = Cli::new("unshare")
        .args(["-m", "sh", "-c", &script, "sh"])
        .args(run);
    let mark = Mark::new(alone.dir.path());
    let cli = cli
        .env("OSTLER_HOME", alone.dir.at("home"))
        .env(Mark::VARIABLE, mark.value());
    let process = cli.dir(alone.dir.path()).start();
    let known =
        || (process.exit().is_some() || process.stdout.text().contains("mounted")).then_some(());
    eventually("a mount", PATIENCE, known).await;
    let mounted = process.stdout.text().contains("mounted");
    mounted.then_some(process)
}

#[tokio::test]
async fn full_disk_is_reported() {
    let alone = Alone::new();
    let Some(process) = on_a_small_disk("nr_inodes=1,mode=711", &alone).await else {
        return eprintln!("not run: no disk can be mounted here");
    };
    assert_eq!(process.wait(PATIENCE).await, Exit::Code(1));
    let said = process.stderr.text();
    assert!(
        said.contains("No space left on device") || said.contains("no storage space"),
        "{said}"
    );
    assert!(said.contains("hint: make room on the disk"), "{said}");
}

#[tokio::test]
async fn disk_that_fills_up_later_stops_no_worker() {
    let alone = Alone::new();
    let Some(mut process) = on_a_small_disk("size=256k,nr_inodes=64,mode=711", &alone).await else {
        return eprintln!("not run: no disk can be mounted here");
    };
    process
        .stderr
        .wait_for_line("web.0 taken to be ready", PATIENCE)
        .await;
    let home = format!(
        "/proc/{}/root{}",
        process.id(),
        alone.dir.at("home").display()
    );
    let fillers = PathBuf::from(home).join("fillers");
    std::fs::create_dir(&fillers).unwrap();
    let mut count = 0;
    while std::fs::write(fillers.join(count.to_string()), "").is_ok() {
        count += 1;
    }
    let inside = |args: &[&str]| {
        let pid = process.id().to_string();
        let cli = Cli::new("nsenter")
            .args(["-m", "-t", &pid, PROGRAMS.ostler])
            .args(args);
        cli.env("OSTLER_HOME", alone.dir.at("home"))
    };
    let before = inside(&["ls", "--json"]).success().await.json();
    inside(&["reload"])
        .stderr_contains("No space left")
        .fails_with(1)
        .await;
    let after = inside(&["ls", "--json"]).success().await.json();
    assert_eq!(after["workers"][0]["pid"], before["workers"][0]["pid"]);
    std::fs::remove_dir_all(&fillers).unwrap();
    inside(&["reload"]).success().await;
    inside(&["kill"]).success().await;
}

#[tokio::test]
async fn log_that_cannot_be_written_stops_nobody() {
    let alone = Alone::new();
    let version = alone.dir.write("version.txt", "v0");
    alone
        .dir
        .write("ostler.toml", &PROGRAMS.sdk_app("web", 1, alone.dir.path()));
    let script = "exec \"$0\" run > /dev/full 2> /dev/full";
    let cli = Cli::new("sh")
        .args(["-c", script, PROGRAMS.ostler])
        .dir(alone.dir.path());
    let process = cli.env("OSTLER_HOME", alone.dir.at("home")).start();
    let mut address = None;
    while address.is_none() {
        assert_eq!(process.exit(), None);
        let output = alone.ostler(&["ls", "--json"]).run().await;
        let report: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        let ready = report["apps"][0]["ready"] == 1;
        address = report["apps"][0]["sockets"][0]["address"]
            .as_str()
            .filter(|_| ready)
            .map(str::to_owned);
    }
    let address = address.unwrap().parse().unwrap();
    assert_eq!(Web::get(address, "/").await["version"], "v0", "{version:?}");
    alone.ostler(&["reload"]).success().await;
    alone.ostler(&["kill"]).success().await;
    assert_eq!(process.wait(PATIENCE).await, Exit::Code(0));
}

#[tokio::test]
async fn out_of_descriptors_is_survived() {
    let alone = Alone::new();
    let script = "ulimit -n 48 && exec \"$@\"";
    let run = [
        PROGRAMS.ostler,
        "run",
        "-n",
        "web",
        "-i",
        "1",
        "--",
        PROGRAMS.misbehave,
        "trivial",
    ];
    let cli = Cli::new("sh")
        .args(["-c", script, "sh"])
        .args(run)
        .dir(alone.dir.path());
    let mark = Mark::new(alone.dir.path());
    let cli = cli
        .env("OSTLER_HOME", alone.dir.at("home"))
        .env(Mark::VARIABLE, mark.value());
    let mut process = cli.start();
    process
        .stderr
        .wait_for_line("web.0 taken to be ready", PATIENCE)
        .await;
    let socket = alone.dir.at("home/web/bus.sock");
    let mut peers = Vec::new();
    for _ in 0..60 {
        peers.push(Peer::connect(&socket).await);
    }
    alone.ostler(&["ping"]).within(PATIENCE).run().await;
    assert_eq!(process.exit(), None, "{}", process.output());
    drop(peers);
    alone.ostler(&["ping"]).success().await;
    alone.ostler(&["reload"]).success().await;
    alone.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn worker_socket_is_for_the_worker_alone() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let mut forged = hello("worker");
    forged["name"] = json!("web");
    forged["token"] = json!("0123456789abcdef0123456789abcdef");
    let mut peer = Peer::connect(fleet.socket()).await;
    peer.send(kind::HELLO, 0, &forged).await;
    peer.closing().await;
    assert_eq!(fleet.status().await.workers.len(), 1);
}
