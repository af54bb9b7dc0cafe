//! Counting what this worker serves, for a master that recycles workers by it (`max_requests`, `idle_timeout`).
//!
//! Counting is two additions. Telling is a task of its own: it says at once that something changed, then at most once a
//! second how much it is by then; and nothing while nothing changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ostler_bus::{
    client::{Bus, ConnectionState},
    vocab::worker::Served,
};
use tokio::sync::Notify;

/// From one word to the next, at least.
const EVERY: Duration = Duration::from_secs(1);

/// How long the master may take to hear it.
const HEARD: Duration = Duration::from_secs(5);

/// Counts requests, so that the master hears of them. Cheap to clone; all clones count together.
///
/// [`Worker::serve`](crate::Worker::serve) counts what it serves by itself. Whoever serves in another way, or does work that
/// nobody asks for by HTTP, counts it here:
///
/// ```no_run
/// # async fn serve(worker: ostler_worker_sdk::Worker) {
/// let requests = worker.requests();
/// let under_way = requests.begin();
/// // … the work …
/// drop(under_way);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// How many have begun.
    begun: AtomicU64,
    /// How many have ended.
    ended: AtomicU64,
    /// Something changed that was not told yet.
    changed: AtomicBool,
    change: Notify,
}

/// A request that has begun. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "the request ends when this is dropped"]
pub struct RequestUnderWay(RequestCounter);

impl RequestCounter {
    /// Counts a request, which ends when what this gives is dropped: no worker is idle while one is under way.
    pub fn begin(&self) -> RequestUnderWay {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.note();
        RequestUnderWay(self.clone())
    }

    /// Counts a request that needs no time.
    pub fn count(&self) {
        drop(self.begin());
    }

    fn note(&self) {
        if !self.0.changed.swap(true, Ordering::SeqCst) {
            self.0.change.notify_one();
        }
    }

    pub(crate) fn served(&self) -> Served {
        // Ended first: what ends in between has begun as well.
        let ended = self.0.ended.load(Ordering::SeqCst);
        let requests = self.0.begun.load(Ordering::SeqCst);
        Served {
            requests,
            under_way: requests.saturating_sub(ended),
        }
    }

    /// Waits until something has changed; how much it is now.
    async fn next(&self) -> Served {
        while !self.0.changed.swap(false, Ordering::SeqCst) {
            self.0.change.notified().await;
        }
        self.served()
    }
}

impl Drop for RequestUnderWay {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Ordering::SeqCst);
        self.0.note();
    }
}

/// Says that this worker counts, before it can say that it is ready.
pub(crate) async fn say_hello(bus: &Bus, counter: &RequestCounter) {
    if let Err(error) = bus.request_within(&counter.served(), HEARD).await {
        tracing::debug!("the master did not hear that requests are counted: {error}");
        counter.note();
    }
}

/// Tells the master how much is served, until the bus is closed.
pub(crate) async fn tell(bus: Bus, counter: RequestCounter) {
    loop {
        let served = counter.next().await;
        if let ConnectionState::Closed(_) = &*bus.state().borrow() {
            return;
        }
        if let Err(error) = bus.request_within(&served, HEARD).await {
            tracing::debug!("the master did not hear what was served: {error}; it is said again");
            counter.note();
        }
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_changed_is_told_once_and_in_one() {
        let counter = RequestCounter::default();
        let (first, second) = (counter.begin(), counter.clone().begin());
        drop(first);
        let served = |requests, under_way| Served {
            requests,
            under_way,
        };
        assert_eq!(counter.next().await, served(2, 1));
        let nothing = tokio::time::timeout(Duration::from_millis(20), counter.next());
        assert!(nothing.await.is_err(), "nothing has changed");
        let waits = tokio::spawn({
            let counter = counter.clone();
            async move { counter.next().await }
        });
        tokio::task::yield_now().await;
        drop(second);
        let told = tokio::time::timeout(Duration::from_secs(10), waits);
        assert_eq!(told.await.expect("told").expect("it ends"), served(2, 0));
        counter.count();
        assert_eq!(counter.next().await, served(3, 0));
    }
}
