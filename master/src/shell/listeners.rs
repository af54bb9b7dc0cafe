//! Shared listeners that a worker has shut down are opened again, and tried again until they are: an app that nobody can
//! reach is down, however well its workers are.

use std::{collections::HashMap, time::Duration};

use ostler_bus::{
    Slot, WorkerId,
    vocab::{
        update::{ListenerShut, WorkerRestartNeeded},
        worker::WorkerRef,
    },
};
use tokio::task::AbortHandle;

use super::{
    Shell,
    handle::{Message, ShellHandle},
    tell,
    worker::Process,
    workshop::Workshop,
};
use crate::{
    config::{
        app::{AppDefinition, AppName},
        units::rough,
    },
    fleet::{Input, Requester},
    sockets::{BindError, ListenerWatch, Mended, Problem, SocketId},
};

/// How long until a listener that can't be opened is tried again, the first time; doubled each time.
const FIRST: Duration = Duration::from_millis(100);

/// The longest of these waits.
const LONGEST: Duration = Duration::from_secs(30);

/// A worker that has ended may have shut a socket down so long before that is noticed.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Who watches which socket, or waits to try it again. A task ends when its entry goes.
#[derive(Debug, Default)]
pub struct Watches {
    /// For a worker that shuts it down.
    ends: HashMap<SocketId, OnDuty>,
    /// For a client, where a slot has failed.
    clients: HashMap<SocketId, OnDuty>,
}

#[derive(Debug)]
struct OnDuty(AbortHandle);

impl Drop for OnDuty {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl OnDuty {
    fn with(duty: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(duty).abort_handle())
    }
}

impl Watches {
    fn put(&mut self, socket: SocketId, duty: impl Future<Output = ()> + Send + 'static) {
        self.ends.insert(socket, OnDuty::with(duty));
    }
}

impl Workshop {
    /// Watches those of an app's listeners that aren't yet.
    pub(super) fn watch_listeners(&mut self, app: &AppName, shell: &ShellHandle) {
        for id in self.sockets.listeners(app) {
            if !self.watches.ends.contains_key(&id) {
                self.watch_one(id, shell);
            }
        }
    }

    /// Lets go of those that are no more.
    pub(super) fn let_go_of_listeners(&mut self) {
        let sockets = &self.sockets;
        let Watches { ends, clients } = &mut self.watches;
        for watches in [ends, clients] {
            watches.retain(|id, _| sockets.get(*id).is_some());
        }
    }

    /// Tells, once, when something waits at a failed slot's own sockets: at once, if something does.
    pub(super) fn watch_for_clients(&mut self, app: &AppName, slot: Slot, shell: &ShellHandle) {
        let mut its = match self.sockets.groups(app) {
            Ok(all) => all,
            Err(error) => {
                return tracing::warn!("{app}.{slot}: who connects is not noticed: {error}");
            }
        };
        its.retain(|it| it.slot == slot);
        for it in its {
            let (id, app, shell) = (it.id, app.clone(), shell.clone());
            let watch = OnDuty::with(async move {
                match it.is_come_to().await {
                    Ok(()) => shell.send(Message::Awaited { app, slot }).await,
                    Err(error) => {
                        tracing::warn!("{app}.{slot}: its socket can't be watched: {error}");
                    }
                }
            });
            self.watches.clients.insert(id, watch);
        }
    }

    /// A worker comes for this slot, and hears of clients itself.
    pub(super) fn watch_for_no_clients(&mut self, app: &AppDefinition, slot: Slot) {
        for (id, _) in self.sockets.names(app, slot) {
            self.watches.clients.remove(&id);
        }
    }

    /// Notes which listeners of the group that this one belongs to are shut down, be it said or not: the kernel has left them out
    /// already, and moved others into their places.
    pub(super) fn note_shut(&self, socket: SocketId) {
        let shut = self.sockets.shut_in_group(socket);
        if !shut.is_empty() {
            self.groups.shut(shut);
        }
    }

    /// Watches one socket that came just now, if it listens.
    pub(super) fn watch_new(&mut self, socket: SocketId, shell: &ShellHandle) {
        let listens = self.sockets.get(socket);
        if listens.is_some_and(|(_, socket)| socket.listens()) {
            self.watch_one(socket, shell);
        }
    }

    fn watch_one(&mut self, socket: SocketId, shell: &ShellHandle) {
        match self.sockets.watch(socket) {
            Some(Ok(watch)) => self.watches.put(socket, tell(watch, socket, shell.clone())),
            Some(Err(error)) => tracing::warn!("a socket can't be watched: {error}"),
            None => {}
        }
    }

