//! Answers `app.describe`: how apps are defined, and where that was said.

use std::path::Path;

use ostler_bus::{
    Slot,
    client::{Bus, SubscribeError},
    vocab::{
        control::RefusalKind,
        describe::{AppDescribe, AppDescription, DescribeAnswer, Release, Setting, SlotLogs},
    },
};

use super::Settling;
use crate::{
    config::{
        app::{AppDefinition, log},
        written::{self, Key, Value},
    },
    shell::{Drawn, ShellHandle},
};

/// What is told of an app though nobody said it: what people look for first.
const ASKED_FOR: [&str; 9] = [
    "ready",
    "start_timeout",
    "kill_ladder",
    "restart",
    "backoff",
    "max_restarts",
    "strategy",
    "auto_reload",
    "log",
];

/// Of a whole app the files of so many slots are told: an answer has to fit into a frame.
const MOST_LOGS: u32 = 1_000;

/// Runs until the bus goes.
///
/// # Errors
/// If the hub refuses the subscription.
pub async fn run(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut questions = bus.serve::<AppDescribe>().await?;
    drop(settling);
    while let Some(call) = questions.next().await {
        let answer = match shell.portraits(call.request().app.clone()).await {
            Ok(apps) if apps.is_empty() => DescribeAnswer::Refused {
                kind: RefusalKind::UnknownName,
                reason: "there are no apps".into(),
            },
            Ok(apps) => DescribeAnswer::Described(apps.iter().map(describe).collect()),
            Err((kind, reason)) => DescribeAnswer::Refused { kind, reason },
        };
        let _gone = call.reply(&answer).await;
    }
    Ok(())
}

fn describe(drawn: &Drawn) -> AppDescription {
    let portrait = &drawn.portrait;
    let app = &portrait.definition;
    let keys = written::keys(app).into_iter();
    let told = keys.filter(|key| !key.usual || ASKED_FOR.contains(&key.name));
    let mut settings: Vec<Setting> = told.map(|key| setting(app, key)).collect();
    if portrait.size != app.instances
        && let Some(size) = settings.iter_mut().find(|said| said.key == "instances")
    {
        size.value = portrait.size.to_string();
        size.source = "scale".into();
    }
    let extra = &app.overlay.extra;
    if !extra.is_empty() {
        let names: Vec<&str> = extra.keys().map(String::as_str).collect();
        settings.push(Setting {
            key: "env".into(),
            value: names.join(", "),
            source: "reload --env".into(),
        });
    }
    let slots: Vec<u32> = match &portrait.chosen {
        Some(chosen) => chosen.iter().map(|slot| slot.0).collect(),
        None => (0..portrait.size.min(MOST_LOGS)).collect(),
    };
    let slots = slots.into_iter();
    AppDescription {
        name: app.name.to_string(),
        generation: portrait.generation,
        slots: portrait.chosen.clone(),
        release: drawn.release.as_deref().map(|app| Release {
            command: app.command.clone(),
            cwd: app.cwd.as_deref().map(shown),
        }),
        settings,
        logs: slots.filter_map(|slot| logs(app, slot)).collect(),
    }
}

fn setting(app: &AppDefinition, key: Key) -> Setting {
    let by = match key.name {
        // Variables come from files of their own, too.
        "env" => "env_file",
        // Its first rung.
        "kill_ladder" => "stop_signal",
        // Lines, as that is one.
        "stdin" => "stop_message",
        name => name,
    };
    let source = app.places.of(key.name).or(app.places.of(by));
    let source = source.unwrap_or("default");
    let value = match (key.name, key.value) {
        ("env", Value::Table(variables)) => {
            let names: Vec<String> = variables.into_iter().map(|(name, _)| name).collect();
            names.join(", ")
        }
        (_, value) => value.to_string(),
    };
    Setting {
        key: key.name.into(),
        value,
        source: source.into(),
    }
}

fn logs(app: &AppDefinition, slot: u32) -> Option<SlotLogs> {
    let [out, err] = app.log.targets().map(|target| match target {
        log::LogTarget::File(template) => Some(shown(&log::path_for(
            &template,
            app.name.as_str(),
            &slot.to_string(),
        ))),
        log::LogTarget::Master
        | log::LogTarget::Null
        | log::LogTarget::Bus
        | log::LogTarget::Journal => None,
    });
    (out.is_some() || err.is_some()).then_some(SlotLogs {
        slot: Slot(slot),
        out,
        err,
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
