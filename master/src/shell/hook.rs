//! Running the commands beside workers. Each is a task that only reports; it ends when the shell lets go of its leash.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use ostler_bus::{WorkerId, vocab::worker::ExitStatus};
use tokio::sync::oneshot;

use super::{Shell, handle::ShellHandle, helper::Helper};
use crate::{
    config::app::hooks::{Hook, HookKind},
    fleet::{HookOrder, WorkerNews},
    process::Spawner,
};

/// Keeps a command running: when it is dropped, that is killed.
#[derive(Debug)]
pub(super) struct Leash {
    _held: oneshot::Sender<()>,
    /// Its worker was let go of: what that has started is nobody's to end.
    pub(super) released: bool,
}

impl Shell {
    /// Runs a command beside a worker.
    pub(super) fn hook(&mut self, order: HookOrder) {
        let HookOrder {
            mut worker,
            hook: kind,
            pid,
            exit,
        } = order;
        let id = worker.id;
        self.workshop.resolve(&mut worker);
        let Some(hook) = worker.definition.hooks.of(kind) else {
            return;
        };
        let variables = variables(kind, exit.as_ref());
        let helper = self
            .workshop
            .helper(&hook.command, &worker, pid)
            .in_the_log(&self.workshop, &worker, kind.name())
            .with(variables);
        let (held, let_go) = oneshot::channel();
        let leash = Leash {
            _held: held,
            released: false,
        };
        self.leashes.insert(id, leash);
        let run = run(helper, hook.clone(), let_go);
        let spawner = self.workshop.spawner.clone();
        tokio::spawn(report(id, kind, run, spawner, self.handle.clone()));
    }

    /// Cuts short the command that runs beside a worker, if one does.
    pub(super) fn end_hook(&mut self, id: WorkerId) {
        self.leashes.remove(&id);
    }

    /// A command beside a worker has ended. If the worker has gone before, nobody else sees to what that has left behind.
    pub(super) fn hook_ended(&mut self, id: WorkerId, kind: HookKind) {
        let released = self.leashes.remove(&id).is_some_and(|leash| leash.released);
        // What a `before_start` has started may be for the worker, which is to come.
        let beside = matches!(kind, HookKind::AfterReady | HookKind::BeforeStop);
        if beside && !released && !self.processes.contains_key(&id) {
            self.clear(id);
        }
    }

    /// Has an end made of whatever a worker that has gone, or commands beside it, have left behind.
    pub(super) fn clear(&self, id: WorkerId) {
        let spawner = self.workshop.spawner.clone();
        tokio::spawn(async move { spawner.clear(id, None).await });
    }
}

/// What it is told beside what its worker is.
fn variables(kind: HookKind, exit: Option<&ExitStatus>) -> Vec<(&'static str, String)> {
    let mut variables = vec![("OSTLER_HOOK", kind.name().to_owned())];
    match exit {
        Some(ExitStatus::Code(code)) => variables.push(("OSTLER_EXIT_CODE", code.to_string())),
        Some(ExitStatus::Signal(name)) => variables.push(("OSTLER_EXIT_SIGNAL", name.clone())),
        Some(ExitStatus::Unknown | ExitStatus::NotStarted(_)) | None => {}
    }
    variables
}

/// Runs it to its end, the end of its time, or until it is let go of.
async fn run(helper: Helper, hook: Hook, let_go: oneshot::Receiver<()>) -> Result<(), String> {
    helper.run_until(hook.timeout, let_go.map(drop)).await
}

/// Tells the shell what came of it, whatever happens.
async fn report(
    id: WorkerId,
    hook: HookKind,
    run: impl Future<Output = Result<(), String>>,
    spawner: Spawner,
    shell: ShellHandle,
) {
    let outcome = AssertUnwindSafe(run).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        Err("the master's own task for it panicked, which is a fault of ostler's".to_owned())
    });
    // Nobody is left for whom anything of it could be meant.
    if hook == HookKind::AfterExit || (hook == HookKind::BeforeStart && outcome.is_err()) {
        spawner.clear(id, None).await;
    }
    shell.news(id, WorkerNews::Hooked { hook, outcome }).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_how_its_worker_ended() {
        let told = |exit: Option<ExitStatus>| {
            let variables = variables(HookKind::AfterExit, exit.as_ref()).into_iter();
            let pairs: Vec<String> = variables.map(|(n, v)| format!("{n}={v}")).collect();
            pairs.join(" ")
        };
        let hook = "OSTLER_HOOK=after_exit";
        assert_eq!(
            told(Some(ExitStatus::Code(3))),
            format!("{hook} OSTLER_EXIT_CODE=3")
        );
        assert_eq!(
            told(Some(ExitStatus::Signal("SIGKILL".into()))),
            format!("{hook} OSTLER_EXIT_SIGNAL=SIGKILL")
        );
        let failed = ExitStatus::NotStarted("no such file".into());
        assert_eq!(told(Some(failed)), hook);
        assert_eq!(told(None), hook);
    }

    #[tokio::test]
    async fn a_task_that_panics_is_told_as_a_failure() {
        let (shell, mut messages) = ShellHandle::new();
        let run = async { panic!("no luck") };
        let kind = HookKind::BeforeStop;
        report(WorkerId(7), kind, run, Spawner::default(), shell).await;
        match messages.try_recv() {
            Ok(super::super::handle::Message::News {
                news: WorkerNews::Hooked { hook, outcome },
                ..
            }) => {
                assert_eq!(hook, kind);
                assert!(outcome.is_err_and(|why| why.contains("panicked")));
            }
            other => panic!("{other:?}"),
        }
    }
}
