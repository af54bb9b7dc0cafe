//! Counting what this worker's listeners accept themselves, and telling the master, which shows it beside what it has handed over.
//! The kernel counts no accepts for each process, and the master doesn't see them: nobody else could tell. What is asked for at run time
//! is handed over, and is the master's to count.
//!
//! Counting is an addition. Telling is a task of its own: it says at once that something changed, then at most once a second how much
//! it is by then; when a drain begins; and nothing while nothing changes. Numbers only grow, so the last one says it all.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ostler_bus::{
    client::{Bus, ConnectionState, RequestError},
    vocab::worker::Accepted,
};
use tokio::{sync::Notify, time::sleep};

use crate::DrainSignal;

/// From one word to the next, at least.
const EVERY: Duration = Duration::from_secs(1);

/// How long the master may take to hear it; and to hear the last of it, for which the worker's end waits.
const HEARD: Duration = Duration::from_secs(5);
const LAST_HEARD: Duration = Duration::from_millis(500);

/// The counts of a worker's listeners. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accepts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Of the listeners that accept themselves, by their names.
    sockets: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    /// What the master has heard last.
    heard: Mutex<Accepted>,
    /// Something changed that was not told yet.
    changed: AtomicBool,
    change: Notify,
}

/// Counts what one listener accepts itself.
#[derive(Debug)]
pub(crate) struct AcceptCounter {
    of: Accepts,
    name: String,
    /// Once it accepts itself: of one that is handed connections nothing is told.
    count: Option<Arc<AtomicU64>>,
}

impl Accepts {
    /// For a declared socket.
    pub(crate) fn counter(&self, name: &str) -> AcceptCounter {
        AcceptCounter {
            of: self.clone(),
            name: name.into(),
            count: None,
        }
    }

    fn note(&self) {
        if !self.0.changed.swap(true, Ordering::SeqCst) {
            self.0.change.notify_one();
        }
    }

    /// Waits until something has changed.
    async fn changed(&self) {
        while !self.0.changed.swap(false, Ordering::SeqCst) {
            self.0.change.notified().await;
        }
    }

    fn now(&self) -> Accepted {
        let sockets = lock(&self.0.sockets);
        let counts = sockets.iter();
        let counts = counts.map(|(name, count)| (name.clone(), count.load(Ordering::SeqCst)));
        Accepted {
            sockets: counts.collect(),
        }
    }

    async fn say(&self, bus: &Bus, within: Duration) -> Result<(), RequestError> {
        let now = self.now();
        bus.request_within(&now, within).await?;
        *lock(&self.0.heard) = now;
        Ok(())
    }

