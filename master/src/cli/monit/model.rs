//! What is shown, and what keys mean. Pure.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ostler_bus::{
    Origin, Slot, WorkerId,
    hub::HubStats,
    vocab::{
        log::LogLine,
        status::{AppStatus, StatusReport, WorkerStatus},
    },
};

use super::super::traffic::Traffic;

/// What was seen of the master.
#[derive(Debug)]
pub(super) enum Seen {
    /// How things stand.
    State {
        report: Box<StatusReport>,
        stats: Box<HubStats>,
        /// Of the worker that was chosen when it was asked.
        lines: Vec<LogLine>,
    },
    /// It could not be asked.
    Nothing(String),
    /// Something to be said.
    Notice(String),
}

/// What somebody wants who has pressed a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Reload(String),
}

/// Which worker is chosen. A slot may have two for a while, and none for another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    app: String,
    slot: Slot,
    id: Option<WorkerId>,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Row<'a> {
    App(&'a AppStatus),
    Worker(&'a WorkerStatus),
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct View {
    pub(super) colour: bool,
    pub(super) report: Option<StatusReport>,
    pub(super) traffic: Option<Traffic>,
    pub(super) lines: Vec<LogLine>,
    /// The lines alone.
    pub(super) only_lines: bool,
    /// Why there is no master, while there is none.
    pub(super) away: Option<String>,
    pub(super) notice: Option<String>,
    chosen: Option<Chosen>,
    /// Percent of a core, by worker.
    cpu: HashMap<WorkerId, f64>,
}

impl View {
    pub(super) fn new(colour: bool) -> Self {
        Self {
            colour,
            report: None,
            traffic: None,
            lines: Vec::new(),
            only_lines: false,
            away: None,
            notice: None,
            chosen: None,
            cpu: HashMap::new(),
        }
    }

    /// Takes in what was seen.
    pub(super) fn take(&mut self, seen: Seen) {
        match seen {
            Seen::State {
                report,
                stats,
                lines,
            } => {
                let before = self.traffic.take().map(|traffic| traffic.now);
                self.traffic = Some(Traffic::between(before.as_ref(), *stats));
                self.cpu = cpu(self.report.as_ref(), &report, &self.cpu);
                self.report = Some(*report);
                self.away = None;
                self.keep_choice();
                // They may be another's, who was chosen before.
                let ours = self.chosen();
                let is_ours = |line: &LogLine| ours == Some((line.app.clone(), line.slot));
                self.lines = lines.into_iter().filter(is_ours).collect();
            }
            Seen::Nothing(why) => self.away = Some(why),
            Seen::Notice(text) => self.notice = Some(text),
        }
    }

    /// The connection was lost, for this reason; or is back.
    pub(super) fn away(&mut self, why: Option<String>) {
        self.away = why;
    }

    /// Apps, each with its workers below it.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let Some(report) = &self.report else {
            return Vec::new();
        };
        let rows = report.apps.iter().flat_map(|app| {
            let workers = report.workers.iter();
            let workers = workers
                .filter(|worker| worker.app == app.name)
                .map(Row::Worker);
            std::iter::once(Row::App(app)).chain(workers)
        });
        rows.collect()
    }

    /// The number of the chosen row.
    pub(super) fn chosen_row(&self) -> Option<usize> {
        let chosen = self.chosen.as_ref()?;
        self.rows().iter().position(|row| match row {
            Row::App(_) => false,
            Row::Worker(worker) => *chosen == Chosen::of(worker),
        })
    }

    /// The app and the slot that are chosen.
    pub(super) fn chosen(&self) -> Option<(String, Slot)> {
        let chosen = self.chosen.as_ref()?;
        Some((chosen.app.clone(), chosen.slot))
    }

    /// Percent of a core that a worker uses.
    pub(super) fn cpu(&self, worker: &WorkerStatus) -> Option<f64> {
        self.cpu.get(&worker.id?).copied()
    }

    /// Events a second that a worker publishes.
    pub(super) fn events(&self, worker: &WorkerStatus) -> Option<f64> {
        let (traffic, wanted) = (self.traffic.as_ref()?, worker.id?);
        let is_its = |origin: &Origin| matches!(origin, Origin::Worker { id, .. } if *id == wanted);
        let peers = traffic.now.peers.iter().filter(|peer| is_its(&peer.origin));
        peers.map(|peer| traffic.of(peer).published).sum()
    }

    /// What a key means.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Wish> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.notice = None;
        match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
            (KeyCode::Char('c'), true) | (KeyCode::Char('q'), false) => Some(Wish::Quit),
            (KeyCode::Esc, _) if self.only_lines => {
                self.only_lines = false;
                None
            }
            (KeyCode::Esc, _) => Some(Wish::Quit),
            (KeyCode::Up | KeyCode::Char('k'), _) => self.choose(-1),
            (KeyCode::Down | KeyCode::Char('j'), _) => self.choose(1),
            (KeyCode::Char('l') | KeyCode::Enter, false) => {
                self.only_lines = !self.only_lines;
                None
            }
            (KeyCode::Char('r'), false) => self.chosen().map(|(app, _)| Wish::Reload(app)),
            _ => None,
        }
    }

    /// Chooses the worker so many further down.
    fn choose(&mut self, by: isize) -> Option<Wish> {
        let workers = self.workers();
        let at = self.chosen.as_ref();
        let at = at.and_then(|chosen| workers.iter().position(|worker| worker == chosen));
        let last = workers.len().saturating_sub(1);
        let to = at.map_or(0, |at| at.saturating_add_signed(by).min(last));
        let chosen = workers.get(to).cloned();
        if chosen != self.chosen {
            self.chosen = chosen;
            self.lines.clear();
        }
        None
    }

    /// Whoever was chosen stays so: it, or who is in its slot now, or else the first.
    fn keep_choice(&mut self) {
        let workers = self.workers();
        let kept = self.chosen.as_ref().and_then(|old| {
            let same_slot = |new: &&Chosen| new.app == old.app && new.slot == old.slot;
            let same = workers.iter().find(|new| *new == old);
            // Of two, the newer one.
            same.or_else(|| workers.iter().rev().find(same_slot))
        });
        self.chosen = kept.or(workers.first()).cloned();
    }

    fn workers(&self) -> Vec<Chosen> {
        let workers = self.rows().into_iter().filter_map(|row| match row {
            Row::App(_) => None,
            Row::Worker(worker) => Some(Chosen::of(worker)),
        });
        workers.collect()
    }
}

