//! `ostler kill`: the end of a master, which is over when another of its name could start.

use std::{os::fd::OwnedFd, process::ExitCode, time::Duration};

use ostler_bus::vocab::control::MasterKill;
use tokio::{io::Interest, time::Instant};

use super::{
    args::KillArgs,
    carry_out::carry_out,
    connect::{self, Place, Session, Wanted},
    error::{CliError, Exit},
    progress::Doing,
    state_verbs,
};
use crate::{config::units, sys};

/// How long `kill --force` waits: killed processes are gone within milliseconds. Without it workers may finish what they have,
/// and take as long as their kill ladders say.
const FORCED: Duration = Duration::from_secs(15);

/// Between two looks at the lock of a master that has closed its bus: what is left takes it milliseconds.
const LOOK: Duration = Duration::from_millis(20);

/// How long the process of a master that has let go of its lock is waited for: that was the last it did.
const LAST_STEP: Duration = Duration::from_secs(2);

/// `ostler kill`
pub(super) fn kill(args: KillArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let request = MasterKill { force: args.force };
    connect::talk(wanted, async |session| {
        let begun = Instant::now();
        // Opened while it lives: its number may be another process's afterwards.
        let (pid, process) = match &session.place {
            Place::Here { master, .. } => (Some(master.pid), sys::pidfd_open(master.pid).ok()),
            // Asked while it answers.
            Place::There => {
                let status = state_verbs::ask(&session.bus).await.ok();
                (status.map(|status| status.master.pid), None)
            }
        };
        let ending = async {
            let code = carry_out(&session, Doing::Kill, None, &request, args.waiting).await?;
            if args.waiting.wanted() {
                lock_released(&session, process).await?;
                let (name, took) = (session.bus.hub(), units::rough(begun.elapsed()));
                eprintln!("master {name} has ended, after {took}");
            }
            Ok(code)
        };
        let ended = bounded(patience(args), ending).await;
        ended.unwrap_or_else(|after| Err(still_there(session.bus.hub(), pid, after)))
    })
}

/// How long the end is waited for; `None`: as long as it takes.
fn patience(args: KillArgs) -> Option<Duration> {
    args.force.then_some(FORCED)
}

/// What comes of it, or after which time it was given up.
async fn bounded<T>(
    patience: Option<Duration>,
    ending: impl Future<Output = T>,
) -> Result<T, Duration> {
    match patience {
        None => Ok(ending.await),
        Some(patience) => {
            let ended = tokio::time::timeout(patience, ending).await;
            ended.map_err(|_| patience)
        }
    }
}

/// Waits until the master no longer holds its lock, so that another one of its name could start, and its process is gone:
/// the last it does is to let go of the lock. A master in another namespace of processes (a container's) has a number that is
/// somebody else's here, whose end is not waited for.
async fn lock_released(session: &Session, process: Option<OwnedFd>) -> Result<(), CliError> {
    match &session.place {
        Place::Here { master, home } => {
            while home.live_masters()?.contains(master) {
                tokio::time::sleep(LOOK).await;
            }
        }
        Place::There => {
            session.bus.closed().await;
        }
    }
    if let Some(process) = process.and_then(|fd| sys::watch_fd(fd, Interest::READABLE).ok()) {
        // It can only fail with the runtime.
        let _gone = tokio::time::timeout(LAST_STEP, process.readable()).await;
    }
    Ok(())
}

fn still_there(name: &str, pid: Option<u32>, after: Duration) -> CliError {
    let number = pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
    let who = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let after = units::exact(after);
    CliError::new(
        Exit::Failed,
        format!("master {name}{who} is still there after {after}"),
    )
    .hint(format!("it is hung: end it with `kill -KILL {number}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        args::{Cli, Verb},
        style::Style,
    };

    #[test]
    fn a_master_that_stays_is_named_by_its_pid_with_what_ends_it() {
        let shown = |pid| still_there("shop", pid, Duration::from_secs(5)).render(Style::plain());
        assert_eq!(
            shown(Some(7)),
            "error: master shop (pid 7) is still there after 5s\n\nhint: it is hung: end it with `kill -KILL 7`\n"
        );
        assert!(shown(None).contains("`kill -KILL PID`"));
    }

    #[tokio::test]
    async fn without_force_it_takes_as_long_as_the_kill_ladders_say() {
        let patience = |line: &str| match Cli::read(line.split(' ').map(Into::into)).unwrap().verb {
            Verb::Kill(args) => patience(args),
            other => panic!("{other:?}"),
        };
        assert_eq!(patience("ostler kill"), None);
        assert_eq!(patience("ostler kill --force"), Some(FORCED));
        let (none, some) = (None, Some(Duration::ZERO));
        let ladder = || tokio::time::sleep(Duration::from_millis(20));
        assert_eq!(bounded(none, ladder()).await, Ok(()));
        assert_eq!(bounded(some, ladder()).await, Err(Duration::ZERO));
    }
}
