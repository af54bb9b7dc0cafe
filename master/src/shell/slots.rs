//! Sockets of which each slot has its own: which slots get connections, and that none is lost when there are fewer slots.
//!
//! A worker whose slot is to go, or is to be stopped while others run, is told so only when nothing waits at its sockets any
//! more: first the kernel is told to leave them out, then whoever is there is taken in by the worker, as it doesn't know yet. What
//! waits for a slot that nobody serves any more does so for a while, in case the app grows again; then it is closed, counted and
//! told.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use ostler_bus::{Slot, WorkerId, vocab::update::ConnectionsLost};
use tokio::sync::oneshot;

use super::{Shell, handle::Message, tell};
use crate::{
    config::app::{AppName, socket::SocketKind},
    fleet::{Action, FleetEvent},
    sockets::{Reach, Retired, SocketId, slots::InGroup},
};

/// How often the queues of a slot that is to go are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Nothing may wait there for so long, as far as clients are on this machine.
const QUIET: Duration = Duration::from_millis(20);

/// The same for clients anywhere: who has asked for a connection has it after one turn to and fro.
const QUIET_ANYWHERE: Duration = Duration::from_millis(300);

/// A worker is told to go after this time in any case, or after half of what it has for that.
const LONGEST: Duration = Duration::from_secs(2);

/// How often a slot that has gone is looked at while something waits there.
const LEFT_OVER: Duration = Duration::from_millis(500);

/// How long they may: whoever scales an app down by mistake has seen it by then.
const AT_MOST: Duration = Duration::from_secs(10);

/// What slots that go leave behind.
#[derive(Debug, Default)]
pub(super) struct Leavings {
    /// Workers that are not told to go yet.
    parting: HashMap<WorkerId, Parting>,
    /// Slots that have gone although something waits there; since when.
    left_over: BTreeMap<(AppName, Slot), Instant>,
}

/// A worker that is not told to go yet, as something may wait for it.
#[derive(Debug)]
struct Parting {
    /// What it will be told, and when it would have been.
    kept: Vec<(Instant, Action)>,
    /// Its sockets, for whoever looks at what waits there; no longer than that matters, as each keeps its address from others.
    _own: Arc<Vec<InGroup>>,
}

impl Shell {
    /// Notes what has become of slots, before anything is done about it.
    pub(super) fn direct_slots(&mut self) {
        self.workshop.direct_slots(&self.fleet);
    }

    /// A worker begins to leave. If its slot goes with it, that waits until nothing does.
    pub(super) fn note_parting(&mut self, event: &FleetEvent) {
        let FleetEvent::WorkerDraining(event) = event else {
            return;
        };
        let (id, slot) = (event.worker.id, event.worker.slot);
        let Some(order) = self.processes.get(&id).map(|it| Arc::clone(&it.order)) else {
            return;
        };
        let app = order.app.clone();
        if !self.fleet.is_dispensed_with(&app, slot) {
            return;
        }
        let Some(reach) = self.workshop.sockets.has_groups(&app, slot) else {
            return;
        };
        let quiet = match reach {
            Reach::ThisMachine => QUIET,
            Reach::Anywhere => QUIET_ANYWHERE,
        };
        let mut own = self.workshop.sockets.groups(&app).unwrap_or_default();
        own.retain(|it| it.slot == slot);
        let own = Arc::new(own);
        let looked_at = Arc::downgrade(&own);
        let waited_at = Weak::clone(&looked_at);
        let parting = Parting {
            kept: Vec::new(),
            _own: own,
        };
        self.leavings.parting.insert(id, parting);
        // Time to finish what it has is left in any case.
        let first = order.definition.kill_ladder.first();
        let longest = first.and_then(|rung| rung.wait).unwrap_or(LONGEST) / 2;
        let settled = self.workshop.groups.settled();
        let shell = self.handle.clone();
        tokio::spawn(async move {
            let dry = run_dry(settled, quiet, looked_at);
            let dry = tokio::time::timeout(longest.min(LONGEST), dry).await;
            // It may have had no time to be quiet.
            if dry.is_err() && !is_dry(&waited_at) {
                tracing::warn!("{app}.{slot}: clients still wait for worker {id}, which is to go");
            }
            shell.send(Message::MayPart { id }).await;
        });
    }

    /// Whether an action is to wait until its worker may be told to go; it is kept then.
    pub(super) fn keeps_back(&mut self, action: &Action) -> bool {
        let id = match action {
            Action::Drain { id, .. } | Action::StopMessage { id, .. } => id,
            Action::Signal { id, signal, .. } if *signal != libc::SIGKILL => id,
            Action::Signal { .. }
            | Action::Spawn(_)
            | Action::CallOff { .. }
            | Action::Probe(_)
            | Action::Hook(_)
            | Action::EndHook { .. }
            | Action::Release { .. }
            | Action::Answer { .. }
            | Action::AnswerDisconnect { .. }
            | Action::Forget { .. }
            | Action::Publish(_)
            | Action::Warn(_)
            | Action::Say(_)
            | Action::Done { .. } => return false,
        };
        match self.leavings.parting.get_mut(id) {
            Some(parting) => {
                parting.kept.push((Instant::now(), action.clone()));
                true
            }
            None => false,
        }
    }

    /// Nothing waits for this worker any more.
    pub(super) fn may_part(&mut self, id: WorkerId) {
        let parting = self.leavings.parting.remove(&id);
        for (since, mut action) in parting.into_iter().flat_map(|parting| parting.kept) {
            // The ladder has not waited.
            if let Action::Drain {
                deadline: Some(left),
                ..
            } = &mut action
            {
                *left = left.saturating_sub(since.elapsed());
            }
            // None of them is the fleet's last.
            let _goes_on = self.perform(action);
        }
    }

