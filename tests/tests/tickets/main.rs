//! TLS session tickets that all workers of a socket can open: the SDK's example as it stands, and rustls as its client.

mod client;
mod secrecy;

use std::collections::BTreeSet;

use ostler_tests::{
    harness::{App, Fleet, Lines, MasterBuilder, PATIENCE},
    ostler,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio_rustls::rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

use client::{Client, Visit, certificate};

/// How many workers serve.
const WORKERS: u32 = 4;

/// How often a client comes back.
const VISITS: usize = 16;

/// A master of workers that serve HTTPS, `balanced` unless their socket says otherwise, with a certificate in its directory.
fn service(workers: u32, socket: &[(&str, &str)], env: &[(&str, &str)]) -> MasterBuilder {
    let mut https = json!({"address": "127.0.0.1:0", "mode": "balanced"});
    for (key, value) in socket {
        https[key] = json!(value);
    }
    let env: serde_json::Map<_, _> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let (cert, key) = certificate();
    let command = [
        env!("CARGO_BIN_EXE_example_tls_service"),
        "cert.pem",
        "key.pem",
    ];
    let app = App::new("web", command)
        .instances(workers)
        .set("listen", json!({ "https": https }))
        .set("env", env)
        .unwatched();
    let master = ostler!().with("cert.pem", &cert).with("key.pem", &key);
    master.apps(&[app])
}

async fn client(fleet: &Fleet, version: &'static SupportedProtocolVersion) -> Client {
    Client::new(fleet.dir().at("cert.pem"), fleet.address().await, version)
}

/// Comes back so often, to workers in turn: how often it resumed, and who served.
async fn come_back(client: &Client) -> (usize, BTreeSet<String>) {
    let mut resumed = 0;
    let mut served = BTreeSet::new();
    for _ in 0..VISITS {
        let Visit { resumes, worker } = client.visit().await;
        resumed += usize::from(resumes);
        served.insert(worker);
    }
    (resumed, served)
}

async fn ids(fleet: &Fleet) -> BTreeSet<String> {
    ids_of(fleet, WORKERS as usize).await
}

async fn ids_of(fleet: &Fleet, workers: usize) -> BTreeSet<String> {
    let workers = fleet.until_ready(workers).await.into_iter();
    let ids = workers.filter_map(|worker| worker.id);
    ids.map(|id| format!("worker {id}\n")).collect()
}

/// In how many visits each worker is reached, at most, where chance or the kernel chooses.
const TRIES: usize = 40;

async fn resumes_everywhere(version: &'static SupportedProtocolVersion, mode: &str) {
    let service = service(WORKERS, &[("mode", mode)], &[]);
    let fleet = Fleet::ready(service, WORKERS as usize).await;
    let client = client(&fleet, version).await;
    let first = client.visit().await;
    assert!(!first.resumes, "there is nothing to resume yet");
    let resumes = async |when| {
        let all = ids(&fleet).await;
        let mut reached = BTreeSet::new();
        for _ in 0..TRIES {
            let (resumed, served) = come_back(&client).await;
            assert!(resumed >= 15, "{resumed} of {VISITS} resumed {when}");
            reached.extend(served);
            // In turns; else as it comes.
            if mode == "balanced" || reached.len() == all.len() {
                break;
            }
        }
        match mode {
            // Which of the idle ones accepts is the kernel's affair.
            "shared" => assert!(reached.is_subset(&all) && reached.len() > 1, "{reached:?}"),
            _ => assert_eq!(reached, all, "each was reached {when}"),
        }
        all
    };
    let before = resumes("at the beginning").await;

    let pid = fleet
        .worker("web", 2)
        .await
        .pid
        .and_then(|pid| pid.try_into().ok());
    let pid = pid.and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::KILL).expect("a process of ours");
    let crashed = fleet.until("the successor of a crash", |status| {
        let of_slot = |worker: &&ostler_bus::vocab::status::WorkerStatus| worker.slot.0 == 2;
        let now = status
            .workers
            .iter()
            .find(of_slot)
            .and_then(|worker| worker.pid);
        now.is_some_and(|now| i32::try_from(now) != Ok(pid.as_raw_nonzero().get()))
    });
    crashed.await;
    fleet.until_ready(WORKERS as usize).await;
    let after_crash = resumes("after a crash").await;
    assert_eq!(after_crash.intersection(&before).count(), 3);

    fleet.ostler(["reload"]).success().await;
    fleet.until_ready(WORKERS as usize).await;
    let after_update = resumes("after a rolling update").await;
    assert_eq!(after_update.intersection(&after_crash).count(), 0);
}

