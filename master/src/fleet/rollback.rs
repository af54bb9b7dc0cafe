//! Going back: slots that an update had replaced before it failed become what they were.
//!
//! ```text
//!  update failed, `on_failure = "rollback"` ─► trials of what the slots were, by the same rules ─► rolled back
//!                                                │
//!                                                └─ one fails, or a command comes in between ─► left as it is, and told
//! ```
//! The workers are of the generation that their slot was of before, with that generation's definition, paths and variables.
//! Whoever asked for the update is answered when this has ended; later requests wait for it.

use ostler_bus::vocab::{control::Outcome, update::UpdateRolledBack};

use super::{
    FleetEvent,
    app::App,
    operations::pay,
    turn::Turn,
    update::{Course, GivenUp, Update},
    worker::millis,
};

/// How many slots would go back.
pub(super) fn slots(app: &App, update: &Update) -> u32 {
    let wanted = app.slots.range(..ostler_bus::Slot(app.size));
    let replaced = wanted.filter(|(_, slot)| slot.generation == update.generation);
    u32::try_from(replaced.count()).unwrap_or(u32::MAX)
}

/// The update has failed: it turns round.
pub(super) fn begin(app: &mut App, mut update: Update, why: String, turn: &Turn) {
    update.course = Course::Back { why };
    (update.done, update.began) = (0, turn.now);
    app.update = Some(update);
}

/// Everything is as it was.
pub(super) fn finish(app: &mut App, update: Update, turn: &mut Turn) {
    end(app, update, None, turn);
}

/// It does not come to that.
pub(super) fn give_up(app: &mut App, update: Update, why: GivenUp<'_>, turn: &mut Turn) {
    let why = match why {
        GivenUp::Failed(why) => why.to_owned(),
        GivenUp::Overtaken(by) => format!("overtaken by {by}"),
    };
    end(app, update, Some(why), turn);
}

fn end(app: &mut App, update: Update, failed: Option<String>, turn: &mut Turn) {
    let Course::Back { why } = update.course else {
        return;
    };
    let how = match &failed {
        None => "rolled back".to_owned(),
        Some(failed) => format!("the rollback failed too: {failed}"),
    };
    app.last_update = Some(format!(
        "generation {} given up, {how}: {why}",
        update.generation
    ));
    turn.publish(FleetEvent::UpdateRolledBack(UpdateRolledBack {
        app: app.name.to_string(),
        generation: update.generation,
        slots: update.done,
        took_ms: millis(turn.now - update.began),
        failed,
    }));
    for op in update.ops {
        pay(op, Outcome::Failed(format!("{why}\n{how}")), turn);
    }
}
