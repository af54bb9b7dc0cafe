//! Workers that misuse the channel for descriptors: the master goes on, and so do the others.

use std::time::Instant;

use ostler_tests::harness::eventually;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::*;

/// What every program here begins with.
const PRELUDE: &str = r#"
import array, json, os, socket, struct, sys, time
channel = socket.socket(fileno=int(os.environ["OSTLER_PASSING"]))
channel.set_inheritable(False)
peers = []
def say(fds=[], **word):
    socket.send_fds(channel, [json.dumps(word).encode()], fds)
def hear():
    text, fds, _, _ = socket.recv_fds(channel, 16384, 2)
    (kind, body), = json.loads(text).items()
    return kind, body, fds
def ask(fds=[], **word):
    say(fds, **word)
    return hear()
def write(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)
"#;

/// A fleet of workers that run this program; `None` where there is no Python.
async fn program(instances: u32, text: &str) -> Option<Fleet> {
    let there = std::process::Command::new("python3")
        .arg("--version")
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3");
        return None;
    }
    let app = App::new("web", ["python3", "misuse.py"])
        .instances(instances)
        .set("env", serde_json::json!({"PYTHONDONTWRITEBYTECODE": "1"}))
        .set("backoff", serde_json::json!({"first": "1h", "max": "1h"}))
        .unwatched();
    let master = ostler!()
        .with("misuse.py", &format!("{PRELUDE}{text}"))
        .env("HOME", std::env::var_os("HOME").unwrap_or_default());
    Some(Fleet::start(master.apps(&[app])).await)
}

/// Connections that hold whoever closes them last for 12 seconds, in every way in which the master may be that.
const LINGERING: &str = r#"
def lingering():
    listener = socket.create_server(("127.0.0.1", 0))
    full = socket.create_connection(listener.getsockname())
    peers.append(listener.accept()[0])
    full.setblocking(False)
    try:
        while True:
            full.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    full.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 12))
    return full
# Given, and taken back.
full = lingering()
ask([full.fileno()], give={"id": 1})
full.close()
kind, _, _ = ask(take_back={"id": 1})
# On its way in a stream that is.
outer, inner = socket.socketpair()
full = lingering()
socket.send_fds(inner, [b"x"], [full.fileno()])
full.close()
ask([outer.fileno()], give={"id": 2})
outer.close()
ask(take_back={"id": 2})
# Beside a word that needs none.
full = lingering()
say([full.fileno()], close={"id": 3})
full.close()
ask(take_back={"id": 4})
# In packets that nobody reads.
channel.send(b"nonsense")
full = lingering()
try:
    say([full.fileno()], give={"id": 5})
except OSError:
    pass
full.close()
write("misused", kind)
time.sleep(600)
"#;

#[tokio::test]
async fn the_master_waits_for_no_connection_that_lingers() {
    let Some(fleet) = program(1, LINGERING).await else {
        return;
    };
    let done = fleet.dir().at("misused");
    let after = Duration::from_secs(1);
    let mut since = None;
    while since.is_none_or(|since: Instant| since.elapsed() < after) {
        let begun = Instant::now();
        fleet.ostler(["ping"]).success().await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "answered after {took:?}");
        if done.exists() && since.is_none() {
            since = Some(Instant::now());
        }
    }
    assert_eq!(std::fs::read_to_string(done).expect("a file"), "back");
}

const NO_CONNECTIONS: &str = r#"
answers = []
listener = socket.create_server(("127.0.0.1", 0))
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number, what in enumerate([listener, datagram]):
    kind, body, _ = ask([what.fileno()], give={"id": number})
    answers.append("%s %d" % (kind, body["errno"]))
say([os.open("/dev/null", os.O_RDONLY)], give={"id": 9})
try:
    answers.append(channel.recv(100).decode())
except ConnectionResetError:
    answers.append("")
write("misused", ", ".join(answers))
time.sleep(600)
"#;

#[tokio::test]
async fn what_is_no_connection_is_not_held_and_what_is_no_socket_ends_the_channel() {
    let Some(fleet) = program(1, NO_CONNECTIONS).await else {
        return;
    };
    let written = || std::fs::read_to_string(fleet.dir().at("misused")).ok();
    let answers = eventually("answers", PATIENCE, written).await;
    assert_eq!(answers, "failed 22, failed 22, ");
}

const REFUSED: &str = r#"
holder = socket.create_server(("127.0.0.1", 0))
address = "127.0.0.1:%d" % holder.getsockname()[1]
begun = time.monotonic()
for number in range(10):
    kind, body, _ = ask(listen={"id": number, "address": address})
    assert kind == "failed", kind
write("misused", "%f %s" % (time.monotonic() - begun, body["reason"]))
time.sleep(600)
"#;

