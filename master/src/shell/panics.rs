//! A panic in the task that looks after a worker: without it nobody would tell of the worker's end, and its slot would be
//! held for ever.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use futures::FutureExt as _;
use ostler_bus::WorkerId;

use super::handle::ShellHandle;
use crate::{
    fleet::{self, WorkerNews},
    process::Child,
};

/// The worker's process, once there is one.
#[derive(Debug, Default)]
pub(super) struct Made(OnceLock<Arc<Child>>);

impl Made {
    /// There is.
    pub(super) fn set(&self, child: Arc<Child>) {
        // A worker has one process.
        let _first = self.0.set(child);
    }
}

/// Lives a worker's life to its end. If it panics, what it has started is killed, and told as its exit, or as a start that
/// failed; true then.
pub(super) async fn caught(
    id: WorkerId,
    life: impl Future<Output = ()>,
    made: &Made,
    shell: &ShellHandle,
) -> bool {
    let Err(panic) = AssertUnwindSafe(life).catch_unwind().await else {
        return false;
    };
    let error = format!(
        "the master's own task for it panicked, which is a fault of ostler's: {}",
        words(&*panic)
    );
    tracing::error!("worker {id} is ended: {error}");
    let news = match made.0.get() {
        None => WorkerNews::SpawnFailed { error },
        Some(child) => {
            if let Err(error) = child.signal_group(libc::SIGKILL) {
                tracing::debug!("worker {id} can't be killed: {error}");
            }
            WorkerNews::Exited(fleet::Exit {
                status: child.exited().await,
                stderr_tail: vec![error],
                hint: None,
                core_dumped: child.dumped_core(),
            })
        }
    };
    shell.news(id, news).await;
    true
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it didn't say why")
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command, time::Duration};

    use ostler_bus::vocab::worker::ExitStatus;

    use super::*;
    use crate::shell::handle::Message;

    async fn told(life: impl Future<Output = ()>, made: &Made) -> (bool, Option<WorkerNews>) {
        let (shell, mut messages) = ShellHandle::new();
        let caught = caught(WorkerId(7), life, made, &shell);
        let caught = tokio::time::timeout(Duration::from_secs(20), caught).await;
        let news = match messages.try_recv() {
            Ok(Message::News { id, news }) => {
                assert_eq!(id, WorkerId(7));
                Some(news)
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        };
        (caught.expect("in time"), news)
    }

    #[tokio::test]
    async fn a_life_to_its_end_is_its_own_affair() {
        assert_eq!(told(async {}, &Made::default()).await, (false, None));
    }

    #[tokio::test]
    async fn a_panic_before_there_is_a_process_is_a_failed_start() {
        let life = async { panic!("no {}", "luck") };
        let (caught, news) = told(life, &Made::default()).await;
        assert!(caught);
        match news {
            Some(WorkerNews::SpawnFailed { error }) => {
                assert!(error.ends_with("no luck"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_panic_later_ends_the_process_and_tells_its_exit() {
        let process = Command::new("sleep").arg("60").process_group(0).spawn();
        let made = Made::default();
        let child = Child::of_test(process.expect("a process").id());
        made.set(Arc::new(child));
        let (caught, news) = told(async { panic!("no luck") }, &made).await;
        assert!(caught);
        match news {
            Some(WorkerNews::Exited(exit)) => {
                assert_eq!(exit.status, ExitStatus::Signal("SIGKILL".into()));
                assert!(exit.stderr_tail[0].ends_with("no luck"), "{exit:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}