impl Chosen {
    fn of(worker: &WorkerStatus) -> Self {
        Self {
            app: worker.app.clone(),
            slot: worker.slot,
            id: worker.id,
        }
    }
}

/// How busy each worker was between two reports; as it was known, where the second is the first one again.
fn cpu(
    before: Option<&StatusReport>,
    now: &StatusReport,
    known: &HashMap<WorkerId, f64>,
) -> HashMap<WorkerId, f64> {
    let same_master = |old: &&StatusReport| old.master.pid == now.master.pid;
    let before = before.filter(same_master);
    let busy = now.workers.iter().filter_map(|worker| {
        let (id, cpu) = (worker.id?, worker.cpu_ms?);
        let mut old = before.into_iter().flat_map(|report| &report.workers);
        let old = old.find(|old| old.id == Some(id));
        // One that has just come began with nothing.
        let (cpu_before, age_before) = match old {
            Some(old) => (old.cpu_ms?, old.age_ms),
            None => (0, 0),
        };
        let time = worker.age_ms.saturating_sub(age_before);
        let share = match time {
            0 => known.get(&id).copied()?,
            time => cpu.saturating_sub(cpu_before) as f64 * 100.0 / time as f64,
        };
        Some((id, share))
    });
    busy.collect()
}

#[cfg(test)]
mod tests;
