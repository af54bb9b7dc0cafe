//! How long the hub's thread has slept: what it could have done beside its work.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

thread_local! {
    /// How long this thread has slept in all.
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// Since when it sleeps.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// This thread goes to sleep.
pub(super) fn begin() {
    SINCE.set(Some(Instant::now()));
}

/// This thread is awake again.
pub(super) fn end() {
    if let Some(since) = SINCE.take() {
        SLEPT.set(SLEPT.get() + since.elapsed());
    }
}

/// How long this thread has slept in all, since it began.
pub(super) fn total() -> Duration {
    SLEPT.get()
}

#[cfg(test)]
mod tests {
    use tokio::{runtime::Builder, time::sleep};

    use super::*;

    #[test]
    fn a_runtime_that_waits_sleeps() {
        let waited = Duration::from_millis(20);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(begin)
            .on_thread_unpark(end)
            .build()
            .unwrap();
        let before = total();
        let began = Instant::now();
        runtime.block_on(async { sleep(waited).await });
        let slept = total() - before;
        assert!(slept > waited / 2, "{slept:?}");
        assert!(slept <= began.elapsed(), "{slept:?}");
    }
}
