//! Telling the master what this worker still has to finish, while it drains: somebody may be waiting for it.

use std::time::Duration;

use ostler_bus::{client::Bus, vocab::worker::Holding};
use tokio::sync::watch;

/// Not told more often than this: it is for people to read.
const EVERY: Duration = Duration::from_millis(500);

/// Tells each change until whoever counts is done.
pub(crate) async fn tell(bus: Bus, mut held: watch::Receiver<u64>) {
    while held.changed().await.is_ok() {
        let word = Holding {
            held: *held.borrow_and_update(),
        };
        // Not heard: the next one may be.
        let _unheard = bus.request_within(&word, EVERY).await;
        tokio::time::sleep(EVERY).await;
    }
}
