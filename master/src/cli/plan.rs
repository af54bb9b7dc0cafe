//! `plan`: what the master would do with its process file as it is now.

use std::{fmt::Write as _, process::ExitCode};

use ostler_bus::vocab::plan::{AppPlan, MasterPlan, Plan, PlanAnswer};

use super::{
    args::PlanArgs,
    bus_errors::of_master,
    carry_out::refused,
    connect::{self, Wanted},
    error::CliError,
    output, render,
};
use crate::escape;

/// `ostler plan`
pub(super) fn plan(args: &PlanArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let request = MasterPlan {
        environment: args.env.clone(),
    };
    connect::talk(wanted, async |session| {
        let plan = match session.bus.request(&request).await.map_err(of_master)? {
            PlanAnswer::Plan(plan) => plan,
            PlanAnswer::Refused { kind, reason } => return Err(refused(kind, &reason)),
        };
        let text = match args.json {
            true => render::json(&plan)?,
            false => in_words(&plan),
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// A line for each app, kept ones last and together.
fn in_words(plan: &Plan) -> String {
    let mut out = String::new();
    let width = plan.apps.iter().map(|app| app.app.len()).max().unwrap_or(0);
    let (kept, changed): (Vec<&AppPlan>, Vec<&AppPlan>) =
        plan.apps.iter().partition(|app| app.action == "keep");
    for app in &changed {
        let (name, what) = (&app.app, what(app));
        let _ = writeln!(out, "{:<7}{name:<width$}  {what}", app.action);
    }
    if changed.is_empty() {
        out.push_str("nothing would change\n");
    } else if !kept.is_empty() {
        let names: Vec<&str> = kept.iter().map(|app| app.app.as_str()).collect();
        let _ = writeln!(out, "keep   {}", names.join(", "));
    }
    for what in &plan.held_back {
        let _ = writeln!(out, "note: {}", escape::line(what));
    }
    out
}

fn what(app: &AppPlan) -> String {
    let workers = |count: u32| format!("{count} worker{}", if count == 1 { "" } else { "s" });
    let what = match app.action.as_str() {
        "start" => workers(app.to),
        "stop" => workers(app.from),
        "resize" => format!("{} -> {}", workers(app.from), app.to),
        _ => format!("differs in {}", app.keys.join(", ")),
    };
    let sockets = app.sockets.iter().map(|what| escape::line(what));
    let all: Vec<_> = std::iter::once(what.into()).chain(sockets).collect();
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, action: &str, from: u32, to: u32, keys: &[&str]) -> AppPlan {
        AppPlan {
            app: name.into(),
            action: action.into(),
            from,
            to,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            sockets: vec![],
        }
    }

    #[test]
    fn a_plan_in_words() {
        let mut plan = Plan {
            file: "/srv/ostler.toml".into(),
            apps: vec![
                app("api", "keep", 1, 1, &[]),
                app("db", "keep", 1, 1, &[]),
                app("jobs", "start", 0, 1, &[]),
                app("mailer", "stop", 2, 0, &[]),
                app("search", "resize", 2, 4, &["instances"]),
                app("web", "roll", 4, 4, &["command", "env"]),
            ],
            held_back: vec!["bus.limits has changed".into()],
        };
        plan.apps[5].sockets = vec!["closes 127.0.0.1:9000 (\"admin\")".into()];
        assert_eq!(
            in_words(&plan),
            "start  jobs    1 worker\nstop   mailer  2 workers\nresize search  2 workers -> 4\n\
             roll   web     differs in command, env; closes 127.0.0.1:9000 (\"admin\")\nkeep   api, db\nnote: bus.limits has changed\n"
        );
        plan.apps.truncate(2);
        plan.held_back.clear();
        assert_eq!(in_words(&plan), "nothing would change\n");
    }
}
