//! Telling of the fleet: whoever reads the log gets a line, then whoever listens on the bus gets the event.

use ostler_bus::{
    Event,
    client::Bus,
    vocab::worker::{ExitStatus, WorkerExited},
};

use super::{Shell, lines};
use crate::{config::app::AppName, fleet::FleetEvent};

impl Shell {
    /// Tells everyone of an event, after the shell has taken note of it itself.
    pub(super) fn tell(&mut self, event: &FleetEvent) {
        match event {
            FleetEvent::WorkerExited(exit) => self.tell_exit(exit),
            FleetEvent::AppResized(resized) => {
                self.shrunk.extend(AppName::new(&resized.app));
                lines::log(event);
            }
            other => lines::log(other),
        }
        self.stand(event);
        self.note_parting(event);
        self.note_failed(event);
        publish(&self.bus, event);
    }

    fn tell_exit(&mut self, exit: &WorkerExited) {
        let killed_advice = match self.killed.remove(&exit.worker.id) {
            true => "",
            false => " (out of memory? see `dmesg`)",
        };
        lines::exited(exit, killed_advice);
        if let ExitStatus::NotStarted(_) = exit.status {
            self.clear(exit.worker.id);
        }
    }
}

/// Tells everyone on the bus. Events go into the bus client's queue; if that is full the hub has stopped, and supervision
/// goes on without it.
pub(super) fn emit<E: Event>(bus: &Bus, event: &E) {
    if let Err(error) = bus.try_emit(event) {
        tracing::debug!("{} was not published: {error}", E::TOPIC);
    }
}

fn publish(bus: &Bus, event: &FleetEvent) {
    match event {
        FleetEvent::WorkerSpawned(e) => emit(bus, e),
        FleetEvent::WorkerOnline(e) => emit(bus, e),
        FleetEvent::WorkerReady(e) => emit(bus, e),
        FleetEvent::WorkerDraining(e) => emit(bus, e),
        FleetEvent::WorkerDisconnected(e) => emit(bus, e),
        FleetEvent::WorkerExited(e) => emit(bus, e),
        FleetEvent::WorkerHook(e) => emit(bus, e),
        FleetEvent::WorkerReleased(e) => emit(bus, e),
        FleetEvent::UpdateStarted(e) => emit(bus, e),
        FleetEvent::UpdateProgress(e) => emit(bus, e),
        FleetEvent::UpdateFinished(e) => emit(bus, e),
        FleetEvent::UpdateAborted(e) => emit(bus, e),
        FleetEvent::UpdateRolledBack(e) => emit(bus, e),
        FleetEvent::UpdateSuspended(e) => emit(bus, e),
        FleetEvent::AppResized(e) => emit(bus, e),
        FleetEvent::AppFailed(e) => emit(bus, e),
        FleetEvent::OperationFinished(e) => emit(bus, e),
    }
}
