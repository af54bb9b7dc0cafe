//! Who says that workers should be replaced, and for which apps that holds. Nobody waits for an answer.

use ostler_bus::vocab::update::{UpdateSuspended, WorkerRestartNeeded};

use std::path::Path;

use super::{
    Fleet, FleetEvent, Requester,
    app::App,
    guard::{self, Asker, Changed, Ruling},
    pending,
    turn::Turn,
};
use crate::config::app::AppName;

/// Someone says that workers should be replaced.
pub(super) fn restart_needed(
    fleet: &mut Fleet,
    wish: WorkerRestartNeeded,
    by: &Requester,
    turn: &mut Turn,
) {
    if fleet.ending.is_some() {
        return;
    }
    let reason = wish.reason.unwrap_or_else(|| in_words(by));
    let wanted = match (&wish.app, by) {
        (Some(name), _) => AppName::new(name).ok(),
        (None, Requester::Worker { app, .. }) => Some(app.clone()),
        (
            None,
            Requester::Client(_) | Requester::File(_) | Requester::Signal(_) | Requester::Socket(_),
        ) => None,
    };
    let all = wish.app.is_none() && wanted.is_none();
    for app in fleet
        .apps
        .values_mut()
        .filter(|app| all || wanted.as_ref() == Some(&app.name))
    {
        if !app.wants_none() && !app.definition.life.oneshot {
            ask_unless_suspended(app, by, &reason, turn);
        }
    }
}

fn ask_unless_suspended(app: &mut App, by: &Requester, reason: &str, turn: &mut Turn) {
    let asker = match by {
        Requester::Worker {
            app: own,
            generation,
            ..
        } if *own == app.name => Asker::Own(*generation),
        Requester::File(_) => Asker::File(when(app, turn)),
        // One of them has shut the socket down: the next generation may do the same.
        Requester::Socket(_) => Asker::Own(app.newest),
        Requester::Worker { .. } | Requester::Client(_) | Requester::Signal(_) => Asker::Outside,
    };
    let ruling = match asker {
        Asker::Own(generation) => app.guard.rule(turn.now, generation),
        Asker::File(changed) => app.guard.rule_file(turn.now, changed),
        Asker::Outside => Ruling::Admit,
    };
    match ruling {
        Ruling::Admit => pending::ask(app, None, reason, asker, turn),
        Ruling::Suspend => {
            let reason = match by {
                Requester::File(file) => files_suspended(app, file),
                Requester::Socket(socket) => {
                    let minutes = guard::WINDOW.as_secs() / 60;
                    format!(
                        "each new generation shut the socket {socket:?} down, so that it had to be replaced; that is no reason \
                         for an update for {minutes} min. A worker that wants no more connections must close its descriptor instead"
                    )
                }
                Requester::Worker { .. } | Requester::Client(_) | Requester::Signal(_) => {
                    let minutes = guard::WINDOW.as_secs() / 60;
                    format!(
                        "each new generation asked for the next; what this app's workers ask for is ignored for {minutes} min"
                    )
                }
            };
            turn.publish(FleetEvent::UpdateSuspended(UpdateSuspended {
                app: app.name.to_string(),
                reason,
            }));
        }
        Ruling::Ignore => {}
    }
}

/// Whether one of the app's workers may have been the one who wrote.
fn when(app: &App, turn: &Turn) -> Changed {
    let soon = |worker: &super::worker::Worker| turn.now - worker.ordered_at <= guard::SOON;
    match app.update.is_some() || app.workers.values().any(soon) {
        true => Changed::Soon,
        false => Changed::Later,
    }
}

/// Names the file, and says how to leave it out.
fn files_suspended(app: &App, changed: &str) -> String {
    let name = Path::new(changed)
        .file_name()
        .map_or_else(|| changed.into(), |name| name.to_string_lossy());
    format!(
        "{} updates in a row, and each time a file changed again as soon as a worker was started ({changed}): changes of files \
         are ignored until there is none for {} s, and `ostler reload {}` updates at once. If the workers write that file, \
         leave it out: auto_reload = {{ ignore = [{name:?}] }}",
        guard::MOST_FILES_IN_A_ROW,
        guard::FILES_REST.as_secs(),
        app.name
    )
}

fn in_words(by: &Requester) -> String {
    match by {
        Requester::Worker { id, .. } => format!("asked for by worker {id}"),
        Requester::Client(name) => format!("asked for by {name}"),
        Requester::File(path) => format!("file changed: {path}"),
        Requester::Signal(name) => (*name).to_owned(),
        Requester::Socket(name) => {
            format!("the socket {name:?} was shut down and had to be replaced")
        }
    }
}
