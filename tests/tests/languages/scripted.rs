//! A hub that a test plays itself: for what a real one does only when it is killed.

use std::{os::fd::OwnedFd, process::Stdio};

use futures::FutureExt;
use ostler_tests::harness::{Agent, Language, PATIENCE, PrivateDir, deadline};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{UnixListener, UnixStream},
    process::{Child, ChildStdout, Command},
};

const CONTROL: u8 = 0x03;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// One connection, at the hub's end.
struct Talk(UnixStream);

impl Talk {
    async fn frame(&mut self) -> (u8, Value) {
        deadline("a frame", PATIENCE, async {
            let length = self.0.read_u32().await.unwrap();
            let mut rest = vec![0; length as usize];
            self.0.read_exact(&mut rest).await.unwrap();
            (rest[0], serde_json::from_slice(&rest[2..]).unwrap())
        })
        .await
    }

    async fn send(&mut self, kind: u8, body: Value) {
        let body = body.to_string();
        self.0.write_u32(body.len() as u32 + 2).await.unwrap();
        self.0.write_all(&[kind, 0]).await.unwrap();
        self.0.write_all(body.as_bytes()).await.unwrap();
    }

    /// Hears HELLO and lets the peer in.
    async fn welcome(&mut self) -> Value {
        let (kind, hello) = self.frame().await;
        assert_eq!(kind, 0x01, "{hello}");
        let limits = json!({"payload": 1 << 20, "control": 1 << 16, "subscriptions": 1024});
        let welcome = json!({"proto": 1, "codec": "json", "hub": "scripted", "conn": 1, "life": "00",
            "token": TOKEN, "limits": limits, "ping_ms": 0});
        self.send(0x02, welcome).await;
        hello
    }

    /// Does what it is asked next, and gives what that was.
    async fn done(&mut self) -> Value {
        let (kind, asked) = self.frame().await;
        assert_eq!(kind, CONTROL, "{asked}");
        let done = json!({"ref": asked["ref"], "op": {"Done": {"count": 0}}});
        self.send(CONTROL, done).await;
        asked["op"].clone()
    }

    /// Hears that the worker wants to be told to drain.
    async fn subscribed(&mut self) {
        let asked = self.done().await;
        let subscribe = &asked["Subscribe"];
        assert_eq!(subscribe["pattern"], "to.worker.7.drain");
        assert_eq!(subscribe["options"]["serve"], true);
    }
}

/// An agent, connected to a hub that is played.
async fn connected(language: Language) -> (Agent, Talk, PrivateDir) {
    let dir = PrivateDir::new();
    let path = dir.at("bus.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let let_in = async {
        let (stream, _) = deadline("the agent", PATIENCE, listener.accept())
            .await
            .unwrap();
        let mut talk = Talk(stream);
        talk.welcome().await;
        talk
    };
    let (agent, talk) = tokio::join!(Agent::start(language, &path), let_in);
    (agent, talk, dir)
}

/// A member of a queue group says what its reader has taken, all of it, and no more.
pub(crate) async fn windows_are_told_what_was_taken(language: Language) {
    const EVENTS: u64 = 700;
    let (mut agent, mut talk, _dir) = connected(language).await;
    agent
        .ask(json!({"do": "subscribe", "pattern": "work", "group": "all"}))
        .await;
    let subscribe = talk.done().await;
    let subscribe = &subscribe["Subscribe"];
    assert_eq!(subscribe["options"], json!({"group": "all", "window": 256}));
    agent.answer().await;
    for seq in 0..EVENTS {
        let event = json!({"sub": subscribe["sub"], "seq": seq, "origin": "Master", "topic": "work", "payload": seq});
        talk.send(0x20, event).await;
    }
    let got = agent
        .done(json!({"do": "numbers", "pattern": "work", "until": EVENTS - 1}))
        .await;
    assert_eq!(got["got"], EVENTS);
    agent.ask(json!({"do": "flush"})).await;
    let mut taken = 0;
    loop {
        let (_, asked) = talk.frame().await;
        let Some(count) = asked["op"]["Took"]["count"].as_u64() else {
            assert_eq!(asked["op"], "Drain");
            break;
        };
        assert_eq!(asked["op"]["Took"]["sub"], subscribe["sub"]);
        taken += count;
    }
    assert_eq!(taken, EVENTS);
}

