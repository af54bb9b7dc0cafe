//! Against workers that ask for a restart at each start, or write into the folder that is watched for them.
//!
//! [`MOST_IN_A_ROW`] consecutive updates, each asked for by the generation that the update before created, within
//! [`WINDOW`]: then what this app's workers ask for is ignored for as long. An update that anyone else asked for breaks
//! the row and lifts the suspension.
//!
//! Nobody knows who wrote a file. But what workers write at their start, or all the time, changes [`SOON`] after the
//! update before has started one: [`MOST_FILES_IN_A_ROW`] such updates, and further changes of files are ignored until
//! there has been none for [`FILES_REST`], or anyone else asks for an update. People don't save that often; if one does,
//! the warning says how to go on.

use std::{collections::VecDeque, time::Duration};

use ostler_bus::Generation;

use super::Moment;

/// So many such updates in a row are let through.
const MOST_IN_A_ROW: usize = 3;

/// Within this time, and then none for as long.
pub(super) const WINDOW: Duration = Duration::from_secs(600);

/// So many updates in a row for files that changed so soon are let through.
pub(super) const MOST_FILES_IN_A_ROW: usize = 5;

/// A file that changes within this time after the app's last worker was started may have been written by it. Workers
/// take as long to load as updates watch the first of them by default.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// Files are quiet when none has changed for so long.
pub(super) const FILES_REST: Duration = Duration::from_secs(60);

/// Who is behind an update, as far as this matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// A worker of the app itself, of this generation.
    Own(Generation),
    /// A file that has changed.
    File(Changed),
    /// Anyone else. Weighs more when requests are joined.
    Outside,
}

/// When a file has changed. Of several, the later says more: somebody else writes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Changed {
    /// During an update, or [`SOON`] after a worker was started.
    Soon,
    /// While nobody had been started for longer.
    Later,
}

/// What to do with a request that may be one of a loop.
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
    /// Updates in a row for files that changed so soon.
    files: usize,
    files_until: Option<Moment>,
}

impl LoopGuard {
    /// Rules on a request by a worker of this generation.
    pub(super) fn rule(&mut self, now: Moment, generation: Generation) -> Ruling {
        match self.until {
            Some(until) if now < until => return Ruling::Ignore,
            Some(_) => {
                self.row.clear();
                self.until = None;
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

    /// Rules on a request because of a file.
    pub(super) fn rule_file(&mut self, now: Moment, changed: Changed) -> Ruling {
        match self.files_until {
            Some(until) if now < until => {
                self.files_until = Some(now + FILES_REST);
                return Ruling::Ignore;
            }
            Some(_) => {
                self.files = 0;
                self.files_until = None;
            }
            None => {}
        }
        if changed == Changed::Soon && self.files >= MOST_FILES_IN_A_ROW {
            self.files_until = Some(now + FILES_REST);
            return Ruling::Suspend;
        }
        Ruling::Admit
    }

    /// Notes that an update begins.
    pub(super) fn note(&mut self, now: Moment, asker: Asker, generation: Generation) {
        match asker {
            Asker::Own(own) if Some(own) == self.created => self.row.push_back(now),
            Asker::Own(_) | Asker::File(_) | Asker::Outside => {
                self.row.clear();
                self.until = None;
            }
        }
        match asker {
            Asker::File(Changed::Soon) => self.files += 1,
            Asker::File(Changed::Later) | Asker::Own(_) | Asker::Outside => {
                self.files = 0;
                self.files_until = None;
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

    /// Updates for a file that changes as soon as there is a new worker.
    fn files(guard: &mut LoopGuard, times: usize) -> Moment {
        let mut now = at(0);
        for n in 1..=times {
            now = at(n as u64 * 3);
            assert_eq!(guard.rule_file(now, Changed::Soon), Ruling::Admit, "{n}");
            guard.note(now, Asker::File(Changed::Soon), Generation(n as u64));
        }
        now
    }

    #[test]
    fn a_file_that_changes_after_every_start_is_ignored_until_files_are_quiet() {
        let mut guard = LoopGuard::default();
        let mut now = files(&mut guard, MOST_FILES_IN_A_ROW);
        assert_eq!(guard.rule_file(now, Changed::Soon), Ruling::Suspend);
        for _ in 0..10 {
            now = now + (FILES_REST - Duration::from_secs(1));
            assert_eq!(guard.rule_file(now, Changed::Later), Ruling::Ignore);
        }
        let quiet = now + FILES_REST;
        assert_eq!(guard.rule_file(quiet, Changed::Later), Ruling::Admit);
        files(&mut guard, MOST_FILES_IN_A_ROW);
    }

    #[test]
    fn a_later_change_or_a_command_is_no_loop() {
        for other in [Asker::File(Changed::Later), Asker::Outside] {
            let mut guard = LoopGuard::default();
            let now = files(&mut guard, MOST_FILES_IN_A_ROW);
            assert_eq!(guard.rule_file(now, Changed::Later), Ruling::Admit);
            guard.note(now, other, Generation(9));
            files(&mut guard, MOST_FILES_IN_A_ROW);
        }
        let mut guard = LoopGuard::default();
        let now = files(&mut guard, MOST_FILES_IN_A_ROW);
        assert_eq!(guard.rule_file(now, Changed::Soon), Ruling::Suspend);
        guard.note(now, Asker::Outside, Generation(9));
        assert_eq!(
            guard.rule_file(now, Changed::Soon),
            Ruling::Admit,
            "a command lifts it"
        );
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
