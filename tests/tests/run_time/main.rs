//! What workers ask of their master at run time, as Node's cluster offers it to its own: sockets by address, and connections
//! passed from worker to worker. Real masters, real workers (`asker`, which does what it is told), real descriptors.

mod errors;
mod giving;
mod languages;
mod lasting;
mod misuse;
mod sharing;
mod udp;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use ostler_bus::{
    Slot,
    vocab::status::{SocketStatus, StatusReport},
};
use ostler_tests::{
    harness::{App, Fleet, PATIENCE, deadline},
    ostler,
    words::Do,
};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// An app of workers that do as they are told; first, before they are ready, these things.
fn app(instances: u32, first: &[&str]) -> App {
    let command = [&[env!("CARGO_BIN_EXE_asker")], first].concat();
    App::new("web", command)
        .instances(instances)
        .set("start_parallel", 16)
        .unwatched()
}

/// So many of them.
async fn askers(instances: u32) -> Fleet {
    let apps = [app(instances, &[])];
    Fleet::ready(ostler!().apps(&apps), instances as usize).await
}

/// Has the worker of a slot do something.
async fn tell(fleet: &Fleet, slot: u32, what: &str) -> String {
    let what = what.to_owned();
    let order = Do { what };
    let order = fleet.bus.question(&order).to_slot("web", Slot(slot));
    let done = order.timeout(PATIENCE).ask().await;
    done.expect("a worker that does as it is told").reply
}

/// Has it listen, or bind: the number by which it closes that, and where it is.
async fn opens(fleet: &Fleet, slot: u32, what: &str) -> (String, String) {
    let done = tell(fleet, slot, what).await;
    let opened = done.split_once(' ').filter(|_| !done.starts_with("error"));
    let (number, address) = opened.unwrap_or_else(|| panic!("{what}: {done}"));
    (number.to_owned(), address.to_owned())
}

fn parsed(address: &str) -> SocketAddr {
    address.parse().expect("an address of TCP")
}

/// Which worker serves a connection.
async fn who(address: &str) -> String {
    let read = async {
        let mut stream = TcpStream::connect(parsed(address))
            .await
            .expect("it listens");
        let mut id = String::new();
        stream.read_to_string(&mut id).await.expect("an answer");
        id
    };
    deadline("an answer", PATIENCE, read).await
}

/// Connects until all of these workers have served.
async fn all_serve(address: &str, workers: &BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    let all = async {
        while seen != *workers {
            let id = who(address).await;
            assert!(workers.contains(&id), "{id:?} of {workers:?}");
            seen.insert(id);
        }
    };
    deadline("every worker to serve", PATIENCE, all).await;
}

fn is_free(address: &str) -> bool {
    // Bound as servers bind it, or the connections that were made to it would be in the way.
    std::net::TcpListener::bind(parsed(address)).is_ok()
}

/// The sockets that workers have asked for.
fn asked(status: &StatusReport) -> Vec<&SocketStatus> {
    let sockets = status.apps.iter().flat_map(|app| &app.sockets);
    sockets.filter(|socket| socket.asked_by.is_some()).collect()
}

/// Waits until there are so many of them.
async fn until_asked(fleet: &Fleet, sockets: usize) -> StatusReport {
    let there = move |status: &StatusReport| asked(status).len() == sockets;
    fleet
        .until("sockets to be asked for, or closed", there)
        .await
}

async fn ids(fleet: &Fleet) -> BTreeSet<String> {
    let workers = fleet.status().await.workers.into_iter();
    workers
        .filter_map(|worker| Some(worker.id?.to_string()))
        .collect()
}

/// The descriptors of a process.
fn descriptors(pid: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    open.expect("a living process").count()
}

/// Soon enough for something that must not happen to have happened.
const MOMENT: Duration = Duration::from_millis(300);
