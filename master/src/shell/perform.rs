//! Doing what the fleet core decided.

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    client::RequestError,
    vocab::{control::Answer, worker::Drain},
};

use super::{Shell, Waiting, probe};
use crate::{
    config::app::probe::Check,
    escape,
    fleet::{Action, ProbeOrder, RequestToken, SignalTarget},
};

/// How long to wait for a worker to say that it heard that it should go.
const HEARD: Duration = Duration::from_secs(10);

impl Shell {
    /// Performs one action without waiting; the exit code if it was the last.
    pub(super) fn perform(&mut self, action: Action) -> Option<u8> {
        if self.keeps_back(&action) {
            return None;
        }
        match action {
            Action::Spawn(order) => self.start(order),
            Action::CallOff { id } => self.call_off(id),
            Action::Probe(order) => self.probe(order),
            Action::Hook(order) => self.hook(order),
            Action::EndHook { id } => self.end_hook(id),
            Action::Release { id } => self.release(id),
            Action::Signal { id, signal, target } => self.signal(id, signal, target),
            Action::StopMessage { id, signal, target } => self.stop_message(id, signal, target),
            Action::Drain {
                id,
                reason,
                deadline,
            } => self.drain(id, drain_word(reason, deadline)),
            Action::Answer { request, answer } => self.answer(request, answer),
            Action::AnswerDisconnect { id: _, request } => self.note_disconnect(request),
            Action::Forget { app } => {
                tracing::info!("{app} has gone");
                self.forget(&app);
            }
            Action::Publish(event) => self.tell(&event),
            Action::Warn(text) => tracing::warn!("{}", escape::line(&text)),
            Action::Say(text) => tracing::info!("{}", escape::line(&text)),
            Action::Done { code } => return Some(code),
        }
        None
    }

    /// Tells a worker on the bus to go. One that has said hello may not listen yet, and one that listens may have hung up:
    /// if nobody hears the word, the signal says it.
    fn drain(&self, id: WorkerId, word: Drain) {
        let (bus, process) = (self.bus.clone(), self.processes.get(&id).cloned());
        if let Some(process) = &process {
            process.note_leavers();
            process.wake(SignalTarget::Leader);
        }
        tokio::spawn(async move {
            let heard = bus.request_to(&Drain::topic(id), &word, HEARD).await;
            let (Err(why), Some(process)) = (heard, process) else {
                return;
            };
            // It listens and is only slow to answer: a signal on top of the word would cut what it serves.
            if matches!(why, RequestError::TimedOut { .. }) {
                return;
            }
            tracing::debug!("worker {id} did not hear that it should go ({why}): sent the signal");
            if let Err(error) = process.ask_politely() {
                tracing::debug!("worker {id} can't be told to go: {error}");
            }
        });
    }

    /// Asks a worker whether it serves. One that is gone answers nothing, and nobody waits for it.
    fn probe(&self, order: ProbeOrder) {
        let Some(process) = self.processes.get(&order.id) else {
            return;
        };
        // By the release that it was started from, as the worker itself.
        let Some(probe) = process.order.definition.probe(order.kind) else {
            return;
        };
        let helper = match &probe.check {
            Check::Command { command } => {
                let pid = Some(process.pid());
                Some(self.workshop.helper(command, &process.order, pid))
            }
            Check::Http { .. } | Check::Tcp { .. } => None,
        };
        let asking = probe::ask(order, probe.clone(), helper, self.handle.clone());
        tokio::spawn(asking);
    }

    /// Lets go of a worker.
    fn release(&mut self, id: WorkerId) {
        if let Some(process) = self.processes.remove(&id) {
            process.let_go();
            self.keeps_its_own(id, &process.order);
            self.workshop.kept.insert(process.order.app.clone());
        }
        self.signalled.remove(&id);
        self.counts.stop(id);
        if let Some(leash) = self.leashes.get_mut(&id) {
            leash.released = true;
        }
    }

    fn answer(&mut self, request: RequestToken, answer: Answer) {
        if let Some(Waiting::Command(waiting)) = self.waiting.remove(&request) {
            // Whoever asked has gone.
            let _gone = waiting.send(answer);
        }
    }

    fn note_disconnect(&mut self, request: RequestToken) {
        if let Some(Waiting::Disconnect(noted)) = self.waiting.remove(&request) {
            // The worker has gone without waiting.
            let _gone = noted.send(());
        }
    }

    /// Puts its app's stop message into a worker's standard input. If it doesn't read there, the signal says the same.
    fn stop_message(&mut self, id: WorkerId, signal: i32, target: SignalTarget) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        process.note_leavers();
        let message = process.order.definition.stop.message.as_deref();
        let taken = message.zip(process.stdin.as_ref());
        let taken = taken.map(|(message, stdin)| stdin.send(message));
        if matches!(taken, Some(Ok(()))) {
            return process.wake(target);
        }
        tracing::debug!("worker {id} did not take its stop message: sent the signal");
        self.signal(id, signal, target);
    }

    fn signal(&mut self, id: WorkerId, signal: i32, target: SignalTarget) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        if signal == libc::SIGKILL {
            self.killed.insert(id);
        }
        process.note_leavers();
        match process.tell(signal, target) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                tracing::warn!("worker {id} can't be sent signal {signal}: {error}");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// What a worker hears on the bus that is to go; without a deadline it has all the time it wants.
fn drain_word(reason: String, deadline: Option<Duration>) -> Drain {
    let deadline_ms = deadline.map_or(u64::MAX, |d| {
        u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
    });
    Drain {
        reason,
        deadline_ms,
    }
}
