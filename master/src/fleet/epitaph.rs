//! How a worker ended, in words: for operators, in events, and for whoever waits for it.

use ostler_bus::vocab::worker::ExitStatus;

use super::{Exit, cause::Cause, turn::Turn, worker::Worker};
use crate::config::{
    app::Readiness,
    units::{exact, rough},
};

/// "worker 7 (slot 2, generation 3) exited with code 1 after 20ms, before it was ready". One that was sent away for not
/// being ready in time often exits with 0: then the time, and not the exit, is what went wrong.
pub(super) fn epitaph(worker: &Worker, exit: &Exit, was_ready: bool, turn: &Turn) -> String {
    let (who, how) = (worker.describe(), end_in_words(&exit.status));
    if worker.spawned_at.is_none() {
        return format!("{who} {how}");
    }
    if worker
        .leaving()
        .is_some_and(|leaving| leaving.cause == Cause::StartTimeout)
    {
        return format!("{}; told to go, it {how}", late(worker));
    }
    if let Some(why) = &worker.hung {
        let what = match worker.leaving().map(|leaving| leaving.cause) {
            Some(Cause::Memory) => "was killed",
            Some(_) | None => "was hung",
        };
        return format!("{who} {what}: {why}; it {how}");
    }
    // What is done with its work need never be ready.
    let done = worker.definition.life.oneshot && exit.status == ExitStatus::Code(0);
    let before = if was_ready || done {
        ""
    } else {
        ", before it was ready"
    };
    format!(
        "{who} {how} after {}{before}",
        rough(worker.uptime(turn.now))
    )
}

/// "worker 7 (slot 2, generation 3) was not ready in time: it had 30s (start_timeout) to send READY=1 on NOTIFY_SOCKET".
pub(super) fn late(worker: &Worker) -> String {
    format!("{} was {}", worker.describe(), not_in_time(worker))
}

/// The same without the worker.
pub(super) fn not_in_time(worker: &Worker) -> String {
    let how = match &worker.definition.ready {
        Readiness::Auto => {
            "to say that it is ready (READY=1 on NOTIFY_SOCKET, or the SDK's ready()), as it had begun to speak to the master".to_owned()
        }
        Readiness::Notify => "to send READY=1 on NOTIFY_SOCKET".to_owned(),
        Readiness::Sdk => "to say so through the SDK".to_owned(),
        Readiness::Delay(_) => "to stay alive for its delay".to_owned(),
        Readiness::Probe(probe) => match &worker.probing.trouble {
            Some(trouble) => format!("to answer {}: {trouble}", probe.check),
            None => format!("to answer {}", probe.check),
        },
    };
    format!(
        "not ready in time: it had {} (start_timeout) {how}",
        exact(worker.definition.start_timeout)
    )
}

fn end_in_words(status: &ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exited with code {code}"),
        ExitStatus::Signal(name) => format!("was ended by {name}"),
        ExitStatus::Unknown => "is gone, nobody knows how,".into(),
        ExitStatus::NotStarted(error) => format!("could not be started: {error}"),
    }
}

pub(super) fn with_last_words(epitaph: &str, exit: &Exit) -> String {
    let mut text = epitaph.to_owned();
    if !exit.stderr_tail.is_empty() {
        text.push_str("; its last lines:\n");
        text.push_str(&exit.stderr_tail.join("\n"));
    }
    if let Some(hint) = &exit.hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}
