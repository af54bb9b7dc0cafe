//! While clients come all the time: whatever becomes of workers, each is answered by its own slot.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::*;

/// Clients that come again and again; each has to be answered by the slot that it had before.
struct Clients {
    going: Arc<AtomicBool>,
    rounds: JoinHandle<u32>,
}

impl Clients {
    /// These, whose slots are known.
    fn come(slots: BTreeMap<u32, u64>, address: SocketAddr) -> Self {
        let going = Arc::new(AtomicBool::new(true));
        let goes = Arc::clone(&going);
        let rounds = tokio::spawn(async move {
            let mut rounds = 0;
            while goes.load(Ordering::Relaxed) {
                assert_eq!(
                    moved(&slots, &slots_of_these(slots.keys(), address).await),
                    []
                );
                rounds += 1;
            }
            rounds
        });
        Self { going, rounds }
    }

    /// None was lost, and none has moved.
    async fn all_were_at_home(self) {
        self.going.store(false, Ordering::Relaxed);
        let rounds = self.rounds.await;
        assert!(rounds.expect("no client moved or was lost") > 0);
    }
}

async fn updates_move_nobodys_clients(app: &App) {
    let fleet = ready(app, 3).await;
    let address = fleet.address().await;
    let clients = Clients::come(slots_of(60, address).await, address);
    for version in 2..=4 {
        fleet.dir().write("version", &version.to_string());
        fleet.ostler(["reload"]).success().await;
    }
    clients.all_were_at_home().await;
}

/// Each connection comes to somebody, though workers are replaced all the time: what waits for a slot waits.
#[tokio::test]
async fn updates_and_crashes_of_what_is_idle_lose_nothing() {
    updates_move_nobodys_clients(&web(3)).await;
}

/// There is a moment at which only workers that drain take connections, or none does.
#[tokio::test]
async fn updates_of_all_workers_at_once_move_nobodys_clients() {
    for (strategy, many) in [
        ("surge", "max_surge"),
        ("replace", "max_unavailable"),
        ("all_at_once", "max_unavailable"),
    ] {
        let app = web(3).set("strategy", strategy).set(many, "100%");
        let app = app.set("min_healthy", "0s");
        updates_move_nobodys_clients(&app).await;
    }
}

/// A worker that listens, is ready, and takes its time to accept: whoever waits for it is given to nobody else, also when all who do accept
/// have begun to drain.
#[tokio::test]
async fn who_has_said_that_it_listens_is_waited_for_however_long_it_takes() {
    let fleet = ready(&web(2).set("min_healthy", "0s"), 2).await;
    let address = fleet.address().await;
    let mine = slots_of(20, address).await;
    let mine = mine.into_iter().find(|(_, slot)| *slot == 0);
    let (client, _) = mine.expect("a client of slot 0");
    let old: BTreeSet<_> = fleet
        .status()
        .await
        .workers
        .iter()
        .filter_map(|its| its.id)
        .collect();
    // The age of the worker that follows in a slot, once it is there alone.
    let follows = |status: &StatusReport, slot| {
        let mut there = status.workers.iter().filter(|its| its.slot.0 == slot);
        let one = there
            .next()
            .filter(|its| its.id.is_some_and(|id| !old.contains(&id)));
        let one = one.filter(|its| its.state == "ready").map(|its| its.age_ms);
        one.filter(|_| there.next().is_none())
    };
    fleet.dir().write("late", "");
    fleet.ostler(["reload", "--no-wait"]).success().await;
    let replaced = |status: &StatusReport| follows(status, 0).is_some();
    let status = fleet
        .until("slot 0 to have a new worker alone", replaced)
        .await;
    let age = follows(&status, 0).expect("a worker");
    let answer = knock(client, address).await;
    let waits = |status: &StatusReport| balance(status).is_some_and(|its| its.waiting == 1);
    fleet.until("the client to wait", waits).await;
    // For longer than anything is waited for that might come.
    let late = |status: &StatusReport| follows(status, 0).is_some_and(|now| now > age + 6_000);
    fleet.until("slot 0 to be silent for long", late).await;
    fleet.dir().write("others", "");
    let replaced = |status: &StatusReport| follows(status, 1).is_some();
    fleet
        .until("slot 1 to have a new worker alone", replaced)
        .await;
    let status = fleet.status().await;
    assert!(waits(&status) && !answer.is_finished(), "{status:#?}");
    fleet.dir().write("go", "");
    assert_eq!(answered(answer).await, 0);
}

#[tokio::test]
async fn crashes_move_nobodys_clients() {
    let fleet = ready(&web(3), 3).await;
    let address = fleet.address().await;
    let before = slots_of(60, address).await;
    // What a worker is serving when it dies is lost.
    let mut others = before.clone();
    others.retain(|_, slot| *slot != 1);
    let clients = Clients::come(others, address);
    for _ in 0..5 {
        signal(&fleet.worker("web", 1).await, Signal::KILL);
        assert_eq!(moved(&before, &slots_of(60, address).await), []);
        fleet.until_ready(3).await;
    }
    clients.all_were_at_home().await;
}
