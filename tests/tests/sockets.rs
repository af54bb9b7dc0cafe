//! Sockets of every kind under a real master: one for each slot, datagrams, IPv6, those of the master's own starter, and what
//! is shown of them.

#[path = "sockets/own_ports.rs"]
mod own_ports;
#[path = "sockets/packets.rs"]
mod packets;
#[path = "sockets/starters.rs"]
mod starters;

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use ostler_tests::{
    habit,
    harness::{
        App, Exit, Master, MasterBuilder, PATIENCE, PrivateDir, Web, eventually, free_ports,
    },
    ostler,
};
use rustix::process::Signal;
use serde_json::{Value, json};

fn web() -> App {
    habit!("web", "notify 0 http version").unwatched()
}

async fn running(apps: &[App], names: &[&str]) -> Master {
    let master = ostler!().with("version", "1").apps(apps).start().await;
    for name in names {
        master.settled(name, "running").await;
    }
    master
}

/// Where nobody else has ports: those of connections are 127.0.0.1's.
const HOST: [u8; 4] = [127, 0, 0, 77];

fn at(port: u16) -> SocketAddr {
    (HOST, port).into()
}

async fn sockets(master: &Master) -> Vec<Value> {
    let shown = master.ostler(["sockets", "--json"]).success().await.json();
    shown.as_array().expect("an array").clone()
}

fn refused(port: u16) -> Option<()> {
    TcpStream::connect(at(port)).is_err().then_some(())
}

// ---- one for each slot

#[tokio::test]
async fn each_slot_has_a_port_of_its_own_over_updates_and_sizes() {
    let base = free_ports(HOST.into(), 3);
    let listen = json!({"http": {"address": at(base).to_string(), "per_slot": true}});
    let app = web().set("listen", listen).instances(2);
    let mut master = running(&[app], &["web"]).await;
    let line = master.wait_for_log("2 workers of").await;
    for slot in 0..2 {
        let told = format!("http.{slot}={}", at(base + slot));
        assert!(line.contains(&told), "{line}");
    }
    let told: Vec<(u64, String)> = sockets(&master)
        .await
        .iter()
        .map(|socket| {
            let address = socket["address"].as_str().expect("an address");
            (socket["slot"].as_u64().expect("a slot"), address.to_owned())
        })
        .collect();
    assert_eq!(
        told,
        [(0, at(base).to_string()), (1, at(base + 1).to_string())]
    );
    let served_by_its_slot = async |count: u16| {
        let pids = master.pids("web").await;
        for slot in 0..count {
            let answer = Web::get(at(base + slot), "/").await;
            assert_eq!(answer["pid"].as_u64(), pids.get(&slot.into()).copied());
        }
        pids
    };
    let before = served_by_its_slot(2).await;
    master.ostler(["reload"]).success().await;
    let after = served_by_its_slot(2).await;
    assert!(
        before
            .values()
            .all(|pid| !after.values().any(|new| new == pid))
    );

    // A port that somebody else has keeps its slot's worker from starting, until it is free.
    let other = TcpListener::bind(at(base + 2)).expect("free");
    master.ostler(["scale", "3", "--no-wait"]).success().await;
    let mut log = master.process.stderr.clone();
    let line = log
        .wait_for_line("web.2 could not be started", PATIENCE)
        .await;
    assert!(line.contains("the address is in use by process"), "{line}");
    drop(other);
    master.settled("web", "running").await;
    served_by_its_slot(3).await;

    master.ostler(["scale", "1"]).success().await;
    for slot in [1, 2] {
        eventually("the port to be free", PATIENCE, || refused(base + slot)).await;
    }
    served_by_its_slot(1).await;
    assert_eq!(sockets(&master).await.len(), 1);
    master.ostler(["scale", "2"]).success().await;
    served_by_its_slot(2).await;
}

