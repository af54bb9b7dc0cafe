//! `reload`, `scale`, `stop`, `start`, `restart`, `delete`, `signal`, `reset`: one request each; then, unless told otherwise, waiting for its end.

use std::{collections::BTreeMap, process::ExitCode};

use ostler_bus::vocab::{
    commands::{AppDelete, AppRestart, AppSignal, SignalAnswer},
    control::{AppReload, AppReset, AppScale, AppStart, AppStop},
    plan::MasterReload,
    status::StatusReport,
};

use super::{
    args::{AppArgs, DeleteArgs, ReloadArgs, ScaleArgs, SignalArgs, Waiting},
    bus_errors::of_master,
    carry_out::{carry_out, refused},
    connect::{self, Wanted},
    error::{CliError, Exit},
    progress::Doing,
    state_verbs, values,
};

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
        app: args.which.join(","),
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
        [] => Err(CliError::new(Exit::UnknownName, "the master has no apps")
            .hint("add one: ostler start -- COMMAND")),
        [first, ..] => Err(CliError::new(
            Exit::Usage,
            format!("the master has {} apps: say which one", report.apps.len()),
        )
        .details(report.apps.iter().map(|app| app.name.clone()))
        .hint(format!("for example: ostler scale {} N", first.name))),
    }
}
