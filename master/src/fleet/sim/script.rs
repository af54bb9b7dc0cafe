//! What a history brings from outside: the apps, the commands, the changes, and when.

mod app;
mod event;

use std::{collections::BTreeMap, time::Duration};

use self::{
    app::{draw_app, draw_order},
    event::{draw_event, draw_requester, needed},
};
use super::{CHAOS, dice::Dice};
use crate::{
    config::app::AppDefinition,
    fleet::{Command, Input, Moment},
};

/// Which variable of an app's definition says what version it is.
const VERSION: &str = "VERSION";

/// Marks a definition that is to have the version that was said last.
const KEPT: &str = "KEPT";

/// Marks a definition that is to have the version that was said before the last.
const PUT_BACK: &str = "PUT_BACK";

/// What comes from outside.
#[derive(Default)]
pub(super) struct Script {
    pub(super) told: Vec<(Moment, Vec<Input>)>,
    pub(super) commands: Vec<(Moment, Command)>,
    /// Kills from outside, each with the number that chooses the victim.
    pub(super) strikes: Vec<(Moment, u64)>,
}

/// The version of the app that this definition starts.
pub(super) fn version(definition: &AppDefinition) -> u64 {
    definition
        .env
        .get(VERSION)
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Whether this version of the app is a bad deploy.
pub(super) fn is_spoilt(app: &str, version: u64) -> bool {
    (version.wrapping_mul(7) + app.len() as u64).is_multiple_of(5)
}

pub(super) fn write(dice: &mut Dice) -> Script {
    let mut script = Script::default();
    let mut apps: Vec<AppDefinition> = vec![draw_app(dice, "a")];
    if dice.one_in(3) {
        apps.push(draw_app(dice, "bb"));
        draw_order(dice, &mut apps);
    }
    let all = Input::DefineAll(apps.clone());
    script.told.push((Moment::default(), vec![all]));
    // Half of what happens comes in bursts: that is where commands meet.
    let burst = dice.millis(0, 30_000);
    for _ in 0..3 + dice.below(9) {
        let end = u64::try_from(CHAOS.as_millis()).unwrap_or(0) - 1;
        let at = if dice.one_in(2) {
            burst + dice.millis(0, 3000)
        } else {
            dice.millis(0, end)
        };
        draw_event(
            dice,
            Moment::after_epoch(at.min(CHAOS)),
            &mut apps,
            &mut script,
        );
    }
    for app in apps.iter_mut().filter(|app| app.recycle.max_age.is_some()) {
        // Else there would be no end of it.
        app.recycle.max_age = None;
        let told = [
            Input::Define(app.clone()),
            needed(Some(app.name.to_string()), draw_requester(dice)),
        ];
        let calm = Moment::after_epoch(CHAOS + Duration::from_secs(1));
        script.told.push((calm, told.into()));
    }
    number_versions(&mut script);
    script
}

/// Versions grow in the order of time, whatever the order in which changes were drawn.
fn number_versions(script: &mut Script) {
    script.told.sort_by_key(|(at, _)| *at);
    let inputs = script.told.iter_mut().flat_map(|(_, inputs)| inputs);
    let mut said = BTreeMap::new();
    for (version, input) in (1_u64..).zip(inputs) {
        let defined = match input {
            Input::Define(definition) => std::slice::from_mut(definition),
            Input::DefineAll(definitions)
            | Input::Command {
                command: Command::TakeUp(definitions),
                ..
            } => definitions,
            Input::Worker { .. }
            | Input::Command { .. }
            | Input::RestartNeeded { .. }
            | Input::CronDue(_)
            | Input::Awaited { .. }
            | Input::Paused(_)
            | Input::Tick => &mut [],
        };
        for definition in defined {
            let name = definition.name.clone();
            let (before, last) = said.entry(name).or_insert((version, version));
            if definition.env.remove(PUT_BACK).is_some() {
                std::mem::swap(before, last);
            } else if definition.env.remove(KEPT).is_none() {
                *before = std::mem::replace(last, version);
            }
            definition.env.insert(VERSION.into(), last.to_string());
        }
    }
}