    /// Tells the last of it, unless that was heard.
    pub(crate) async fn say_last(&self, bus: &Bus) {
        let heard = self.now() == *lock(&self.0.heard);
        if !heard {
            let _unheard = self.say(bus, LAST_HEARD).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AcceptCounter {
    /// It begins to accept itself. That is told, too: one that has accepted nothing is not one that doesn't tell.
    pub(crate) fn begin(&mut self) {
        let count = Arc::<AtomicU64>::default();
        lock(&self.of.0.sockets).insert(self.name.clone(), Arc::clone(&count));
        self.count = Some(count);
        self.of.note();
    }

    /// It has accepted a connection.
    pub(crate) fn count(&self) {
        if let Some(count) = &self.count {
            count.fetch_add(1, Ordering::SeqCst);
            self.of.note();
        }
    }
}

/// Tells the master, until the bus is closed.
pub(crate) async fn tell(bus: Bus, accepts: Accepts, mut drain: DrainSignal) {
    let (mut drains, mut state) = (false, bus.state());
    loop {
        accepts.changed().await;
        match accepts.say(&bus, HEARD).await {
            Ok(()) => {}
            Err(error) => {
                tracing::debug!("the master did not hear what was accepted: {error}");
                if may_pass(&error) {
                    accepts.note();
                }
            }
        }
        let connected = state.wait_for(|state| match state {
            ConnectionState::Reconnecting { .. } => false,
            ConnectionState::Connected | ConnectionState::Draining | ConnectionState::Closed(_) => {
                true
            }
        });
        match connected.await.as_deref() {
            Ok(ConnectionState::Closed(_)) | Err(_) => return,
            Ok(_) => {}
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            _ = drain.begun(), if !drains => drains = true,
        }
    }
}

/// Whether the same may be heard if it is said again. Else it is left at that until there is more to say: nobody hears it (a master of
/// another version; perhaps the next one does), or it is refused.
fn may_pass(error: &RequestError) -> bool {
    match error {
        RequestError::TimedOut { .. }
        | RequestError::NotSent(_)
        | RequestError::Disconnected(_) => true,
        RequestError::NoResponders { .. }
        | RequestError::Denied { .. }
        | RequestError::Declined { .. }
        | RequestError::Misfit { .. }
        | RequestError::Refused { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use ostler_bus::{
        client::ConnectOptions,
        hub::{Hub, Principal},
    };
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::{alone, drain};

    fn accepted(sockets: &[(&str, u64)]) -> Accepted {
        let sockets = sockets.iter();
        let sockets = sockets.map(|(name, count)| ((*name).into(), *count));
        Accepted {
            sockets: sockets.collect(),
        }
    }

    #[tokio::test]
    async fn what_changed_is_told_in_one_and_nothing_of_who_does_not_accept_itself() {
        let accepts = Accepts::default();
        let (mut http, mut other) = (accepts.counter("http"), accepts.counter("other"));
        http.count();
        let soon = Duration::from_millis(20);
        assert!(timeout(soon, accepts.changed()).await.is_err());
        assert_eq!(accepts.now(), accepted(&[]));
        http.begin();
        accepts.changed().await;
        assert_eq!(accepts.now(), accepted(&[("http", 0)]));
        other.begin();
        http.count();
        other.count();
        other.count();
        accepts.changed().await;
        assert_eq!(accepts.now(), accepted(&[("http", 1), ("other", 2)]));
        assert!(timeout(soon, accepts.changed()).await.is_err());
    }

    /// A worker whose master is this test.
    async fn bus() -> (Bus, Hub, Bus) {
        let (bus, _, hub) = alone::stand_in().await.unwrap();
        let transport = hub.attach_memory(Principal::Master).unwrap();
        let master = Bus::connect(transport, ConnectOptions::client("master"));
        (bus, hub, master.await.unwrap())
    }

    #[tokio::test]
    async fn the_master_hears_it_at_once_and_then_when_a_drain_begins() {
        let (worker, _hub, master) = bus().await;
        let mut words = master.serve::<Accepted>().await.unwrap();
        let accepts = Accepts::default();
        let (trigger, drain) = drain::signal();
        tokio::spawn(tell(worker.clone(), accepts.clone(), drain));
        let mut http = accepts.counter("http");
        let mut heard = async || {
            let word = timeout(HEARD, words.next()).await.unwrap().unwrap();
            let said = word.request().clone();
            word.reply(&()).await.unwrap();
            said
        };
        http.begin();
        assert_eq!(heard().await, accepted(&[("http", 0)]));
        http.count();
        http.count();
        let begun = Instant::now();
        trigger.begin(crate::Draining::within("update", HEARD));
        assert_eq!(heard().await, accepted(&[("http", 2)]));
        assert!(begun.elapsed() < EVERY, "{:?}", begun.elapsed());
        let noted = async {
            while *lock(&accepts.0.heard) != accepted(&[("http", 2)]) {
                tokio::task::yield_now().await;
            }
        };
        timeout(HEARD, noted).await.unwrap();
        // That was heard: the end has nothing to say, until there is more.
        accepts.say_last(&worker).await;
        http.count();
        let ((), last) = tokio::join!(accepts.say_last(&worker), heard());
        assert_eq!(last, accepted(&[("http", 3)]));
    }

    #[tokio::test]
    async fn what_is_declined_is_not_said_again_before_it_changes() {
        let (worker, _hub, master) = bus().await;
        let mut words = master.serve::<Accepted>().await.unwrap();
        let accepts = Accepts::default();
        let mut http = accepts.counter("http");
        http.begin();
        let (_trigger, drain) = drain::signal();
        tokio::spawn(tell(worker.clone(), accepts.clone(), drain));
        let word = timeout(HEARD, words.next()).await.unwrap().unwrap();
        word.decline("no");
        let again = timeout(EVERY + EVERY / 2, words.next()).await;
        assert!(again.is_err(), "nothing has changed");
        http.count();
        let word = timeout(HEARD, words.next()).await.unwrap().unwrap();
        assert_eq!(*word.request(), accepted(&[("http", 1)]));
    }

    #[tokio::test]
    async fn a_master_that_does_not_know_the_word_is_not_asked_again_before_it_changes() {
        let (worker, _hub, _master) = bus().await;
        let accepts = Accepts::default();
        accepts.counter("http").begin();
        let (_trigger, drain) = drain::signal();
        tokio::spawn(tell(worker.clone(), accepts.clone(), drain));
        let said = async {
            while accepts.0.changed.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
        };
        timeout(HEARD, said).await.unwrap();
        // Answered after that.
        let answer = accepts.say(&worker, HEARD).await;
        assert!(matches!(answer, Err(RequestError::NoResponders { .. })));
        let again = timeout(Duration::from_millis(50), accepts.changed()).await;
        assert!(again.is_err(), "nothing has changed");
    }
}
