//! Whatever a master is asked to do: one request, then, unless told otherwise, waiting for its end, and what became of it in words.

use std::{process::ExitCode, time::Duration};

use ostler_bus::{
    OpId, Request,
    client::{Bus, RequestError},
    vocab::control::{Answer, Outcome, RefusalKind},
};

use super::{
    args::Waiting,
    bus_errors::{gone, of_master},
    connect::{OTHER_RELEASE, Session},
    error::{CliError, Exit},
    interrupt,
    live::Live,
    operation::{End, Waited, Watch},
    progress::{Doing, Line, Progress},
    state_verbs,
};
use crate::config::units;

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
            failure.details([goes_on]).hint(
                "look at its log; one that was stopped goes on with SIGCONT, and `ostler ls` tells when it answers",
            )
        }
        Waited::Misfit(reason) => {
            let mut failure = CliError::new(
                Exit::Failed,
                "the master's events are of another release than this program",
            );
            failure.causes.push(reason);
            failure.details([goes_on]).hint(OTHER_RELEASE)
        }
    }
}

/// The one app that this word names: not a worker, a namespace, or several.
async fn named(bus: &Bus, word: Option<String>) -> Option<String> {
    let word = word?;
    let known = state_verbs::ask(bus).await.ok()?.apps;
    known.iter().any(|app| app.name == word).then_some(word)
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
    fn a_wait_that_can_t_go_on_says_what_to_do() {
        let hint = |why| {
            let error = not_awaited(Doing::Reload, OP, why);
            error.hint.unwrap_or_default()
        };
        let silent = CliError::new(Exit::Failed, "no answer");
        assert!(hint(Waited::Silent(silent)).contains("look at its log"));
        let misfit = Waited::Misfit("other fields".into());
        assert!(hint(misfit).contains("use the ostler that the master was started with"));
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
