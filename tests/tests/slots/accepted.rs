//! What workers accept themselves is counted by them, and told to whoever asks: where each slot has its own socket, and where all share
//! one, which is told beside.

use std::collections::BTreeSet;

use ostler_bus::{
    WorkerId,
    vocab::{status::AcceptStatus, worker::Accepted},
};

use super::*;

fn accepts(status: &StatusReport) -> Vec<&AcceptStatus> {
    let sockets = sockets(status).iter();
    sockets
        .filter_map(|socket| socket.accepts.as_ref())
        .collect()
}

/// By all workers there ever were.
fn in_all(status: &StatusReport) -> u64 {
    accepts(status).iter().map(|its| its.accepted).sum()
}

/// By those there are, with their ids.
fn by_workers(status: &StatusReport) -> (BTreeSet<WorkerId>, u64) {
    let workers = || accepts(status).into_iter().flat_map(|its| &its.workers);
    let sum = workers().map(|worker| worker.accepted).sum();
    (workers().map(|worker| worker.id).collect(), sum)
}

/// The ids of the workers that serve.
fn serving(status: &StatusReport) -> BTreeSet<WorkerId> {
    status.workers.iter().filter_map(|its| its.id).collect()
}

async fn load(fleet: &Fleet, requests: u64) {
    let plan = to(fleet.address().await, "/").requests(requests);
    let tally = fleet.load_with(plan).await.finish().await;
    assert_eq!(tally.lost(), 0, "{tally}");
}

/// A worker has its own count as long as it lives, and a socket that of all its workers as long as it is bound.
async fn counts_are_exact(mode: &'static str) {
    let app = sdk(3, mode);
    let fleet = ready(&app, 3).await;
    let so = |status: &StatusReport| by_workers(status) == (serving(status), 0);
    let before = fleet.until("workers to say that they count", so).await;
    load(&fleet, 300).await;
    let so = |status: &StatusReport| by_workers(status) == (serving(status), 300);
    let status = fleet.until("300 to be counted", so).await;
    assert_eq!(in_all(&status), 300, "{mode}");
    // While workers are replaced.
    let (reload, ()) = tokio::join!(fleet.ostler(["reload"]).success(), load(&fleet, 400));
    drop(reload);
    let so = |status: &StatusReport| {
        let (workers, sum) = by_workers(status);
        workers == serving(status) && workers.len() == 3 && in_all(status) == 700 && sum <= 400
    };
    let status = fleet.until("700 to be counted in all", so).await;
    assert!(serving(&status).is_disjoint(&serving(&before)), "{mode}");
    let (_, sum) = by_workers(&status);
    load(&fleet, 100).await;
    let so = |status: &StatusReport| {
        in_all(status) == 800 && by_workers(status) == (serving(status), sum + 100)
    };
    let status = fleet.until("800 to be counted in all", so).await;
    let table = fleet.ostler(["sockets"]).success().await.stdout;
    let shown = table.lines().map(|line| line.split_whitespace());
    let taken = shown.skip_while(|words| !words.clone().eq(TAKEN)).skip(1);
    let taken: u64 = taken
        .map(|mut words| words.nth(4).expect("a count").parse::<u64>().expect("one"))
        .sum();
    assert_eq!(taken, sum + 100, "{table}");
    for its in accepts(&status) {
        let told = format!("{} accepted", its.accepted);
        assert!(table.contains(&told), "{told}: {table}");
    }
}

const TAKEN: [&str; 9] = [
    "APP", "SOCKET", "WORKER", "SLOT", "TAKEN", "REFUSED", "OPEN", "MOST", "HANDED",
];

#[tokio::test]
async fn workers_that_share_a_socket_count_what_each_accepts() {
    counts_are_exact("shared").await;
}

#[tokio::test]
async fn workers_of_slots_count_what_each_accepts() {
    counts_are_exact("slot").await;
}

#[tokio::test]
async fn workers_of_sticky_sockets_count_what_each_accepts() {
    counts_are_exact("sticky").await;
}

#[tokio::test]
async fn of_programs_that_do_not_count_nothing_is_told() {
    let fleet = ready(&web(2, "shared"), 2).await;
    load(&fleet, 20).await;
    let status = fleet.status().await;
    assert_eq!(sockets(&status)[0].accepts, None);
    let table = fleet.ostler(["sockets"]).success().await.stdout;
    let row = table.lines().nth(1).expect("a row");
    assert!(
        row.ends_with("  -") && table.lines().count() == 2,
        "{table}"
    );
    // Nor can others tell it of them.
    let told = Accepted {
        sockets: [("http".into(), 7)].into(),
    };
    let refused = fleet.bus.request_within(&told, PATIENCE).await;
    assert!(refused.is_err(), "{refused:?}");
}

/// It counts what it accepts itself, and the master the rest; and an idle one has nothing to say.
#[tokio::test]
async fn workers_that_are_handed_connections_tell_nothing_and_idle_ones_sleep() {
    let fleet = ready(&sdk(2, "balanced"), 2).await;
    load(&fleet, 50).await;
    let so = |status: &StatusReport| {
        let balance = sockets(status)[0].balance.as_ref();
        balance.is_some_and(|balance| balance.accepted == 50)
    };
    let status = fleet.until("50 to be counted", so).await;
    assert_eq!(sockets(&status)[0].accepts, None);
    drop(fleet);
    let fleet = ready(&sdk(2, "shared"), 2).await;
    load(&fleet, 50).await;
    let so = |status: &StatusReport| in_all(status) == 50;
    let status = fleet.until("50 to be counted", so).await;
    for worker in &status.workers {
        falls_asleep(worker.pid.expect("a living worker"), "sdk_worker").await;
    }
}