#[tokio::test]
async fn whichever_worker_a_client_of_tls_1_3_comes_back_to_it_resumes() {
    resumes_everywhere(&TLS13, "balanced").await;
}

#[tokio::test]
async fn whichever_worker_a_client_of_tls_1_2_comes_back_to_it_resumes() {
    resumes_everywhere(&TLS12, "balanced").await;
}

#[tokio::test]
async fn so_it_does_where_slots_have_sockets() {
    resumes_everywhere(&TLS13, "slot").await;
}

#[tokio::test]
async fn so_it_does_where_workers_share_a_socket() {
    resumes_everywhere(&TLS13, "shared").await;
}

/// The secrets are the socket's, which outlives its workers.
#[tokio::test]
async fn tickets_are_good_over_stop_and_start() {
    let fleet = Fleet::ready(service(2, &[], &[]), 2).await;
    let clients = [client(&fleet, &TLS13).await, client(&fleet, &TLS12).await];
    for client in &clients {
        assert!(!client.visit().await.resumes);
    }
    let before = ids_of(&fleet, 2).await;
    fleet.ostler(["stop", "web"]).success().await;
    fleet.ostler(["start", "web"]).success().await;
    let after = ids_of(&fleet, 2).await;
    assert_eq!(before.intersection(&after).count(), 0);
    for client in &clients {
        let Visit { resumes, worker } = client.visit().await;
        assert!(resumes && after.contains(&worker), "{worker} of {after:?}");
    }
}

/// What the others are held against: so many resume where workers share nothing.
#[tokio::test]
async fn with_tickets_of_their_own_few_resume() {
    let own = service(WORKERS, &[], &[("OWN_TICKETS", "1")]);
    let fleet = Fleet::ready(own, WORKERS as usize).await;
    for version in [&TLS12, &TLS13] {
        let client = client(&fleet, version).await;
        assert!(!client.visit().await.resumes);
        let (resumed, served) = come_back(&client).await;
        assert_eq!(served, ids(&fleet).await, "each was reached");
        assert!(resumed <= VISITS / 2, "{resumed} of {VISITS} resumed");
    }
}

/// What two workers print of rotations, each read to a place of its own.
struct Rotations([Lines; 2]);

impl Rotations {
    fn of(fleet: &Fleet) -> Self {
        let printed = &fleet.process.stdout;
        Self([printed.clone(), printed.clone()])
    }

    /// Waits until both have printed another one.
    async fn next(&mut self) {
        for (worker, lines) in ["web.0 | ", "web.1 | "].iter().zip(&mut self.0) {
            let rotated = |line: &str| line.starts_with(worker) && line.ends_with(" have rotated");
            lines.wait_for_line(rotated, PATIENCE).await;
        }
    }
}

/// For one rotation at least, and for two at most.
#[tokio::test]
async fn a_ticket_outlives_one_rotation_and_not_two() {
    let often = service(2, &[("ticket_rotation", "3s")], &[]);
    let fleet = Fleet::ready(often, 2).await;
    let mut rotations = Rotations::of(&fleet);
    let mut resumed = false;
    while !resumed {
        rotations.next().await;
        let (soon, late) = (client(&fleet, &TLS13).await, client(&fleet, &TLS12).await);
        for client in [&soon, &late] {
            assert!(!client.visit().await.resumes);
        }
        rotations.next().await;
        // Not if the machine stood still meanwhile: then another try tells.
        resumed = soon.visit().await.resumes;
        rotations.next().await;
        assert!(
            !late.visit().await.resumes,
            "nobody has that secret any more"
        );
    }
}
