//! Every program in every mode: all workers serve, whoever the mode says, and an update under load loses no request.
//!
//! One master runs a program as five apps, one for each mode, and updates them all under the load of all.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use futures::future::join_all;
use ostler_bus::vocab::status::{AppStatus, StatusReport};
use ostler_tests::{
    harness::{App, deadline},
    load::Target,
    ostler,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use super::*;

const WORKERS: usize = 3;

/// Each is the name of its app.
const MODES: [&str; 5] = ["shared", "balanced", "auto", "slot", "sticky"];

/// Of a load.
const CONNECTIONS: usize = 2;

/// So many clients that each of the slots has some.
const CLIENTS: u8 = 24;

/// What a program is to Ostler.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It accepts on the socket that it inherits, in every mode.
    Accepts,
    /// Its workers take connections from the master, where it accepts.
    Takes,
}

/// A program in all modes.
struct Modes {
    kind: Kind,
    fleet: Fleet,
    addresses: BTreeMap<&'static str, SocketAddr>,
    path: &'static str,
    /// Requests that the program itself resets in an update, at most.
    resets: u64,
}

impl Modes {
    /// Three workers of each app; `set` is for all.
    async fn start(
        kind: Kind,
        path: &'static str,
        command: &[String],
        set: &[(&str, Value)],
    ) -> Self {
        let apps = MODES.map(|mode| {
            let socket = json!({"address": "127.0.0.1:0", "mode": mode});
            let app = App::new(mode, command)
                .set("instances", WORKERS)
                .set("start_parallel", 4)
                .set("min_healthy", "100ms")
                .set("listen", json!({ "http": socket }));
            set.iter()
                .fold(app, |app, (key, value)| app.set(key, value.clone()))
        });
        let fleet = Fleet::start(ostler!().apps(&apps)).await;
        let every = WORKERS * MODES.len();
        let ready =
            |status: &StatusReport| status.workers.iter().filter(|w| is_ready(w)).count() == every;
        // Twice the patience: fifteen interpreters start.
        let again = tokio::time::timeout(SLOW, async { while !ready(&fleet.status().await) {} });
        again.await.expect("all workers to be ready");
        let status = fleet.status().await;
        let addresses =
            MODES.map(|mode| (mode, of(&status, mode).sockets[0].address.parse().unwrap()));
        let addresses = addresses.into();
        Self {
            kind,
            fleet,
            addresses,
            path,
            resets: 0,
        }
    }

    /// One request from a client's address, on a connection of its own: which worker has answered.
    async fn ask(&self, client: u8, mode: &str) -> String {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::from(([127, 0, 1, client], 0)))
            .unwrap();
        let mut stream = socket
            .connect(self.addresses[mode])
            .await
            .expect("it listens");
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            self.path
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = deadline("an answer", SLOW, stream.read_to_string(&mut answer)).await;
        read.expect("a whole answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{mode}: {answer}");
        who(answer.split_once("\r\n\r\n").expect("a body").1)
    }

    /// Which worker serves each of the clients, all at once.
    async fn asked_by_all(&self, mode: &str) -> BTreeMap<u8, String> {
        let asked = (1..=CLIENTS).map(async |client| (client, self.ask(client, mode).await));
        join_all(asked).await.into_iter().collect()
    }

    /// Every worker serves; where clients are told apart, each is served by its own.
    async fn all_serve(&self, mode: &str) -> BTreeMap<u8, String> {
        let first = self.asked_by_all(mode).await;
        if mode == "sticky" {
            assert_eq!(
                self.asked_by_all(mode).await,
                first,
                "they come to the same again"
            );
        }
        let mut seen: BTreeSet<_> = first.values().cloned().collect();
        let all = async {
            while seen.len() < WORKERS {
                seen.extend(self.asked_by_all(mode).await.into_values());
            }
        };
        deadline("every worker to serve", SLOW, all).await;
        assert_eq!(seen.len(), WORKERS, "{mode}: {seen:?}");
        first
    }

    fn plan(&self, mode: &str) -> Plan {
        let target = Target::new(self.addresses[mode], self.path).unwrap();
        Plan::new(target).connections(CONNECTIONS).timeout(SLOW)
    }

    /// The status says of each how it is shared, and why.
    async fn shown_as_they_are(&self) {
        if self.kind == Kind::Takes {
            // A worker asks for connections when it first waits for one, which may be after it was ready.
            let all = |status: &StatusReport| {
                ["auto", "balanced"].iter().all(|mode| {
                    let balance = of(status, mode).sockets[0].balance.as_ref();
                    balance.is_some_and(|it| it.workers.len() == WORKERS)
                })
            };
            self.fleet.until("all to take connections", all).await;
        }
        let status = self.fleet.status().await;
        for mode in MODES {
            let sockets = &of(&status, mode).sockets;
            let (shown, why) = match (mode, self.kind) {
                ("balanced", Kind::Accepts) => (
                    "shared",
                    Some("balanced, but no worker takes connections from the master"),
                ),
                ("balanced", Kind::Takes) => ("balanced", None),
                ("auto", Kind::Accepts) => (
                    "shared",
                    Some("auto: no worker takes connections from the master"),
                ),
                ("auto", Kind::Takes) => (
                    "balanced",
                    Some("auto: its workers take connections from the master"),
                ),
                (mode, _) => (mode, None),
            };
            let found = (sockets[0].mode.as_str(), sockets[0].why.as_deref());
            assert_eq!(found, (shown, why), "{mode}");
            let slots = if matches!(mode, "slot" | "sticky") {
                WORKERS
            } else {
                1
            };
            assert_eq!(sockets.len(), slots, "{mode}");
            let takers = sockets[0].balance.as_ref().map_or(0, |it| it.workers.len());
            assert_eq!(
                takers,
                if shown == "balanced" { WORKERS } else { 0 },
                "{mode}"
            );
        }
        let words = self.fleet.ostler(["sockets"]).success().await.stdout;
        let lines = |is: fn(&str) -> bool| words.lines().filter(|line| is(line)).count();
        let nobody = lines(|line| line.contains("no worker takes connections"));
        // What workers of the SDK accept themselves is told as well.
        let handed = lines(|line| line.contains(" balanced ") && line.contains(" accepted"));
        let found = match self.kind {
            Kind::Accepts => (nobody, handed),
            Kind::Takes => (handed, nobody),
        };
        assert_eq!(found, (2, 0), "{words}");
        if self.kind == Kind::Accepts {
            let told = "does not take the connections of the socket \"http\" from the master, so it shares the socket instead";
            self.fleet.logged(told).await;
        }
    }

    /// New connections in every mode; and kept ones, where the program ends those well.
    fn loads(&self) -> Vec<(&'static str, LoadHandle)> {
        let plans = MODES.map(|mode| (mode, self.plan(mode).by_field("version")));
        let kept = plans.clone().map(|(mode, plan)| (mode, plan.keep_alive()));
        let kept = kept.into_iter().filter(|_| self.kind == Kind::Takes);
        let start = |(mode, plan)| (mode, Load::start(plan).unwrap());
        plans.into_iter().chain(kept).map(start).collect()
    }

    /// One update of all apps. `renew` makes another version.
    async fn update_under_load(&self, renew: impl FnOnce()) {
        let loads = self.loads();
        for (_, load) in &loads {
            load.answers(20, SLOW).await.unwrap();
        }
        renew();
        let reload = self.fleet.ostler(["reload"]);
        reload.within(2 * SLOW).success().await;
        for (mode, load) in loads {
            load.answers(20, SLOW).await.unwrap();
            let tally = load.stop().await;
            eprintln!("{mode}: {tally}");
            let lost = (tally.lost() - tally.reset, &tally.fault);
            assert_eq!(lost, (0, &None), "{mode}: {tally}");
            assert!(tally.reset <= self.resets, "{mode}: {tally}");
            let versions = if self.path == "/" { 2 } else { 0 };
            assert_eq!(tally.by.len(), versions, "{mode}: {tally}");
        }
        let status = self.fleet.status().await;
        for worker in &status.workers {
            assert_eq!((worker.generation.0, worker.restarts), (2, 0), "{worker:?}");
        }
    }

    /// All of it: before an update, during it, and after it.
    async fn serve_and_update(&self, renew: impl FnOnce()) {
        let before = join_all(MODES.map(|mode| self.all_serve(mode))).await;
        self.shown_as_they_are().await;
        self.update_under_load(renew).await;
        let after = join_all(MODES.map(|mode| self.all_serve(mode))).await;
        // Whoever was with somebody in a slot is so still.
        let (before, after) = (before.last().unwrap(), after.last().unwrap());
        let successors: BTreeSet<_> = before
            .iter()
            .map(|(client, old)| (old, &after[client]))
            .collect();
        assert_eq!(successors.len(), WORKERS, "{successors:?}");
    }
}

