//! A run: its thread, and the handle that watches and stops it.

use std::{
    sync::{Arc, atomic::AtomicU64},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    Plan, Progress, Tally,
    driver::{Shared, drive},
};

/// Starts runs.
#[derive(Debug)]
pub struct Load;

impl Load {
    /// Starts a run on a thread of its own.
    ///
    /// # Errors
    /// If the plan can't be run, or the thread or its runtime can't be made; in words.
    pub fn start(plan: Plan) -> Result<LoadHandle, String> {
        plan.refuse()?;
        let stop = watch::Sender::new(false);
        let progress = watch::Sender::new(Progress::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("can't make a runtime: {e}"))?;
        let (give, tally) = oneshot::channel();
        let handle_parts = (stop.clone(), progress.subscribe());
        let thread = std::thread::Builder::new()
            .name("load".into())
            .spawn(move || {
                let tally = runtime.block_on(run(plan, stop, progress));
                // Nobody waits for it if the handle was dropped.
                give.send(tally).ok();
            })
            .map_err(|e| format!("can't start a thread: {e}"))?;
        let (stop, progress) = handle_parts;
        Ok(LoadHandle {
            stop,
            progress,
            tally: Some(tally),
            thread: Some(thread),
        })
    }
}

async fn run(plan: Plan, stop: watch::Sender<bool>, progress: watch::Sender<Progress>) -> Tally {
    let began = Instant::now();
    let drivers = plan.connections;
    let shared = Arc::new(Shared {
        plan,
        began,
        issued: AtomicU64::new(0),
        progress,
        stop,
    });
    let mut parts = JoinSet::new();
    for _ in 0..drivers {
        parts.spawn(drive(Arc::clone(&shared)));
    }
    let mut tally = Tally::default();
    while let Some(part) = parts.join_next().await {
        match part {
            Ok(part) => tally.merge(part),
            // A check that panics is the test's verdict: hand it on.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    tally.elapsed = began.elapsed();
    shared
        .progress
        .send_modify(|progress| progress.finished = true);
    tally
}

/// A run under way. Dropping it stops the run without waiting for it.
#[derive(Debug)]
pub struct LoadHandle {
    stop: watch::Sender<bool>,
    progress: watch::Receiver<Progress>,
    tally: Option<oneshot::Receiver<Tally>>,
    thread: Option<JoinHandle<()>>,
}

impl LoadHandle {
    /// How far the run is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until `more` further requests have been answered.
    ///
    /// # Errors
    /// If the run finished, or `within` passed, before that.
    pub async fn answers(&self, more: u64, within: Duration) -> Result<(), String> {
        let mut progress = self.progress.clone();
        let goal = progress.borrow().answered + more;
        let reached = progress.wait_for(|p| p.answered >= goal || p.finished);
        let seen = match tokio::time::timeout(within, reached).await {
            Ok(Ok(seen)) => *seen,
            Ok(Err(_)) => return Err("the run has ended".into()),
            Err(_) => {
                return Err(format!(
                    "{:?} after {within:?}: wanted {goal}",
                    self.progress()
                ));
            }
        };
        if seen.answered >= goal {
            return Ok(());
        }
        Err(format!("the run has ended with {seen:?}: wanted {goal}"))
    }

    /// Begins no more requests; those under way come to their end ([`Plan::timeout`] at most) and are counted.
    ///
    /// # Panics
    /// With the panic of a check, if one panicked.
    pub async fn stop(self) -> Tally {
        self.stop.send_replace(true);
        self.finish().await
    }

    /// Waits until the plan is done.
    ///
    /// # Panics
    /// With the panic of a check, if one panicked.
    pub async fn finish(mut self) -> Tally {
        let tally = self.tally.take().expect("taken here only");
        if let Ok(tally) = tally.await {
            return tally;
        }
        let thread = self.thread.take().expect("taken here only");
        match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a thread that ends in good order gives its tally"),
        }
    }
}

impl Drop for LoadHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
