//! What a message from the rest of the master means: an input for the fleet, or something that the shell does by itself.

use ostler_bus::WorkerId;
use tokio::time::Instant;

use super::{REST, Shell, Waiting, handle::Message};
use crate::{
    escape,
    fleet::{Input, WorkerNews},
};

impl Shell {
    pub(super) fn on_message(&mut self, message: Message) -> Vec<Input> {
        match message {
            Message::Started { id, process } => {
                let pid = process.pid();
                self.rest = Some(Instant::now() + REST);
                self.starting.remove(&id);
                self.processes.insert(id, process);
                vec![Input::Worker {
                    id,
                    news: WorkerNews::Spawned { pid },
                }]
            }
            Message::News { id, mut news } => {
                match &mut news {
                    WorkerNews::Exited(exit) => {
                        self.starting.remove(&id);
                        self.counts.stop(id);
                        if let Some(process) = self.processes.remove(&id) {
                            self.workshop.balancer.gone(id);
                            self.has_parted(id);
                            self.accepts_no_more(id);
                            if let Some(hint) = self.workshop.hint(&process.order, exit) {
                                exit.hint = Some(hint);
                            }
                            if let Some(sent) = self.sent_by_command(id, &exit.status) {
                                exit.hint.get_or_insert(sent);
                            }
                            self.ended.insert(process.order.app.clone(), Instant::now());
                            self.shrunk.insert(process.order.app.clone());
                            self.passes_nothing_more(id, &process.order);
                        }
                    }
                    // It tells itself.
                    WorkerNews::Holds(_) => self.counts.stop(id),
                    WorkerNews::SpawnFailed { .. } => drop(self.starting.remove(&id)),
                    WorkerNews::Hooked { hook, .. } => self.hook_ended(id, *hook),
                    WorkerNews::Spawned { .. }
                    | WorkerNews::BusConnected
                    | WorkerNews::BusClosed
                    | WorkerNews::SdkReady
                    | WorkerNews::SdkDisconnect { .. }
                    | WorkerNews::Notified(_)
                    | WorkerNews::Heartbeat
                    | WorkerNews::Memory(_)
                    | WorkerNews::Served { .. }
                    | WorkerNews::Counted(_)
                    | WorkerNews::Errors(_)
                    | WorkerNews::Probed { .. } => {}
                }
                vec![Input::Worker { id, news }]
            }
            Message::Disconnecting { id, noted } => {
                let request = self.token(Waiting::Disconnect(noted));
                vec![Input::Worker {
                    id,
                    news: WorkerNews::SdkDisconnect { request },
                }]
            }
            Message::Command { command, answer } => {
                let request = self.token(Waiting::Command(answer));
                vec![Input::Command { request, command }]
            }
            Message::Read(reading) => self.read_for(reading),
            Message::FileRead(said) => self.file_read(said),
            Message::CronDue(app) => {
                tracing::info!("{app}: the hour has come (cron)");
                vec![Input::CronDue(app)]
            }
            Message::RestartNeeded { wish, by } => {
                self.warn_of_unknown(wish.app.as_deref());
                vec![Input::RestartNeeded { wish, by }]
            }
            Message::Add {
                wanted,
                which,
                answer,
            } => {
                self.read_to_add(wanted, which, answer);
                vec![]
            }
            Message::ReadToAdd {
                said,
                which,
                answer,
            } => self.add(said, which, answer),
            Message::Portraits { selector, answer } => {
                // Whoever asked has gone.
                let _gone = answer.send(self.portraits(selector.as_deref()));
                vec![]
            }
            Message::SignalWorkers { wanted, answer } => {
                self.signal_workers(&wanted, answer);
                vec![]
            }
            Message::Line { line, answer } => {
                // Whoever asked has gone.
                let _gone = answer.send(self.send_line(&line));
                vec![]
            }
            Message::Define(apps) => {
                let prepared = self.workshop.prepare(apps, vec![], &self.handle);
                vec![Input::DefineAll(prepared)]
            }
            Message::HubRestarted => {
                let lost = |id: &WorkerId| Input::Worker {
                    id: *id,
                    news: WorkerNews::BusClosed,
                };
                self.processes.keys().map(lost).collect()
            }
            Message::ListenerDied { socket, failures } => self.mend(socket, failures),
            Message::Takes { id, handed } => {
                self.takes(id, handed);
                vec![]
            }
            Message::Accepted { id, told } => {
                self.accepted(id, &told);
                vec![]
            }
            Message::Passing { id, said } => {
                self.passing(id, said);
                vec![]
            }
            Message::GiftOverdue { giver, gift } => {
                self.gift_overdue(giver, gift);
                vec![]
            }
            Message::Overdue { id } => {
                self.overdue(id);
                vec![]
            }
            Message::MayPart { id } => {
                self.may_part(id);
                vec![]
            }
            Message::LeftOver(app) => {
                self.shrunk.insert(app);
                vec![]
            }
            Message::Awaited { app, slot } => vec![Input::Awaited { app, slot }],
            Message::Voice(bus) => {
                self.bus = bus;
                vec![]
            }
            Message::Snapshot(sender) => {
                let snapshot = self.fleet.snapshot(self.now());
                self.workshop.fill_in(snapshot, sender);
                vec![]
            }
        }
    }

    /// An event has nobody to refuse it to; a name that no app has is at least said.
    fn warn_of_unknown(&self, wanted: Option<&str>) {
        let apps = self.fleet.snapshot(self.now()).apps;
        if let Some(name) = wanted.filter(|name| apps.iter().all(|app| app.name != *name)) {
            let known: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
            tracing::warn!(
                "workerRestartNeeded for {:?} ignored: there is no such app, only {}",
                escape::line(name),
                known.join(", ")
            );
        }
    }
}