fn of<'a>(status: &'a StatusReport, app: &str) -> &'a AppStatus {
    let found = status.apps.iter().find(|it| it.name == app);
    found.expect("an app of the file")
}

/// Which worker wrote this: by its pid, or by its slot.
fn who(body: &str) -> String {
    let told: Option<Value> = serde_json::from_str(body).ok();
    let pid = told.and_then(|told| told["pid"].as_u64());
    let slot = || {
        body.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    pid.map_or_else(slot, |pid| pid.to_string())
}

/// A program of `tests/interop/`; `ready` as it tells that.
async fn in_every_mode(program: Program, kind: Kind, ready: &str, resets: u64) {
    let fixture = Fixture::new(program);
    fixture.version("v0");
    let words = fixture.command(env!("CARGO_TARGET_TMPDIR"));
    let words: Vec<_> = words
        .iter()
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let say = format!("{} say", env!("CARGO_BIN_EXE_misbehave"));
    let set = [
        ("ready", json!(ready)),
        ("cwd", json!(fixture.dir().path())),
        (
            "env",
            json!({ "SYSTEMD_NOTIFY": say, "PYTHONDONTWRITEBYTECODE": "1" }),
        ),
    ];
    let mut modes = Modes::start(kind, "/", &words, &set).await;
    modes.resets = resets;
    modes.serve_and_update(|| fixture.version("v1")).await;
}

#[tokio::test]
async fn gunicorn_in_every_mode() {
    in_every_mode(Program::Gunicorn, Kind::Accepts, "notify", 0).await;
}

/// What it has accepted and not read when it is told to go it resets: of each worker, at most what a load has open.
#[tokio::test]
async fn uvicorn_in_every_mode() {
    let resets = WORKERS as u64 * CONNECTIONS as u64;
    in_every_mode(Program::Uvicorn, Kind::Accepts, "notify", resets).await;
}

#[tokio::test]
async fn uvicorn_in_the_hands_of_the_python_client_in_every_mode() {
    in_every_mode(Program::UvicornWorker, Kind::Takes, "sdk", 0).await;
}

#[tokio::test]
async fn node_in_every_mode() {
    in_every_mode(Program::Node, Kind::Accepts, "notify", 0).await;
}

#[tokio::test]
async fn the_sdk_s_axum_example_in_every_mode() {
    let words = [env!("CARGO_BIN_EXE_example_axum_service").to_owned()];
    let modes = Modes::start(Kind::Takes, "/orders", &words, &[]).await;
    modes.serve_and_update(|| ()).await;
}
