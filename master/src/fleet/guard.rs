//! Against workers that ask for a restart at each start.
//!
//! [`MOST_IN_A_ROW`] consecutive updates, each asked for by the generation that the update before created, within
//! [`WINDOW`]: then what this app's workers ask for is ignored for as long. An update that anyone else asked for breaks
//! the row and lifts the suspension.

use std::{collections::VecDeque, time::Duration};

use ostler_bus::Generation;

use super::Moment;

/// So many such updates in a row are let through.
const MOST_IN_A_ROW: usize = 3;

/// Within this time, and then none for as long.
pub(super) const WINDOW: Duration = Duration::from_secs(600);

/// Who is behind an update, as far as this matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// A worker of the app itself, of this generation.
    Own(Generation),
    /// Anyone else. Weighs more when requests are joined.
    Outside,
}

/// What to do with a request from one of the app's own workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Let it through.
    Admit,
    /// Suspend from now on, and say so.
    Suspend,
    /// Suspended already: ignore it.
    Ignore,
}

/// The memory of an app's updates.
#[derive(Debug, Default)]
pub(super) struct LoopGuard {
    created: Option<Generation>,
    row: VecDeque<Moment>,
    until: Option<Moment>,
}

impl LoopGuard {
    /// Rules on a request by a worker of this generation.
    pub(super) fn rule(&mut self, now: Moment, generation: Generation) -> Ruling {
        match self.until {
            Some(until) if now < until => return Ruling::Ignore,
            Some(_) => {
                *self = Self {
                    created: self.created,
                    ..Self::default()
                }
            }
            None => {}
        }
        self.row.retain(|then| now - *then <= WINDOW);
        if self.row.len() >= MOST_IN_A_ROW && Some(generation) >= self.created {
            self.until = Some(now + WINDOW);
            return Ruling::Suspend;
        }
        Ruling::Admit
    }

    /// Notes that an update begins.
    pub(super) fn note(&mut self, now: Moment, asker: Asker, generation: Generation) {
        match asker {
            Asker::Own(own) if Some(own) == self.created => self.row.push_back(now),
            Asker::Own(_) | Asker::Outside => {
                self.row.clear();
                self.until = None;
            }
        }
        self.created = Some(generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(seconds))
    }

    /// Generation 1 asks first; each new generation asks for the next.
    fn looped(guard: &mut LoopGuard, times: u64) {
        for n in 1..=times {
            assert_eq!(
                guard.rule(at(n), Generation(n)),
                Ruling::Admit,
                "update {n}"
            );
            guard.note(at(n), Asker::Own(Generation(n)), Generation(n + 1));
        }
    }

    #[test]
    fn three_updates_asked_for_by_what_an_update_created_suspend_the_fourth() {
        let mut guard = LoopGuard::default();
        looped(&mut guard, 4);
        assert_eq!(guard.rule(at(5), Generation(5)), Ruling::Suspend);
        assert_eq!(guard.rule(at(6), Generation(5)), Ruling::Ignore);
        assert_eq!(guard.rule(at(5) + WINDOW, Generation(5)), Ruling::Admit);
    }

    #[test]
    fn anyone_elses_update_breaks_the_row_and_lifts_the_suspension() {
        let mut guard = LoopGuard::default();
        looped(&mut guard, 4);
        assert_eq!(guard.rule(at(5), Generation(5)), Ruling::Suspend);
        guard.note(at(6), Asker::Outside, Generation(6));
        assert_eq!(guard.rule(at(7), Generation(6)), Ruling::Admit);
    }

    #[test]
    fn slow_loops_are_nobodys_business() {
        let mut guard = LoopGuard::default();
        for n in 1..20 {
            assert_eq!(guard.rule(at(n * 400), Generation(n)), Ruling::Admit);
            guard.note(at(n * 400), Asker::Own(Generation(n)), Generation(n + 1));
        }
    }
}
