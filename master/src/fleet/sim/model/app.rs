//! An app as the checker believes it to be: what was asked for it, and what is under way.

use std::collections::BTreeSet;

use ostler_bus::{Generation, Slot, WorkerId};

use crate::{
    config::app::{AppDefinition, AppName, life::Restart, update::UpdateRules},
    fleet::sim::script,
};

/// An app as it should be.
#[derive(Debug, Default)]
pub(in crate::fleet::sim) struct AppModel {
    pub(in crate::fleet::sim) size: u32,
    pub(in crate::fleet::sim) wanted: bool,
    pub(in crate::fleet::sim) instances: u32,
    /// Slots of its may be left without a worker.
    pub(in crate::fleet::sim) stops_for_good: bool,
    /// A worker may be replaced without an update.
    pub(in crate::fleet::sim) recycles: bool,
    /// The last version there is.
    pub(in crate::fleet::sim) version: u64,
    /// The update under way.
    pub(in crate::fleet::sim) updating: Option<Generation>,
    /// The generation that is being taken back.
    pub(in crate::fleet::sim) going_back: Option<Generation>,
    /// How its workers are replaced.
    pub(in crate::fleet::sim) rules: UpdateRules,
    /// Its largest size since none of its slots had two workers, or one that was to be the second.
    pub(in crate::fleet::sim) widest: u32,
    /// The slots that failed too often, and got no other worker since.
    pub(in crate::fleet::sim) failed: BTreeSet<Slot>,
    /// How many slots it has replaced.
    pub(in crate::fleet::sim) replaced: u32,
    /// The last update began after the last change.
    pub(super) covers: bool,
    /// The last change was tried and found no good.
    pub(in crate::fleet::sim) excused: bool,
    /// It is in no file any more, or was deleted.
    pub(in crate::fleet::sim) removed: bool,
    /// Its slots that were stopped by themselves.
    pub(in crate::fleet::sim) parked: BTreeSet<Slot>,
    /// It is being restarted: those up to this one must go before another is started.
    pub(in crate::fleet::sim) restarting: Option<WorkerId>,
    /// Nothing has happened to it yet but its first start.
    pub(in crate::fleet::sim) pristine: bool,
    /// A worker of it has been started since none was wanted.
    pub(in crate::fleet::sim) begun: bool,
    pub(in crate::fleet::sim) priority: i32,
    /// It waits for others.
    pub(in crate::fleet::sim) depends_on: Vec<AppName>,
}

impl AppModel {
    pub(super) fn define(&mut self, definition: &AppDefinition) {
        if self.removed {
            (self.removed, self.begun, self.pristine) = (false, false, false);
            (self.wanted, self.size) = (definition.start.autostart, definition.instances);
            self.parked.clear();
        } else if self.version == 0 {
            (self.wanted, self.pristine) = (definition.start.autostart, true);
            self.size = definition.instances;
        } else {
            self.pristine = false;
            if definition.instances != self.instances {
                self.size = definition.instances;
            }
        }
        self.park_none_beyond();
        self.priority = definition.start.priority;
        self.depends_on.clone_from(&definition.start.depends_on);
        self.instances = definition.instances;
        let life = &definition.life;
        self.stops_for_good = !definition.stop_exit_codes.is_empty()
            || life.restart != Restart::Always
            || life.retry_failed.is_none()
            || !life.fatal_exit_codes.is_empty()
            || life.oneshot;
        self.rules = definition.update.clone();
        let recycle = &definition.recycle;
        self.recycles |=
            recycle.max_age.is_some() || recycle.max_memory.is_some() || recycle.counts_requests();
        self.version = script::version(definition);
        (self.covers, self.excused) = (false, false);
    }

    /// Whether no worker of it is wanted.
    pub(in crate::fleet::sim) fn wants_none(&self) -> bool {
        !self.wanted || (0..self.size).all(|slot| self.parked.contains(&Slot(slot)))
    }

    pub(super) fn park_none_beyond(&mut self) {
        let size = self.size;
        self.parked.retain(|slot| slot.0 < size);
        self.begun &= !self.wants_none();
    }

    pub(super) fn park(&mut self, slot: Slot) {
        self.parked.insert(slot);
        self.begun &= !self.wants_none();
    }

    /// What starting it, or one of its slots, means.
    pub(super) fn start(&mut self, slot: Option<Slot>) {
        self.excused &= !self.wants_none();
        if !self.wanted {
            let others = (0..self.size).map(Slot);
            self.parked = others.filter(|_| slot.is_some()).collect();
        }
        match slot {
            Some(slot) => drop(self.parked.remove(&slot)),
            None => self.parked.clear(),
        }
        (self.wanted, self.pristine) = (true, false);
    }

    pub(in crate::fleet::sim) fn update_started(&mut self, generation: Generation) {
        self.updating = Some(generation);
        (self.covers, self.excused, self.pristine) = (true, false, false);
        self.replaced = 0;
    }

    pub(in crate::fleet::sim) fn update_aborted(&mut self) {
        self.updating = None;
        self.excused = self.covers;
    }

    pub(in crate::fleet::sim) fn update_finished(&mut self) {
        self.updating = None;
        self.excused = false;
    }
}
