//! While clients come all the time: whatever becomes of workers, each is answered by its own slot.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
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
