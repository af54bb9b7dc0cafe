//! `reload`, `scale`, `stop`, `start`, `restart`, `delete`, `signal`, `kill`: one request each; then, unless told otherwise, waiting for its end.

use std::{collections::BTreeMap, os::fd::OwnedFd, process::ExitCode, time::Duration};

use ostler_bus::{
    OpId, Request,
    client::{Bus, RequestError},
    vocab::{
        commands::{AppDelete, AppRestart, AppSignal, SignalAnswer},
        control::{
            Answer, AppReload, AppReset, AppScale, AppStart, AppStop, MasterKill, Outcome,
            RefusalKind,
        },
        plan::MasterReload,
        status::StatusReport,
    },
};

use tokio::{io::Interest, time::Instant};

use super::{
    args::{AppArgs, DeleteArgs, KillArgs, ReloadArgs, ScaleArgs, SignalArgs, Waiting},
    bus_errors::{gone, of_master},
    connect::{self, Place, Session, Wanted},
    error::{CliError, Exit},
    interrupt,
    live::Live,
    operation::{End, Waited, Watch},
    progress::{Doing, Line, Progress},
    state_verbs, values,
};
use crate::{config::units, sys};

/// How long `kill` waits for workers that may finish what they have: four times the default kill ladder.
const GRACEFUL: Duration = Duration::from_secs(120);

/// How long `kill --force` waits: killed processes are gone within milliseconds.
const FORCED: Duration = Duration::from_secs(15);

/// Between two looks at the lock of a master that has closed its bus: what is left takes it milliseconds.
const LOOK: Duration = Duration::from_millis(20);

/// How long the process of a master that has let go of its lock is waited for: that was the last it did.
const LAST_STEP: Duration = Duration::from_secs(2);

/// `ostler reload`
pub(super) fn reload(args: &ReloadArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    if args.config {
        let request = MasterReload {
            environment: args.environment()?,
        };
        return connect::talk(wanted, async |session| {
            carry_out(&session, Doing::Reload, None, &request, args.waiting).await
        });
    }
    let app = values::joined(&args.which);
    let request = AppReload {
        app: app.clone(),
        reason: args.reason.clone(),
        now: args.now,
        env: args.variables()?,
        inherit: args.update_env.then(own_environment),
    };
    connect::talk(wanted, async |session| {
        carry_out(&session, Doing::Reload, app, &request, args.waiting).await
    })
}

/// `ostler stop`
pub(super) fn stop(args: &AppArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let app = args.selector();
    let request = AppStop { app: app.clone() };
    connect::talk(wanted, async |session| {
        carry_out(&session, Doing::Stop, app, &request, args.waiting).await
    })
}

/// `ostler start` of what the master knows.
pub(super) fn start(
    app: Option<String>,
    waiting: Waiting,
    wanted: Wanted<'_>,
) -> Result<ExitCode, CliError> {
    let request = AppStart { app: app.clone() };
    connect::talk(wanted, async |session| {
        carry_out(&session, Doing::Start, app, &request, waiting).await
    })
}

/// `ostler restart`
pub(super) fn restart(args: &AppArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let app = args.selector();
    let request = AppRestart { app: app.clone() };
    connect::talk(wanted, async |session| {
        carry_out(&session, Doing::Restart, app, &request, args.waiting).await
    })
}

/// `ostler delete`
pub(super) fn delete(args: &DeleteArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let app = values::joined(&args.which);
    let request = AppDelete {
        app: app.clone().unwrap_or_default(),
        keep_running: args.keep_running,
    };
    connect::talk(wanted, async |session| {
        carry_out(&session, Doing::Delete, app, &request, args.waiting).await
    })
}

/// `ostler signal`
pub(super) fn signal(args: &SignalArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let request = AppSignal {
        app: args.which.clone(),
        signal: args.signal.clone(),
        scope: args.scope(),
    };
    connect::talk(wanted, async |session| {
        match session.bus.request(&request).await.map_err(of_master)? {
            SignalAnswer::Sent { processes, workers } => {
                let (es, s) = (plural(processes, "es"), plural(workers, "s"));
                println!("sent to {processes} process{es} of {workers} worker{s}");
                Ok(ExitCode::SUCCESS)
            }
            SignalAnswer::Refused { kind, reason } => Err(refused(kind, &reason)),
        }
    })
}