#[tokio::test]
async fn a_worker_is_told_its_own_port() {
    let base = free_ports(HOST.into(), 2);
    let listen = json!({
        "dns": "udp:127.0.0.1:0",
        "http": {"address": at(base).to_string(), "per_slot": true},
    });
    let app = habit!("web", "print-env given-{slot}-{port:http}-{fd:http}")
        .set("ready", "delay(0s)")
        .set("listen", listen)
        .instances(2);
    let master = ostler!().apps(&[app]).start().await;
    for slot in 0..2_u16 {
        let path = master.dir().at(&format!("given-{slot}-{}-4", base + slot));
        let given = eventually("the worker to print", PATIENCE, || {
            serde_json::from_str::<Value>(&std::fs::read_to_string(&path).ok()?).ok()
        })
        .await;
        let env = &given["env"];
        assert_eq!(env["PORT"], json!((base + slot).to_string()));
        assert_eq!(env["LISTEN_FDNAMES"], json!("dns:http"));
        assert_eq!(
            (&env["EINHORN_FD_COUNT"], &env["EINHORN_FDS"]),
            (&json!("2"), &json!("3 4"))
        );
        assert_eq!(
            (&env["EINHORN_FD_0"], &env["EINHORN_FD_1"]),
            (&json!("3"), &json!("4"))
        );
        for fd in ["3", "4"] {
            let is = given["fds"][fd]["is"].as_str().expect("open");
            assert!(is.starts_with("socket:"), "{is}");
        }
    }
}

// ---- datagrams

#[tokio::test]
async fn workers_share_a_udp_socket_over_updates() {
    let app = habit!("dns", "notify 0 answer-datagrams")
        .unwatched()
        .set("listen", "udp:127.0.0.1:0")
        .instances(2);
    let master = running(&[app], &["dns"]).await;
    let address = sockets(&master).await[0]["address"].clone();
    let address = address.as_str().and_then(|text| text.strip_prefix("udp:"));
    let address: SocketAddr = address.expect("UDP").parse().expect("an address");
    let client = UdpSocket::bind("127.0.0.1:0").expect("bound");
    client.connect(address).expect("connected");
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("set");
    let ask = || {
        client.send(b"?").expect("sent");
        let mut answer = [0; 16];
        let length = client.recv(&mut answer).expect("an answer");
        let pid = std::str::from_utf8(&answer[..length]).expect("a pid");
        pid.parse::<u64>().expect("a pid")
    };
    let all = async |what: &str| {
        let pids: BTreeSet<u64> = master.pids("dns").await.into_values().collect();
        let end = Instant::now() + PATIENCE;
        let mut heard = BTreeSet::new();
        while heard != pids {
            assert!(Instant::now() < end, "{what}: {heard:?} of {pids:?}");
            heard.insert(ask());
            heard.retain(|pid| pids.contains(pid));
        }
    };
    all("before").await;
    master.ostler(["reload"]).success().await;
    all("after").await;
    // A port of UDP is nobody's PORT.
    let shown = &master.app("dns").await["sockets"][0];
    let why = "auto: it takes no streams that could be handed over";
    assert_eq!(
        (&shown["mode"], &shown["why"]),
        (&json!("shared"), &json!(why))
    );
}

// ---- what waits

#[tokio::test]
async fn what_waits_is_shown() {
    let app = habit!("web", "notify 0").unwatched().listening();
    let jobs = habit!("jobs", "notify 0").unwatched();
    let master = running(&[app, jobs], &["web", "jobs"]).await;
    let address = master.address("web").await;
    let _waiting = [(); 3].map(|()| TcpStream::connect(address).expect("connected"));
    // Status is a moment old.
    let end = Instant::now() + PATIENCE;
    loop {
        let shown = sockets(&master).await;
        assert_eq!(shown.len(), 1);
        if shown[0]["queue"]["waiting"] == 3 {
            assert_eq!(shown[0]["app"], "web");
            break;
        }
        assert!(Instant::now() < end, "{shown:#?}");
    }
    let words = master.ostler(["sockets", "web"]).success().await.stdout;
    let row = words.lines().nth(1).expect("a row");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        cells[..6],
        ["web", "http", &address.to_string(), "shared", "all", "3"]
    );
    let none = master.ostler(["sockets", "jobs"]).success().await.stdout;
    assert_eq!(none, "no app has a socket\n");
    master.ostler(["sockets", "nobody"]).fails_with(4).await;
}