/// While a topic is held nothing is published on it; on others, and once it is released, everything is.
pub(crate) async fn a_held_topic_waits(language: Language) {
    let (mut agent, mut talk, _dir) = connected(language).await;
    let tell = |name: &str| json!({"ref": 0, "op": {name: {"topic": "held"}}});
    talk.send(CONTROL, tell("Hold")).await;
    agent.ask(json!({"do": "flush"})).await;
    talk.done().await;
    agent.answer().await;
    let emit = |topic| json!({"do": "emit", "topic": topic, "payload": 1});
    agent.done(emit("free")).await;
    assert_eq!(talk.frame().await.1["topic"], "free");
    agent.ask(emit("held")).await;
    let moment = std::time::Duration::from_millis(300);
    let early = tokio::time::timeout(moment, talk.0.read_u8()).await;
    assert!(early.is_err(), "it was published");
    talk.send(CONTROL, tell("Release")).await;
    assert_eq!(talk.frame().await.1["topic"], "held");
    assert_eq!(agent.answer().await, json!({"ok": null}));
}

/// A worker on a socket it inherited, and where it may come back by path.
struct Worker {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    listener: UnixListener,
    instance: Value,
    _dir: PrivateDir,
}

impl Worker {
    async fn ready(language: Language) -> (Self, Talk) {
        let dir = PrivateDir::new();
        let path = dir.at("bus.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let theirs = theirs.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        let mut command = Command::from(language.agent());
        command
            .arg("worker")
            .kill_on_drop(true)
            .env("OSTLER_BUS", path);
        for (name, value) in [
            ("BUS_FD", "0"),
            ("APP", "web"),
            ("WORKER_ID", "7"),
            ("SLOT", "0"),
            ("GENERATION", "1"),
        ] {
            command.env(format!("OSTLER_{name}"), value);
        }
        command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut talk = Talk(ours);
        let hello = talk.welcome().await;
        assert_eq!(
            (&hello["kind"], hello.get("token").and_then(Value::as_str)),
            (&json!("worker"), None)
        );
        talk.subscribed().await;
        let (kind, asked) = talk.frame().await;
        assert_eq!((kind, &asked["topic"]), (0x11, &json!("_sys.worker.ready")));
        talk.send(
            0x22,
            json!({"ref": asked["ref"], "origin": "Master", "payload": null}),
        )
        .await;
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let instance = hello["instance"].clone();
        let mut worker = Self {
            child,
            said,
            listener,
            instance,
            _dir: dir,
        };
        worker.says("ready").await;
        (worker, talk)
    }

    async fn says(&mut self, line: &str) {
        let said = deadline(line, PATIENCE, self.said.next_line()).await;
        assert_eq!(said.unwrap().as_deref(), Some(line));
    }

    async fn ends_well(&mut self) {
        let exit = deadline("its end", PATIENCE, self.child.wait())
            .await
            .unwrap();
        assert!(exit.success(), "{exit}");
    }
}

pub(crate) async fn a_worker_comes_back_by_path_with_its_token(language: Language) {
    let (mut worker, talk) = Worker::ready(language).await;
    drop(talk);
    // It is turned away once, as by a hub that is not there yet.
    let accept = || deadline("the worker", PATIENCE, worker.listener.accept());
    drop(accept().await.unwrap());
    let mut talk = Talk(accept().await.unwrap().0);
    let hello = talk.welcome().await;
    assert_eq!(
        (&hello["kind"], &hello["token"]),
        (&json!("worker"), &json!(TOKEN))
    );
    assert_eq!(hello["instance"], worker.instance);
    talk.subscribed().await;
    let word = json!({"reason": "update", "deadline_ms": 5_000});
    let call = json!({"call": 9, "sub": 1, "origin": "Master", "topic": "to.worker.7.drain",
        "timeout_ms": 1_000, "payload": word});
    talk.send(0x21, call).await;
    worker.says("draining: update").await;
    let (kind, reply) = talk.frame().await;
    assert_eq!(
        (kind, &reply["call"], &reply["payload"]),
        (0x12, &json!(9), &Value::Null)
    );
    assert_eq!(talk.done().await, json!({"Unsubscribe": {"sub": 1}}));
    assert_eq!(talk.done().await, "Drain");
    worker.ends_well().await;
}

pub(crate) async fn who_was_replaced_stays_away(language: Language) {
    let (mut worker, mut talk) = Worker::ready(language).await;
    let closing = json!({"Closing": {"kind": "Replaced", "reason": "another has come"}});
    talk.send(CONTROL, json!({"ref": 0, "op": closing})).await;
    drop(talk);
    // It serves on: a signal still drains it.
    let pid = worker.child.id().unwrap().to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(kill.unwrap().success());
    worker.says("draining: SIGTERM").await;
    worker.ends_well().await;
    assert!(
        worker.listener.accept().now_or_never().is_none(),
        "it came back"
    );
}
