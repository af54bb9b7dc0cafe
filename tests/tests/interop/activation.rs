//! A master that systemd's own tool starts (`systemd-socket-activate`), as its units do: at the first connection, with sockets by name.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use ostler_tests::harness::{
    App, Exit, Mark, PATIENCE, PrivateDir, eventually, free_port, installed,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::*;

/// What a process was started with, of what a starter says.
fn told_of_sockets(process: u64) -> BTreeMap<String, String> {
    let environment = fs::read(format!("/proc/{process}/environ"));
    let environment = String::from_utf8_lossy(&environment.expect("a living process")).into_owned();
    let variables = environment.split('\0').filter_map(|it| it.split_once('='));
    let own = variables.filter(|(name, _)| name.starts_with("LISTEN_"));
    own.map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// The first connection there is: it is what has the master started, so it is made before.
async fn first_answer(address: SocketAddr) -> String {
    let listens = || TcpStream::connect(address).ok();
    let mut first = eventually("systemd's tool to listen", PATIENCE, listens).await;
    let asked = tokio::task::spawn_blocking(move || {
        first.set_read_timeout(Some(PATIENCE))?;
        first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        first.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = asked.await.expect("no panic").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    answer
}

#[tokio::test]
async fn what_systemd_passes_is_served_from_the_first_connection_on_and_workers_hear_of_their_own()
{
    let outside = PrivateDir::new();
    let (address, path) = (free_port(), outside.at("local.sock"));
    let (tcp, unix) = (address.to_string(), path.display().to_string());
    let spare = outside.at("spare.sock").display().to_string();
    let names = "--fdname=shop-https:shop-local:shop-spare";
    let through = [
        &[installed("systemd-socket-activate"), names],
        &["--listen", &tcp, "--listen", &unix][..],
        &["--listen", &spare],
        &["--setenv", "OSTLER_HOME", "--setenv", Mark::VARIABLE],
    ];
    // The one with another name than the starter's, the other by its number.
    let listen = json!({"http": "fd:shop-https", "local": "fd:4"});
    let misbehave = env!("CARGO_BIN_EXE_misbehave");
    let web = App::new("web", [misbehave, "notify", "0", "http", "version"])
        .instances(2)
        .unwatched()
        .set("listen", listen);
    let plain = App::new("plain", [misbehave, "notify", "0"]);
    let builder = Master::builder(env!("CARGO_BIN_EXE_ostler-under-test"))
        .with("version", "1")
        .apps(&[web, plain])
        .through(through.concat());
    let (mut master, answer) = tokio::join!(builder.start(), first_answer(address));
    for app in ["web", "plain"] {
        master.settled(app, "running").await;
    }
    master
        .wait_for_log("nobody serves the socket fd:5 (shop-spare)")
        .await;
    // The master is the process that systemd's tool was.
    let told = told_of_sockets(master.process.id().into());
    assert_eq!(told["LISTEN_FDNAMES"], "shop-https:shop-local:shop-spare");
    let shown = master.app("web").await["sockets"].clone();
    let passed: Vec<&Value> = (0..2).map(|at| &shown[at]["passed_as"]).collect();
    assert_eq!(passed, [3, 4], "{shown:#}");
    assert_eq!(shown[0]["address"], json!(tcp));
    assert_eq!(shown[1]["address"], json!(format!("unix:{unix}")));

    let workers = master.pids("web").await;
    assert!(
        workers
            .values()
            .any(|pid| answer.contains(&format!("\"pid\":{pid}"))),
        "{answer} of {workers:?}"
    );
    for pid in workers.values() {
        let told = told_of_sockets(*pid);
        let (count, names) = ("2".to_owned(), "http:local".to_owned());
        let own = [
            ("LISTEN_FDS", count),
            ("LISTEN_FDNAMES", names),
            ("LISTEN_PID", pid.to_string()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(told, BTreeMap::from(own));
    }
    assert_eq!(
        told_of_sockets(master.pid("plain", 0).await),
        BTreeMap::new()
    );

    let load = master.load("web").await;
    for version in ["2", "3"] {
        master.dir().write("version", version);
        master.ostler(["reload", "web"]).success().await;
        load.answers(40, PATIENCE).await.expect("answers");
    }
    let tally = load.stop().await;
    nothing_lost(&tally);
    assert_eq!(tally.by.len(), 3, "{tally}");
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    assert!(path.exists(), "the starter has made it");
}
