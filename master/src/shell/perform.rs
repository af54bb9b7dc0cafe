//! Doing what the fleet core decided.

use std::time::Duration;

use ostler_bus::{
    Event, WorkerId,
    client::{Bus, RequestError},
    vocab::worker::{Drain, ExitStatus, Next, WorkerExited, WorkerHook},
};

use super::{Shell, Waiting, probe};
use crate::{
    config::{
        app::{AppName, hooks::HookKind, probe::Check},
        units,
    },
    escape,
    fleet::{Action, FleetEvent, ProbeOrder, RequestToken, SignalTarget},
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
            } => {
                let deadline_ms = deadline.map_or(u64::MAX, |d| {
                    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
                });
                self.drain(
                    id,
                    Drain {
                        reason,
                        deadline_ms,
                    },
                );
            }
            Action::Answer { request, answer } => {
                if let Some(Waiting::Command(waiting)) = self.waiting.remove(&request) {
                    // Whoever asked has gone.
                    let _gone = waiting.send(answer);
                }
            }
            Action::AnswerDisconnect { id: _, request } => self.note_disconnect(request),
            Action::Forget { app } => {
                tracing::info!("{app} has gone");
                self.workshop.forget(&app);
                self.ended.remove(&app);
            }
            Action::Publish(event) => {
                match &event {
                    FleetEvent::AppResized(resized) => {
                        self.shrunk.extend(AppName::new(&resized.app));
                        log(&event);
                    }
                    FleetEvent::WorkerExited(exit) => {
                        let advice = match self.killed.remove(&exit.worker.id) {
                            true => "",
                            false => " (out of memory? see `dmesg`)",
                        };
                        exited(exit, advice);
                        if let ExitStatus::NotStarted(_) = exit.status {
                            self.clear(exit.worker.id);
                        }
                    }
                    other => log(other),
                }
                self.stand(&event);
                self.note_parting(&event);
                self.note_failed(&event);
                publish(&self.bus, &event);
            }
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
        let helper = match &order.probe.check {
            Check::Command { command } => {
                let pid = Some(process.pid());
                Some(self.workshop.helper(command, &process.order, pid))
            }
            Check::Http { .. } | Check::Tcp { .. } => None,
        };
        tokio::spawn(probe::ask(order, helper, self.handle.clone()));
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

/// Events go into the bus client's queue; if that is full the hub has stopped, and supervision goes on without it.
fn say<E: std::fmt::Display>(result: Result<(), E>, what: &str) {
    if let Err(error) = result {
        tracing::debug!("{what} was not published: {error}");
    }
}