/// The ending of a word, where it is not about one.
fn plural(count: u32, ending: &'static str) -> &'static str {
    if count == 1 { "" } else { ending }
}

/// `ostler reset`
pub(super) fn reset(args: &AppArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let app = args.selector();
    let request = AppReset { app: app.clone() };
    connect::talk(wanted, async |session| {
        carry_out(&session, Doing::Reset, app, &request, args.waiting).await
    })
}

/// `ostler scale`
pub(super) fn scale(args: &ScaleArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let (app, to) = args.what()?;
    connect::talk(wanted, async |session| {
        let app = match app {
            Some(app) => app,
            None => only_app(&state_verbs::ask(&session.bus).await?)?,
        };
        let request = AppScale {
            app: app.clone(),
            to,
        };
        carry_out(&session, Doing::Scale, Some(app), &request, args.waiting).await
    })
}

/// `ostler kill`
pub(super) fn kill(args: KillArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let request = MasterKill { force: args.force };
    connect::talk(wanted, async |session| {
        let patience = match args.force {
            true => FORCED,
            false => GRACEFUL,
        };
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
        let ended = tokio::time::timeout(patience, ending).await;
        let name = session.bus.hub();
        ended.unwrap_or_else(|_| Err(still_there(name, pid, args.force, patience)))
    })
}

/// What of this process's environment is text; nothing else can be told.
fn own_environment() -> BTreeMap<String, String> {
    let pairs = std::env::vars_os();
    pairs
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The app that needs no name.
fn only_app(report: &StatusReport) -> Result<String, CliError> {
    match report.apps.as_slice() {
        [only] => Ok(only.name.clone()),
        [] => Err(CliError::new(Exit::UnknownName, "the master has no apps")),
        [first, ..] => Err(CliError::new(
            Exit::Usage,
            format!("the master has {} apps: say which one", report.apps.len()),
        )
        .details(report.apps.iter().map(|app| app.name.clone()))
        .hint(format!("for example: ostler scale {} N", first.name))),
    }
}

/// The one app that this word names: not a worker, a namespace, or several.
async fn named(bus: &Bus, word: Option<String>) -> Option<String> {
    let word = word?;
    let known = state_verbs::ask(bus).await.ok()?.apps;
    known.iter().any(|app| app.name == word).then_some(word)
}

/// Sends the request, waits for the end of what it asked for, and tells it.
pub(super) async fn carry_out<R: Request<Reply = Answer>>(
    session: &Session,
    doing: Doing,
    app: Option<String>,
    request: &R,
    waiting: Waiting,
) -> Result<ExitCode, CliError> {
    let took = follow(session, doing, app, request, waiting).await?;
    match doing {
        // It has not ended before its lock is released.
        Doing::Kill => {}
        Doing::Reload
        | Doing::Scale
        | Doing::Stop
        | Doing::Start
        | Doing::Restart
        | Doing::Delete
        | Doing::Reset => {
            if let Some(took) = took {
                done(doing, took);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells that it is done.
pub(super) fn done(doing: Doing, took: Duration) {
    eprintln!("{} done in {}", doing.word(), units::rough(took));
}

/// Sends the request, and waits for the end of what it asked for. How long that took; `None` if it was not to be waited for.
pub(super) async fn follow<R: Request<Reply = Answer>>(
    session: &Session,
    doing: Doing,
    app: Option<String>,
    request: &R,
    waiting: Waiting,
) -> Result<Option<Duration>, CliError> {
    let bus = &session.bus;
    let watch = match waiting.wanted() {
        true => Some(Watch::begin(bus).await?),
        false => None,
    };
    let op = match (bus.request(request).await, doing) {
        (Ok(Answer::Accepted { op }), _) => op,
        (Ok(Answer::Refused { kind, reason }), _) => {
            return Err(refused(kind, &reason));
        }
        // A master without workers may be gone before its answer is.
        (Err(RequestError::Disconnected(_) | RequestError::Declined { .. }), Doing::Kill) => {
            return Ok(None);
        }
        (Err(error), _) => return Err(of_master(error)),
    };
    let Some(watch) = watch else {
        eprintln!("accepted: operation {op}");
        return Ok(None);
    };
    // Only from here on has Ctrl-C something to say.
    let mut interrupt = interrupt::listen()?;
    let mut live = Live::on_stderr();
    live.show(&Line::Step(format!("{} accepted", doing.word())));
    let progress = Progress::new(doing, op, named(bus, app).await);
    let end = watch
        .follow(bus, (op, progress), &mut live, interrupt.heard())
        .await;
    let took = live.elapsed();
    drop(live);
    ended(doing, op, end.map_err(|why| not_awaited(doing, op, why))?)?;
    Ok(Some(took))
}

/// A refusal, which may have several lines.
pub(super) fn refused(kind: RefusalKind, reason: &str) -> CliError {
    let mut lines = reason.lines().map(ToOwned::to_owned);
    let first = lines.next().unwrap_or_default();
    CliError::new(kind.into(), first).details(lines)
}

/// Whether what was asked for was done.
fn ended(doing: Doing, op: OpId, end: End) -> Result<(), CliError> {
    let word = doing.word();
    match (end, doing) {
        // The master that ends closes its connections, in whatever order.
        (End::Outcome(Outcome::Done), _) | (End::Gone(_), Doing::Kill) => Ok(()),
        (End::Outcome(Outcome::Failed(why)), _) => {
            let (why, hint) = match why.rsplit_once("\nhint: ") {
                Some((why, hint)) if !hint.contains('\n') => (why, Some(hint)),
                Some(_) | None => (why.as_str(), None),
            };
            let mut lines = why.lines();
            let first = lines.next().unwrap_or("the master doesn't say why");
            let error = CliError::new(Exit::Failed, format!("{word} failed: {first}"))
                .details(lines.map(ToOwned::to_owned));
            Err(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            })
        }
        (End::Outcome(Outcome::Superseded(by)), _) => Err(CliError::new(
            Exit::Failed,
            format!("{word} was overtaken by a later command: {by}"),
        )),
        (
            End::Gone(why),
            Doing::Reload
            | Doing::Scale
            | Doing::Stop
            | Doing::Start
            | Doing::Restart
            | Doing::Delete
            | Doing::Reset,
        ) => {
            let told = format!("before it said how the {word} (operation {op}) ended");
            Err(gone(&why).details([told]))
        }
    }
}

/// The operation goes on without being watched.
fn not_awaited(doing: Doing, op: OpId, why: Waited) -> CliError {
    let goes_on = format!(
        "the {} goes on in the master (operation {op})",
        doing.word()
    );
    match why {
        Waited::Interrupted => CliError::new(Exit::Failed, format!("no longer waiting: {goes_on}"))
            .hint("`ostler ls` shows how far it is"),
        Waited::Silent(error) => {
            let mut failure = CliError::new(
                Exit::Failed,
                "the master doesn't answer any more; it may be hung, or stopped (SIGSTOP)",
            );
            failure.causes.push(error.message);
            failure.details([goes_on])
        }
        Waited::Misfit(reason) => {
            let mut failure = CliError::new(
                Exit::Failed,
                "the master's events are of another release than this program",
            );
            failure.causes.push(reason);
            failure.details([goes_on])
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

fn still_there(name: &str, pid: Option<u32>, force: bool, patience: Duration) -> CliError {
    let number = pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
    let who = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let (kill, after) = (format!("kill -KILL {number}"), units::exact(patience));
    let error = CliError::new(
        Exit::Failed,
        format!("master {name}{who} is still there after {after}"),
    );
    match force {
        true => error.hint(format!("it is hung: end it with `{kill}`")),
        false => error.hint(
            "its workers are still finishing what they have: `ostler ls` shows which; `ostler kill --force` doesn't wait for them",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::Style;
    use ostler_bus::client::Disconnected;

    const OP: OpId = OpId(9);

    fn outcome(outcome: Outcome) -> Result<(), CliError> {
        ended(Doing::Reload, OP, End::Outcome(outcome))
    }

    #[test]
    fn the_masters_word_decides() {
        assert_eq!(outcome(Outcome::Done), Ok(()));
        let failed = outcome(Outcome::Failed(
            "worker 5 exited with code 1; its last lines:\nboom\x1b[2J\nat line 7".into(),
        ));
        let failed = failed.unwrap_err();
        assert_eq!(failed.exit, Exit::Failed);
        assert_eq!(
            failed.render(Style::plain()),
            "error: reload failed: worker 5 exited with code 1; its last lines:\n  boom\\x1b[2J\n  at line 7\n"
        );
        let hinted = outcome(Outcome::Failed("db is not there\nhint: start it".into()));
        assert_eq!(
            hinted.unwrap_err().render(Style::plain()),
            "error: reload failed: db is not there\n\nhint: start it\n"
        );
        let overtaken = outcome(Outcome::Superseded("stop".into())).unwrap_err();
        assert_eq!(overtaken.exit, Exit::Failed);
        assert!(overtaken.message.ends_with("a later command: stop"));
    }

    #[test]
    fn a_master_that_goes_is_the_end_of_a_kill_and_a_failure_of_all_else() {
        let gone = || End::Gone(Disconnected::HungUp);
        assert_eq!(ended(Doing::Kill, OP, gone()), Ok(()));
        for doing in [Doing::Reload, Doing::Scale, Doing::Stop, Doing::Start] {
            let error = ended(doing, OP, gone()).unwrap_err();
            assert_eq!(error.exit, Exit::Failed);
            assert!(error.details[0].contains("operation 9"), "{error:?}");
        }
    }

    #[test]
    fn a_master_that_stays_is_named_by_its_pid_with_what_ends_it() {
        let shown = |pid, force| {
            still_there("shop", pid, force, Duration::from_secs(5)).render(Style::plain())
        };
        assert_eq!(
            shown(Some(7), true),
            "error: master shop (pid 7) is still there after 5s\n\nhint: it is hung: end it with `kill -KILL 7`\n"
        );
        assert!(shown(Some(7), false).contains("(pid 7) is still there"));
        assert!(shown(None, true).contains("`kill -KILL PID`"));
    }

    #[test]
    fn an_interrupted_wait_says_that_it_goes_on() {
        let error = not_awaited(Doing::Reload, OP, Waited::Interrupted);
        assert_eq!(
            error.message,
            "no longer waiting: the reload goes on in the master (operation 9)"
        );
    }
}
