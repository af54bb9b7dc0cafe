//! The hour: what `cron` means for an app. When it is, others know; the fleet has no clock.
//!
//! Workers that serve then are due to be replaced, one after the other, as by every other reason. An app whose workers end
//! by themselves (`oneshot`) begins again, where they have ended. A stopped app stays stopped: a stop always wins.

use std::sync::Arc;

use super::{
    Action,
    app::App,
    slot::SlotState,
    turn::Turn,
    wear::{self, Reason},
    worker::Worker,
};
use crate::config::app::overlay::Variables;

/// It is the hour of this app.
pub(super) fn due(app: &mut App, turn: &mut Turn) {
    if !app.wanted {
        return;
    }
    if app.definition.life.oneshot {
        return begin_again(app, turn);
    }
    let why = match &app.definition.recycle.cron {
        Some(schedule) => format!("the hour has come (cron {schedule})"),
        None => "the hour has come (cron)".to_owned(),
    };
    let holders: Vec<_> = app
        .slots
        .values()
        .filter_map(|slot| slot.holder())
        .collect();
    for id in holders {
        if let Some(worker) = app.workers.get_mut(&id).filter(|worker| worker.is_ready()) {
            wear::want(worker, &app.name, Reason::Cron, why.clone(), turn);
        }
    }
}

/// What has ended is done once more; what is at work is left at it.
fn begin_again(app: &mut App, turn: &mut Turn) {
    if let Some(worker) = app.workers.values().next() {
        let text = format!(
            "{}: the hour has come (cron), but {} is still at work: what is at work goes on, and is not begun again",
            app.name,
            Worker::describe(worker)
        );
        turn.act(Action::Warn(text));
    } else if app.update.is_none() && !Arc::ptr_eq(&app.serving.1, &app.definition) {
        app.renew(Variables::new());
    }
    for slot in app.slots.values_mut() {
        match slot.state {
            SlotState::Ended { .. } | SlotState::Failed { .. } => slot.try_again(),
            SlotState::Vacant
            | SlotState::Held(_)
            | SlotState::Backoff { .. }
            | SlotState::Stopped => {}
        }
    }
}