    /// Opens a listener again that a worker has shut down for all; it could not be opened so often already. `None` if there is
    /// no such socket any more.
    fn mend(
        &mut self,
        socket: SocketId,
        failures: u32,
        shell: &ShellHandle,
    ) -> Option<Result<Mended, BindError>> {
        // All of them before any is last again.
        self.note_shut(socket);
        let tried = self.sockets.listen_again(socket)?;
        let (app, name) = (tried.app, tried.name);
        match tried.outcome {
            Ok(mended) => {
                tell_mended(&app, &name, mended, failures);
                self.tell_balancer(socket);
                let mut meanwhile = self.sockets.shut_in_group(socket);
                meanwhile.retain(|other| *other != socket);
                self.groups.mended(socket, meanwhile);
                self.look_for_strangers(&app);
                self.watch_one(socket, shell);
                Some(Ok(mended))
            }
            Err(error) if matches!(error.problem, Problem::StartersOwn) => {
                let hint = error.hint().unwrap_or_default();
                tracing::error!("{app}: a worker has called shutdown on a socket: {error}; {hint}");
                Some(Err(error))
            }
            Err(error) => {
                let wait = wait(failures);
                tell_failed(&app, &name, failures, &error, wait);
                let shell = shell.clone();
                let failures = failures.saturating_add(1);
                self.watches.put(socket, async move {
                    tokio::time::sleep(wait).await;
                    shell.send(Message::ListenerDied { socket, failures }).await;
                });
                Some(Err(error))
            }
        }
    }
}

impl Shell {
    /// Opens a listener again that a worker has shut down, and tells everyone; workers that hold a dead one are replaced.
    pub(super) fn mend(&mut self, socket: SocketId, failures: u32) -> Vec<Input> {
        let Some((app, bound)) = self.workshop.sockets.get(socket) else {
            return vec![];
        };
        let (app, name, slot) = (app.clone(), bound.name().to_owned(), bound.slot());
        // Later on others may have come.
        let worker = match failures {
            0 => self.who_shut(&app, &name, slot),
            _ => None,
        };
        let Some(outcome) = self.workshop.mend(socket, failures, &self.handle) else {
            return vec![];
        };
        if failures == 0 || outcome.is_ok() {
            let shut = ListenerShut {
                app: app.to_string(),
                socket: name.clone(),
                slot,
                worker,
                error: outcome.as_ref().err().map(ToString::to_string),
            };
            tell::emit(&self.bus, &shut);
        }
        match outcome {
            Ok(Mended::Replaced) => vec![Input::RestartNeeded {
                wish: WorkerRestartNeeded {
                    app: Some(app.to_string()),
                    reason: None,
                },
                by: Requester::Socket(name),
            }],
            Ok(Mended::InPlace) | Err(_) => vec![],
        }
    }

    /// Who alone could have shut a socket down just now: nobody else has it, or had it until a moment ago.
    fn who_shut(&self, app: &AppName, name: &str, slot: Option<Slot>) -> Option<WorkerRef> {
        let ended = self.ended.get(app);
        if ended.is_some_and(|ended| ended.elapsed() < A_MOMENT) {
            return None;
        }
        let its = self.workshop.sockets.status(app.as_str()).into_iter();
        let asked = its
            .filter(|(_, its)| its.name == name)
            .find_map(|(_, its)| its.asked_by);
        let has = |(id, process): &(&WorkerId, &Process)| {
            process.order.app == *app
                && slot.is_none_or(|slot| process.order.slot == slot)
                && asked.as_ref().is_none_or(|asked| asked.contains(id))
        };
        let mut have = self.processes.iter().filter(has);
        let (Some((id, process)), None) = (have.next(), have.next()) else {
            return None;
        };
        Some(WorkerRef {
            app: app.to_string(),
            slot: process.order.slot,
            id: *id,
            generation: process.order.generation,
            pid: Some(process.pid()),
        })
    }
}

async fn tell(watch: ListenerWatch, socket: SocketId, shell: ShellHandle) {
    if watch.died().await.is_ok() {
        let failures = 0;
        shell.send(Message::ListenerDied { socket, failures }).await;
    }
}

fn tell_mended(app: &AppName, socket: &str, mended: Mended, failures: u32) {
    if failures > 0 {
        return tracing::warn!(
            "{app}: the socket {socket:?} listens again ({mended:?}), after {failures} tries in vain"
        );
    }
    tracing::warn!(
        "{app}: a worker has called shutdown on the socket {socket:?}, which closes it for all; it listens again ({mended:?}). A worker that wants no more connections must close its descriptor instead"
    );
}

/// Said the first time, and when the waits are at their longest.
fn tell_failed(app: &AppName, socket: &str, failures: u32, error: &BindError, wait: Duration) {
    if failures == 0 {
        tracing::error!(
            "{app}: a worker has shut the socket {socket:?} down, and it can't be opened again: {error}; tried again from {} on until it can",
            rough(wait)
        );
    } else if wait == LONGEST {
        tracing::error!(
            "{app}: the socket {socket:?} still can't be opened again: {error}; tried again in {}",
            rough(wait)
        );
    }
}

fn wait(failures: u32) -> Duration {
    let times = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    FIRST.saturating_mul(times).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = [0, 1, 2, 8, 9, 31, 32, u32::MAX].map(wait);
        let millis = waits.map(|wait| wait.as_millis());
        assert_eq!(
            millis,
            [100, 200, 400, 25_600, 30_000, 30_000, 30_000, 30_000]
        );
    }
}