// ---- the starter's

/// A master that is started as by systemd, with these sockets.
fn activated(sockets: &[&str]) -> (MasterBuilder, PrivateDir) {
    let dir = PrivateDir::new();
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\nrun) exec {} activate {} -- {ostler} \"$@\";;\n*) exec {ostler} \"$@\";;\nesac\n",
        env!("CARGO_BIN_EXE_misbehave"),
        sockets.join(" "),
        ostler = env!("CARGO_BIN_EXE_ostler-under-test"),
    );
    let starter: PathBuf = dir.write("starter", &script);
    std::fs::set_permissions(&starter, PermissionsExt::from_mode(0o755)).expect("set");
    (Master::builder(starter), dir)
}

#[tokio::test]
async fn sockets_of_the_starter_are_served_and_stay_its_own() {
    let outside = PrivateDir::new();
    let path = outside.at("passed.sock");
    let passed = format!("local=unix:{}", path.display());
    let (builder, _starter) = activated(&["web.socket=127.0.0.1:0", &passed, "spare=127.0.0.1:0"]);
    let listen = json!({"http": "fd:web.socket", "local": "fd:4"});
    let app = || web().set("listen", listen.clone());
    let env = habit!("env", "print-env given").set("ready", "delay(0s)");
    let mut master = builder
        .with("version", "1")
        .apps(&[app(), env.clone()])
        .start()
        .await;
    master
        .wait_for_log("nobody serves the socket fd:5 (spare)")
        .await;
    master.settled("web", "running").await;
    let shown = sockets(&master).await;
    let numbers: Vec<&Value> = shown.iter().map(|socket| &socket["passed_as"]).collect();
    assert_eq!(numbers, [3, 4]);
    assert_eq!(
        shown[1]["address"],
        json!(format!("unix:{}", path.display()))
    );
    let address = master.address("web").await;
    assert!(Web::get(address, "/").await["pid"].is_u64());

    // What the starter said to the master is none of the workers' business.
    let given = master.dir().at("given");
    let given = eventually("the worker to print", PATIENCE, || {
        serde_json::from_str::<Value>(&std::fs::read_to_string(&given).ok()?).ok()
    })
    .await;
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        assert_eq!(given["env"][name], Value::Null, "{name}");
    }
    // Below them are the bus and the channel for descriptors.
    for fd in ["5", "6"] {
        assert_eq!(given["fds"][fd], Value::Null, "{given:#}");
    }

    // An app that goes leaves them as they were, for one that comes.
    master.rewrite(std::slice::from_ref(&env));
    master.ostler(["reload", "--config"]).success().await;
    assert!(path.exists());
    let waiting = TcpStream::connect(address).expect("it still listens");
    master.rewrite(&[app(), env]);
    master.ostler(["reload", "--config"]).success().await;
    drop(waiting);
    assert!(Web::get(address, "/").await["pid"].is_u64());

    // Each is one app's.
    let twice = habit!("twice", "notify 0").set("listen", "fd:3");
    master.rewrite(&[app(), twice]);
    let output = master.ostler(["plan"]).fails_with(1).await;
    assert!(
        output
            .stderr
            .contains("it is the socket \"http\" of web already"),
        "{output:#?}"
    );
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    assert!(path.exists(), "the starter has made it");
}

