//! The channel for descriptors, as the protocol's page describes it, spoken by a program that has nothing else of ours.

use super::*;

const SCRIPT: &str = r#"
import array, json, os, socket, sys
channel = socket.socket(fileno=int(os.environ["OSTLER_PASSING"]))
channel.set_inheritable(False)
def ask(**word):
    channel.send(json.dumps(word).encode())
    text, fds, _, _ = socket.recv_fds(channel, 16384, 2)
    (kind, body), = json.loads(text).items()
    return kind, body, fds
kind, body, fds = ask(listen={"id": 1, "address": "127.0.0.1:0"})
print(kind, body["address"], flush=True)
listener = socket.socket(fileno=fds[0])
listener.setblocking(True)
kind, body, _ = ask(listen={"id": 2, "address": body["address"]})
print(kind, body["errno"], body["reason"], flush=True)
kind, body, more = ask(listen={"id": 3, "address": "127.0.0.1:0"})
other = body["address"]
for fd in more:
    os.close(fd)
channel.send(json.dumps({"close": {"id": 3}}).encode())
print("closed", other, flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(os.environ["OSTLER_WORKER_ID"].encode())
    connection.close()
"#;

#[tokio::test]
async fn a_python_worker_asks_for_a_socket_by_what_the_protocol_s_page_says() {
    let there = std::process::Command::new("python3")
        .arg("--version")
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: there is no python3");
    }
    let app = App::new("web", ["python3", "asks.py"])
        .instances(2)
        .set("env", serde_json::json!({"PYTHONDONTWRITEBYTECODE": "1"}))
        .unwatched();
    let master = ostler!()
        .with("asks.py", SCRIPT)
        .env("HOME", std::env::var_os("HOME").unwrap_or_default());
    let fleet = Fleet::start(master.apps(&[app])).await;
    let refused = fleet.said("failed 98 ").await;
    assert!(refused.contains("in use"), "{refused}");
    fleet.said("closed 127.0.0.1:").await;
    fleet.until_ready(2).await;
    let shared = |status: &StatusReport| match asked(status)[..] {
        [socket] => socket.asked_by.as_ref().is_some_and(|by| by.len() == 2),
        _ => false,
    };
    let status = fleet.until("one socket of two workers", shared).await;
    let served = who(&asked(&status)[0].address).await;
    assert!(ids(&fleet).await.contains(&served), "{served}");
}

const TICKETS: &str = r#"
import json, os, socket
channel = socket.socket(fileno=int(os.environ["OSTLER_PASSING"]))
channel.set_inheritable(False)
def say(**word):
    channel.send(json.dumps(word).encode())
def hear():
    (kind, body), = json.loads(channel.recv(16384)).items()
    return kind, body
say(ticket_secrets={"id": 1, "socket": "http"})
kind, body = hear()
print(kind, body["errno"], body["reason"], flush=True)
# Of two questions for one socket the later holds, and what is told later is newer.
for number in 2, 3:
    say(ticket_secrets={"id": number, "socket": "https"})
told = [hear() for _ in range(5)]
numbers = [body["id"] for _, body in told]
sets = [body["secrets"] for kind, body in told if kind == "ticket_secrets"]
follow = all(old == new or (old["current"], old["next"]) == (new["previous"], new["current"]) for old, new in zip(sets, sets[1:]))
lengths = {len(bytes.fromhex(one[key])) for one in sets for key in ("previous", "current", "next")}
print(numbers[-3:], follow, lengths, sets[0]["rotation_s"], flush=True)
"#;

#[tokio::test]
async fn a_python_worker_is_told_secrets_and_their_rotations_by_what_the_protocol_s_page_says() {
    let there = std::process::Command::new("python3")
        .arg("--version")
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: there is no python3");
    }
    let https = serde_json::json!({"address": "127.0.0.1:0", "ticket_rotation": "1s"});
    let app = App::new("web", ["python3", "tickets.py"])
        .set("listen", serde_json::json!({ "https": https }))
        .set("env", serde_json::json!({"PYTHONDONTWRITEBYTECODE": "1"}))
        .set("restart", "never");
    let master = ostler!()
        .with("tickets.py", TICKETS)
        .env("HOME", std::env::var_os("HOME").unwrap_or_default());
    let fleet = Fleet::start(master.apps(&[app])).await;
    let refused = fleet.said("failed 2 ").await;
    assert!(
        refused.contains("the app declares no such socket"),
        "{refused}"
    );
    fleet.said("[3, 3, 3] True {48} 1").await;
}
