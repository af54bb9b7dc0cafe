//! What workers may be asked and told, and when: questions, signals, and the word that they should go.

use std::time::Duration;

use ostler_bus::WorkerId;

use super::{
    checker::{Checked, Checker, promise},
    model::Life,
};
use crate::fleet::{Moment, ProbeOrder, SignalTarget};

impl Checker {
    /// A worker is asked whether it serves: one question at a time, and none once it is to go.
    pub(super) fn asked(&mut self, order: &ProbeOrder) -> Checked {
        let worker = self
            .model
            .workers
            .get_mut(&order.id)
            .ok_or("nobody is asked")?;
        promise!(worker.spawned && !worker.leaving(), "asked out of turn");
        promise!(worker.asked.is_none(), "asked twice");
        worker.asked = Some(order.ask);
        Ok(())
    }

    /// A signal is for those that it should be for.
    pub(super) fn aimed(&self, id: WorkerId, signal: i32, target: SignalTarget) -> Checked {
        let Some(worker) = self.model.workers.get(&id) else {
            return Ok(());
        };
        let hung = matches!(&worker.life, Life::Leaving { reason, .. } if reason == "hung");
        let all = signal == 9 || (worker.definition.stop.kill_group && !hung);
        promise!(
            all == (target == SignalTarget::Group),
            "{signal} is for {target:?}"
        );
        Ok(())
    }

    /// A worker is sent a signal, or the drain message.
    pub(super) fn told(&mut self, now: Moment, id: WorkerId, signal: i32) -> Checked {
        self.may_be_told(id, signal)?;
        let forced = self.model.forced;
        let worker = self
            .model
            .workers
            .get_mut(&id)
            .ok_or("a signal to nobody")?;
        promise!(worker.spawned, "a signal to what is not there yet");
        let Life::Leaving { since, reason } = &worker.life else {
            return Err("a signal to one that may stay".into());
        };
        promise!(!worker.told.contains(&signal), "told {signal} twice");
        let patience = if reason == "too much memory" {
            promise!(signal == 9, "one that is far too large was told {signal}");
            Duration::ZERO
        } else if reason == "hung" {
            let first = worker.definition.life.hang_signal;
            promise!(
                signal == 9 || signal == first,
                "a hung worker was told {signal}"
            );
            worker.definition.life.hang_grace
        } else {
            let waits = worker
                .definition
                .kill_ladder
                .iter()
                .filter_map(|rung| rung.wait);
            waits.sum::<Duration>()
        };
        promise!(
            signal != 9 || forced || worker.is_far_too_large() || now - *since >= patience,
            "killed after {:?}",
            now - *since
        );
        worker.told.push(signal);
        Ok(())
    }

    pub(super) fn nobody_hangs(&self, now: Moment) -> Checked {
        for (id, worker) in &self.model.workers {
            promise!(!worker.is_hung(now), "worker {id} has hung, and may stay");
            promise!(
                !worker.is_far_too_large() || worker.told.contains(&9),
                "worker {id} is far too large, and may stay"
            );
        }
        Ok(())
    }
}