    /// A worker has gone: there is nothing more to tell it.
    pub(super) fn has_parted(&mut self, id: WorkerId) {
        self.leavings.parting.remove(&id);
    }

    /// Closes the sockets of slots that are no more and in which nobody lives, or keeps them, once nothing comes and nothing
    /// waits there.
    pub(super) fn retire_slots(&mut self, app: &AppName, size: u32) {
        let lives = |slot| {
            let mut there = self.processes.values().map(|process| &process.order);
            there.any(|order| order.app == *app && order.slot == slot)
        };
        let is_gone = |slot: Slot| slot.0 >= size.max(1) && !lives(slot);
        let left_over = &self.leavings.left_over;
        let anyway = |slot| {
            let since = left_over.get(&(app.clone(), slot));
            since.is_some_and(|since| since.elapsed() >= AT_MOST)
        };
        let (closing, left) = self.workshop.sockets.retiring(app, is_gone, anyway);
        if !closing.is_empty() && !self.workshop.groups.has_told() {
            let (settled, shell) = (self.workshop.groups.settled(), self.handle.clone());
            let app = app.clone();
            tokio::spawn(async move {
                // If nobody tells the kernel any more there is nothing to wait for.
                let _settled = settled.await;
                shell.send(Message::LeftOver(app)).await;
            });
            return;
        }
        let any = !closing.is_empty();
        for id in closing {
            self.retire(app, id);
        }
        if any {
            self.workshop.look_for_strangers(app);
        }
        self.workshop.let_go_of_listeners();
        let left_over = &mut self.leavings.left_over;
        left_over.retain(|(of, slot), _| of != app || left.contains(slot));
        for slot in left {
            if let Entry::Vacant(new) = left_over.entry((app.clone(), slot)) {
                new.insert(Instant::now());
                let (shell, app) = (self.handle.clone(), app.clone());
                tokio::spawn(async move {
                    let mut waited = Duration::ZERO;
                    while waited <= AT_MOST {
                        tokio::time::sleep(LEFT_OVER).await;
                        waited += LEFT_OVER;
                        shell.send(Message::LeftOver(app.clone())).await;
                    }
                });
            }
        }
    }

    fn retire(&mut self, app: &AppName, id: SocketId) {
        self.workshop.note_shut(id);
        let groups = &self.workshop.groups;
        let Some(gone) = self.workshop.sockets.retire(id, groups.runs()) else {
            return;
        };
        // In this order: nobody is chosen by a place that is still the one's who goes.
        let what = match gone.kept {
            true => {
                groups.keep(id);
                "kept for when the slot comes back"
            }
            false => {
                groups.part(id);
                "closed"
            }
        };
        self.tell_gone(app, gone, what);
    }

    /// Says that a slot's own socket is gone, and what was lost by that.
    pub(super) fn tell_gone(&self, app: &AppName, gone: Retired, what: &str) {
        tracing::info!("{app}.{}: its socket {:?} is {what}", gone.slot, gone.name);
        self.tell_lost(app, gone);
    }

    /// An app has gone, and all it had with it; what waited for its slots is lost.
    pub(super) fn forget(&mut self, app: &AppName) {
        for lost in self.workshop.forget(app) {
            self.tell_lost(app, lost);
        }
        // An app that comes by this name is another: what waits for its slots has all of its time.
        self.leavings.left_over.retain(|(of, _), _| of != app);
        self.ended.remove(app);
    }

    /// Closes what no definition has any more, and no worker.
    pub(super) fn close_left_out(&mut self) {
        for (app, lost) in self.workshop.close_left_out(&self.fleet) {
            for lost in lost {
                self.tell_lost(&app, lost);
            }
        }
    }

    fn tell_lost(&self, app: &AppName, gone: Retired) {
        if gone.lost > 0 {
            let (what, are) = match gone.kind {
                SocketKind::Stream | SocketKind::Seqpacket => ("connections", "reset"),
                SocketKind::Datagram => ("datagrams", "thrown away"),
            };
            tracing::error!(
                "{app}.{}: {} {what} waited at its socket {:?}, and nobody was there to take them: they were {are}",
                gone.slot,
                gone.lost,
                gone.name
            );
            let lost = ConnectionsLost {
                app: app.to_string(),
                slot: gone.slot,
                socket: gone.name,
                connections: gone.lost,
            };
            tell::emit(&self.bus, &lost);
        }
    }

    /// A slot has failed: as soon as something waits there, it is tried again sooner.
    pub(super) fn note_failed(&mut self, event: &FleetEvent) {
        let FleetEvent::AppFailed(failed) = event else {
            return;
        };
        let Ok(app) = AppName::new(&failed.app) else {
            return;
        };
        let shell = &self.handle;
        self.workshop.watch_for_clients(&app, failed.slot, shell);
    }
}

/// Waits until the kernel was told, and then nothing has waited for so long, or nobody is there any more to whom it matters.
async fn run_dry(settled: oneshot::Receiver<()>, quiet: Duration, own: Weak<Vec<InGroup>>) {
    // If nobody tells the kernel it chooses by itself, and it doesn't run dry.
    let _settled = settled.await;
    let mut since = Instant::now();
    while since.elapsed() < quiet {
        tokio::time::sleep(LOOK).await;
        if !is_dry(&own) {
            since = Instant::now();
        }
    }
}

/// Whether nothing waits there, or nobody is there any more to whom it matters.
fn is_dry(own: &Weak<Vec<InGroup>>) -> bool {
    let own = own.upgrade();
    own.is_none_or(|own| own.iter().all(InGroup::is_dry))
}