#[tokio::test]
async fn sockets_of_the_starter_are_balanced_if_they_take_streams() {
    let outside = PrivateDir::new();
    let log = format!("log=unixgram:{}", outside.at("log.sock").display());
    let (builder, _starter) = activated(&["http=127.0.0.1:0", &log, "zone=udp:127.0.0.1:0"]);
    let balanced = |name: &str| json!({"address": format!("fd:{name}"), "mode": "balanced"});
    let with = |listen: Value| {
        App::new("web", [env!("CARGO_BIN_EXE_sdk_worker"), "version"])
            .instances(2)
            .set("listen", listen)
            .unwatched()
    };
    let plain = || json!({"http": balanced("http"), "log": "fd:log", "zone": "fd:zone"});
    let builder = builder.with("version", "1").apps(&[with(plain())]);
    let mut master = builder.start().await;
    master.settled("web", "running").await;
    let address = master.address("web").await;
    let mut slots = BTreeSet::new();
    for _ in 0..20 {
        slots.insert(Web::get(address, "/").await["slot"].as_u64());
    }
    assert_eq!(slots.len(), 2);
    let shown = sockets(&master).await;
    let modes: Vec<&Value> = shown.iter().map(|socket| &socket["mode"]).collect();
    assert_eq!(modes, ["balanced", "shared", "shared"]);
    for name in ["log", "zone"] {
        let mut listen = plain();
        listen[name] = balanced(name);
        master.rewrite(&[with(listen)]);
        let output = master.ostler(["plan"]).fails_with(1).await;
        let told = "it can't be balanced, as it takes no streams that could be handed over";
        assert!(output.stderr.contains(told), "{output:#?}");
    }
    let said = master.process.output();
    assert!(!said.contains("has called shutdown"), "{said}");
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
}

#[tokio::test]
async fn what_was_passed_to_another_process_is_not_taken() {
    let app = web().set("listen", "fd:3");
    let master = ostler!()
        .with("version", "1")
        .env("LISTEN_PID", "1")
        .env("LISTEN_FDS", "1")
        .apps(&[app])
        .spawn();
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(1));
    let said = master.process.output();
    assert!(
        said.contains("the master's starter has passed on no sockets"),
        "{said}"
    );
    assert!(said.contains("hint: "), "{said}");
}

#[tokio::test]
async fn a_starter_that_promises_too_much_is_told() {
    let (builder, _starter) = activated(&["web=127.0.0.1:0"]);
    let app = web().set("listen", json!({"http": "fd:web", "more": "fd:more"}));
    let master = builder.with("version", "1").apps(&[app]).spawn();
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(1));
    let said = master.process.output();
    assert!(said.contains("has passed on only fd:3 (web)"), "{said}");
}

// ---- programs that know nothing of Ostler

const PYTHON_SERVER: &str = r#"
import http.server, os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b'{"pid": %d}' % os.getpid()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.HTTPServer(("::", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = listener
server.serve_forever()
"#;

/// By a descriptor in its arguments, and by standard input; over IPv6, and IPv4 beside it.
#[tokio::test]
async fn a_python_server_takes_what_it_is_given() {
    let there = std::process::Command::new("python3")
        .arg("--version")
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: there is no python3");
    }
    let app = |name: &str, number: &str| {
        App::new(name, ["python3", "server.py", number])
            .set("listen", json!({"http": "[::]:0"}))
            .set("env", json!({"PYTHONDONTWRITEBYTECODE": "1"}))
            .unwatched()
    };
    let inetd = app("inetd", "0").set("stdin", json!({"socket": "http"}));
    let master = ostler!()
        .with("server.py", PYTHON_SERVER)
        .env("HOME", std::env::var_os("HOME").unwrap_or_default())
        .apps(&[app("web", "{fd:http}"), inetd])
        .start()
        .await;
    for name in ["web", "inetd"] {
        master.settled(name, "running").await;
        let port = master.address(name).await.port();
        for address in [
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)),
            SocketAddr::from(([127, 0, 0, 1], port)),
        ] {
            let answer = Web::get(address, "/").await;
            assert_eq!(
                answer["pid"].as_u64(),
                Some(master.pid(name, 0).await),
                "{name}"
            );
        }
    }
}
