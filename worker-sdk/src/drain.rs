//! Draining: being told to finish what one has, take nothing new, and go.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

/// That this worker drains, and until when it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draining {
    /// Why: "update", "stop", "SIGTERM", …
    pub reason: String,
    /// When to be done: a little before the kill ladder's next, less polite rung.
    pub deadline: Instant,
}

/// What is left of the time to drain for ending in order, if that much can be spared.
const SPARE: Duration = Duration::from_millis(250);

/// The longest time to drain: further than any ladder reaches, and near enough to reckon with.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Draining {
    /// `time` is how long it takes until the next rung.
    pub(crate) fn within(reason: impl Into<String>, time: Duration) -> Self {
        let time = time.min(LONGEST);
        Self {
            reason: reason.into(),
            deadline: Instant::now() + time - SPARE.min(time / 10),
        }
    }
}

/// Tells when to drain. Cheap to clone; any number of tasks may wait on it.
#[derive(Clone, Debug)]
pub struct DrainSignal(watch::Receiver<Option<Draining>>);

/// Makes the signal go off; the first reason stands.
#[derive(Clone, Debug)]
pub(crate) struct DrainTrigger(watch::Sender<Option<Draining>>);

pub(crate) fn signal() -> (DrainTrigger, DrainSignal) {
    let (sender, receiver) = watch::channel(None);
    (DrainTrigger(sender), DrainSignal(receiver))
}

impl DrainTrigger {
    pub(crate) fn begin(&self, draining: Draining) {
        self.0.send_if_modified(|state| {
            let first = state.is_none();
            state.get_or_insert(draining);
            first
        });
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// The time is over: whatever is still open is cut.
    pub(crate) fn cut(&self) {
        self.0.send_if_modified(|state| {
            state.as_mut().is_some_and(|draining| {
                let earlier = Instant::now() < draining.deadline;
                draining.deadline = draining.deadline.min(Instant::now());
                earlier
            })
        });
    }
}

impl DrainSignal {
    /// Waits until this worker is to drain.
    pub async fn begun(&mut self) -> Draining {
        match self
            .0
            .wait_for(Option::is_some)
            .await
            .map(|state| state.clone())
        {
            Ok(Some(draining)) => draining,
            // Whoever could have begun it is gone: it never will.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until the time to drain is over: at its deadline, or when a second signal cuts it short.
    pub async fn over(&mut self) {
        let mut deadline = self.begun().await.deadline;
        while let Ok(changed) = tokio::time::timeout_at(deadline, self.0.changed()).await {
            match changed {
                Ok(()) => deadline = self.begun().await.deadline,
                Err(_) => return tokio::time::sleep_until(deadline).await,
            }
        }
    }

    /// Whether this worker drains already.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_who_waits_is_told_and_the_first_reason_stands() {
        let (trigger, signal) = signal();
        let (mut a, mut b) = (signal.clone(), signal);
        assert!(!a.has_begun());
        trigger.begin(Draining::within("update", Duration::from_secs(1)));
        trigger.begin(Draining::within("stop", Duration::from_secs(1)));
        assert_eq!(a.begun().await.reason, "update");
        assert_eq!(b.begun().await, a.begun().await);
    }

    #[tokio::test]
    async fn time_is_over_at_the_deadline_or_when_cut_short() {
        let (trigger, mut signal) = signal();
        trigger.begin(Draining::within("update", Duration::from_millis(20)));
        signal.over().await;
        let (trigger, mut signal) = super::signal();
        trigger.begin(Draining::within("update", Duration::from_secs(3600)));
        trigger.cut();
        tokio::time::timeout(Duration::from_secs(10), signal.over())
            .await
            .expect("cut short");
    }
}