#[tokio::test]
async fn one_that_asks_for_what_is_in_use_again_and_again_is_heard_less_often() {
    let Some(fleet) = program(1, REFUSED).await else {
        return;
    };
    let written = || std::fs::read_to_string(fleet.dir().at("misused")).ok();
    let answers = eventually("answers", PATIENCE, written).await;
    let (seconds, reason) = answers.split_once(' ').expect("two");
    let seconds: f64 = seconds.parse().expect("a number");
    assert!(seconds > 0.4, "{answers}");
    assert!(reason.contains("the address is in use ("), "{reason}");
}

/// What it said before it ended is heard after its end, as the master doesn't hear it for a moment.
const LAST_WORDS: &str = r#"
if os.environ["OSTLER_SLOT"] == "0":
    mine, theirs = socket.socketpair()
    _, body, _ = ask([mine.fileno()], give={"id": 1})
    write("token", body["token"])
    while not os.path.exists("ended"):
        time.sleep(0.01)
    while os.path.exists("/proc/" + open("ended").read()):
        time.sleep(0.01)
    time.sleep(0.5)
    kind, _, _ = ask(take_back={"id": 1})
    write("misused", kind)
else:
    while not os.path.exists("token"):
        time.sleep(0.01)
    kind, _, fds = ask(take={"id": 1, "token": open("token").read()})
    holder = socket.create_server(("127.0.0.1", 0))
    say(listen={"id": 2, "address": "127.0.0.1:%d" % holder.getsockname()[1]})
    say(took={"id": 1})
    write("ended", str(os.getpid()))
    os._exit(1)
time.sleep(600)
"#;

#[tokio::test]
async fn a_connection_that_was_taken_just_before_its_taker_ended_is_not_given_back() {
    let Some(fleet) = program(2, LAST_WORDS).await else {
        return;
    };
    let written = || std::fs::read_to_string(fleet.dir().at("misused")).ok();
    let fate = eventually("the connection's fate", PATIENCE, written).await;
    assert_eq!(fate, "taken");
}

/// Two share a socket and take its connections; one gives it back, but keeps all descriptors.
const KEEPS: &str = r#"
_, body, fds = ask(listen={"id": 1, "address": "127.0.0.1:0"})
handed = socket.socket(fileno=fds[1])
handed.send(struct.pack("<BBHIII", 1, 1, 0, 0xffffffff, 0, 0))
if os.environ["OSTLER_SLOT"] == "0":
    # Until the other has it, too.
    while not os.path.exists("shared"):
        time.sleep(0.01)
    say(close={"id": 1})
    # Whatever is said next is answered after that.
    ask(take_back={"id": 1})
    write("misused", body["address"])
    time.sleep(600)
write("shared", "")
while True:
    _, fds, _, _ = socket.recv_fds(handed, 8, 4)
    handed.send(struct.pack("<BBHIII", 1, 2, 0, len(fds), 0, len(fds)))
    for fd in fds:
        connection = socket.socket(fileno=fd)
        connection.sendall(b"served")
        connection.close()
"#;

#[tokio::test]
async fn one_that_keeps_the_channel_of_a_socket_that_it_gave_back_is_handed_nothing() {
    let Some(fleet) = program(2, KEEPS).await else {
        return;
    };
    let written = || std::fs::read_to_string(fleet.dir().at("misused")).ok();
    let address = eventually("the socket to be given back", PATIENCE, written).await;
    fleet.until_ready(2).await;
    for _ in 0..16 {
        assert_eq!(who(&address).await, "served");
    }
}

/// It gets the connection, and says nothing of it.
const SILENT: &str = r#"
mine, theirs = socket.socketpair()
_, body, _ = ask([mine.fileno()], give={"id": 1})
kind, _, fds = ask(take={"id": 2, "token": body["token"]})
begun = time.monotonic()
kind, _, _ = ask(take_back={"id": 1})
write("misused", "%s %f" % (kind, time.monotonic() - begun))
time.sleep(600)
"#;

#[tokio::test]
async fn a_giver_does_not_wait_for_ever_until_a_taker_says_that_it_took() {
    let Some(fleet) = program(1, SILENT).await else {
        return;
    };
    let written = || std::fs::read_to_string(fleet.dir().at("misused")).ok();
    let fate = eventually("the connection's fate", PATIENCE, written).await;
    let (kind, seconds) = fate.split_once(' ').expect("two");
    assert_eq!(kind, "taken");
    assert!(seconds.parse::<f64>().expect("a number") > 4.9, "{fate}");
}

#[tokio::test]
async fn all_workers_together_have_a_share_of_the_master_s_descriptors() {
    let fleet = askers(1).await;
    let master = Pid::from_raw(fleet.process.id().cast_signed()).expect("a pid");
    let limit = Rlimit {
        current: Some(400),
        maximum: Some(400),
    };
    let before = prlimit(Some(master), Resource::Nofile, limit);
    assert!(before.is_ok());
    for _ in 0..50 {
        opens(&fleet, 0, "listen 127.0.0.1:0").await;
    }
    let refused = tell(&fleet, 0, "listen 127.0.0.1:0").await;
    assert!(refused.contains("no room for another"), "{refused}");
    assert_eq!(asked(&fleet.status().await).len(), 50);
}