/// Tells everyone.
pub(super) fn emit<E: Event>(bus: &Bus, event: &E) {
    say(bus.try_emit(event), E::TOPIC);
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

/// The line that an operator reads.
fn log(event: &FleetEvent) {
    match event {
        FleetEvent::WorkerSpawned(e) => {
            let w = &e.worker;
            tracing::info!(
                "{}.{} started: worker {}, pid {}",
                w.app,
                w.slot,
                w.id,
                w.pid.unwrap_or(0)
            );
        }
        FleetEvent::WorkerReady(e) => {
            let (w, how) = (
                &e.worker,
                if e.assumed {
                    "taken to be ready"
                } else {
                    "ready"
                },
            );
            tracing::info!(
                "{}.{} {how} after {}: worker {}",
                w.app,
                w.slot,
                units::rough(Duration::from_millis(e.after_ms)),
                w.id
            );
        }
        FleetEvent::WorkerDraining(e) => tracing::info!(
            "{}.{} draining ({}): worker {}",
            e.worker.app,
            e.worker.slot,
            escape::line(&e.reason),
            e.worker.id
        ),
        FleetEvent::WorkerReleased(e) => tracing::info!(
            "{}.{} was let go of, and runs on: worker {}",
            e.worker.app,
            e.worker.slot,
            e.worker.id
        ),
        FleetEvent::UpdateStarted(e) => tracing::info!(
            "{}: update to generation {} of {} workers began: {}",
            e.app,
            e.generation,
            e.total,
            escape::line(&e.reason)
        ),
        FleetEvent::UpdateFinished(e) => tracing::info!(
            "{}: update to generation {} finished in {}",
            e.app,
            e.generation,
            units::rough(Duration::from_millis(e.took_ms))
        ),
        FleetEvent::UpdateAborted(e) if e.overtaken => tracing::info!(
            "{}: update to generation {} given up, {} replaced: {}",
            e.app,
            e.generation,
            e.replaced,
            escape::line(&e.reason)
        ),
        FleetEvent::UpdateAborted(e) => tracing::error!(
            "{}: update to generation {} aborted, {} replaced: {}",
            e.app,
            e.generation,
            e.replaced,
            escape::line(&e.reason)
        ),
        FleetEvent::UpdateRolledBack(e) => match &e.failed {
            None => tracing::warn!(
                "{}: {} slots went back from generation {} after {}",
                e.app,
                e.slots,
                e.generation,
                units::rough(Duration::from_millis(e.took_ms))
            ),
            Some(why) => tracing::error!(
                "{}: the rollback from generation {} failed, {} slots went back: {}",
                e.app,
                e.generation,
                e.slots,
                escape::line(why)
            ),
        },
        FleetEvent::UpdateSuspended(e) => tracing::warn!("{}: {}", e.app, escape::line(&e.reason)),
        FleetEvent::WorkerHook(e) => hooked(e),
        FleetEvent::AppResized(e) => {
            tracing::info!("{}: {} workers instead of {}", e.app, e.to, e.from);
        }
        FleetEvent::AppFailed(e) => tracing::error!(
            "{}.{} failed: {}",
            e.app,
            e.slot,
            escape::line(&e.reason)
        ),
        FleetEvent::WorkerOnline(_)
        | FleetEvent::WorkerDisconnected(_)
        // Told with what the shell knows of it.
        | FleetEvent::WorkerExited(_)
        | FleetEvent::UpdateProgress(_)
        | FleetEvent::OperationFinished(_) => {}
    }
}

/// A failed `before_start` is told as the failed start that it is.
fn hooked(event: &WorkerHook) {
    let w = &event.worker;
    match &event.error {
        Some(why) if event.hook != HookKind::BeforeStart.name() => tracing::warn!(
            "{}.{} {} failed, and life goes on: {}: worker {}",
            w.app,
            w.slot,
            event.hook,
            escape::line(why),
            w.id
        ),
        Some(_) | None => tracing::debug!(
            "{}.{} {} ended after {}: worker {}",
            w.app,
            w.slot,
            event.hook,
            units::rough(Duration::from_millis(event.took_ms)),
            w.id
        ),
    }
}

/// `killed_advice` is for a SIGKILL that nobody asked for.
fn exited(event: &WorkerExited, killed_advice: &str) {
    let w = &event.worker;
    let how = match &event.status {
        ExitStatus::Code(code) => format!("exited with code {code}"),
        ExitStatus::Signal(signal) => format!("was ended by {signal}"),
        ExitStatus::Unknown => "is gone, how is not known".into(),
        ExitStatus::NotStarted(error) => {
            format!("could not be started: {}", escape::line(error))
        }
    };
    let hung = event
        .hung
        .as_ref()
        .map_or_else(String::new, |why| format!(" (hung: {})", escape::line(why)));
    let hint = event
        .hint
        .as_ref()
        .map_or_else(String::new, |hint| format!(" (hint: {hint})"));
    // What was asked for, and what has done its work.
    let as_it_should = event.voluntary || event.next == Next::Ended { well: true };
    match (&event.status, as_it_should) {
        (_, true) => tracing::info!(
            "{}.{} {how} after {}: worker {}",
            w.app,
            w.slot,
            units::rough(Duration::from_millis(event.uptime_ms)),
            w.id
        ),
        (ExitStatus::Signal(signal), false) if signal == "SIGKILL" => {
            tracing::error!(
                "{}.{} {how} after {}: worker {}{hung}{killed_advice}{hint}",
                w.app,
                w.slot,
                units::rough(Duration::from_millis(event.uptime_ms)),
                w.id
            );
        }
        (
            ExitStatus::Code(_)
            | ExitStatus::Signal(_)
            | ExitStatus::Unknown
            | ExitStatus::NotStarted(_),
            false,
        ) => {
            tracing::error!(
                "{}.{} {how} after {}: worker {}{hung}{hint}",
                w.app,
                w.slot,
                units::rough(Duration::from_millis(event.uptime_ms)),
                w.id
            );
        }
    }
}
