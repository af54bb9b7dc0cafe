//! Where the zygote is, if there is one. Where none serves, for whatever reason, it does without for a while: each would cost
//! a start as much as a shim of its own, for nothing.

use std::{
    fmt::Display,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Zygote;
use crate::process::spawner::Ours;

/// After so many zygotes in a row of which there was no copy, there is none for a while.
const IN_VAIN: u32 = 3;

/// How long that is. Then one more is tried.
const PAUSE: Duration = Duration::from_mins(1);

/// The place of the zygote. Clones are the same place; with the last of them the zygote ends.
#[derive(Clone, Debug, Default)]
pub(in crate::process) struct Place(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Nobody yet, or no more: the next worker's start begins with one.
    zygote: Option<Arc<Zygote>>,
    /// None can be copied here. The one that has said so is kept: the first process of a namespace takes all others along,
    /// and nothing can be started there after it.
    given_up: bool,
    patience: Patience,
}

impl Place {
    /// The process id of the zygote, if there is one that serves.
    pub(in crate::process) fn pid(&self) -> Option<u32> {
        self.lock().serving().map(|zygote| zygote.pid())
    }

    /// The zygote. It is started if there is none, unless that is of no use.
    pub(in crate::process) fn zygote(&self, program: &Path, ours: &Ours) -> Option<Arc<Zygote>> {
        let mut state = self.lock();
        if state.zygote.is_none() && !state.given_up && state.patience.lasts(Instant::now()) {
            let place = Arc::downgrade(&self.0);
            let gone = move |pid| {
                if let Some(place) = place.upgrade() {
                    Self(place).vacate(pid, "it has ended");
                }
            };
            let started = Zygote::start(program, ours.clone(), gone);
            state.zygote = started.ok().map(Arc::new);
        }
        state.serving().cloned()
    }

    /// There was a copy.
    pub(in crate::process) fn serves(&self) {
        self.lock().patience = Patience::default();
    }

    /// This zygote, which may have been replaced already, is of no use any more.
    pub(in crate::process) fn vacate(&self, pid: u32, why: impl Display) {
        let mut state = self.lock();
        if !state.is(pid) {
            return;
        }
        state.zygote = None;
        tracing::debug!("the zygote is replaced: {why}");
        if state.patience.is_lost(Instant::now()) {
            tracing::info!(
                "workers start more slowly: {IN_VAIN} zygotes in a row could not be copied, the last one because {why}; \
                 another one is tried every {} s",
                PAUSE.as_secs()
            );
        }
    }

    /// No zygote is of any use here.
    pub(in crate::process) fn give_up(&self, pid: u32, why: impl Display) {
        let mut state = self.lock();
        if state.is(pid) && !state.given_up {
            state.given_up = true;
            tracing::debug!("starts are slower, there can be no zygote here: {why}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn serving(&self) -> Option<&Arc<Zygote>> {
        self.zygote.as_ref().filter(|_| !self.given_up)
    }

    fn is(&self, pid: u32) -> bool {
        self.zygote
            .as_ref()
            .is_some_and(|zygote| zygote.pid() == pid)
    }
}

/// How many more are worth a try.
#[derive(Debug, Default)]
struct Patience {
    in_vain: u32,
    /// Without any until then.
    until: Option<Instant>,
}

impl Patience {
    fn lasts(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// One more was of no use. Whether that was the one too many: those after it are no news.
    fn is_lost(&mut self, now: Instant) -> bool {
        self.in_vain = self.in_vain.saturating_add(1);
        if self.in_vain >= IN_VAIN {
            self.until = Some(now + PAUSE);
        }
        self.in_vain == IN_VAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_lost_once_and_comes_back_for_one_more_at_a_time() {
        let start = Instant::now();
        let mut patience = Patience::default();
        for lost in [false, false, true] {
            assert!(patience.lasts(start));
            assert_eq!(patience.is_lost(start), lost);
        }
        assert!(!patience.lasts(start));
        assert!(!patience.lasts(start + PAUSE / 2));
        let later = start + PAUSE;
        assert!(patience.lasts(later));
        assert!(!patience.is_lost(later), "it has been told");
        assert!(!patience.lasts(later));
        assert!(patience.lasts(later + PAUSE));
    }

    #[test]
    fn only_those_in_a_row_are_counted() {
        let place = Place::default();
        let now = Instant::now();
        for _ in 0..IN_VAIN * 2 {
            place.serves();
            for _ in 1..IN_VAIN {
                assert!(!place.lock().patience.is_lost(now));
                assert!(place.lock().patience.lasts(now));
            }
        }
    }
}
