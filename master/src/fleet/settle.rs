//! Brings an app from what is so to what is wanted: called after every input, for every app.
//!
//! Order: what is due happens to workers; what isn't wanted is sent away; updates go on; slots that want a worker get
//! one; operations whose goal is reached end. A second call at the same moment does nothing.

use ostler_bus::{Slot as SlotNumber, WorkerId};

use super::{
    Action, Moment,
    app::App,
    cause::Cause,
    clearing, drain, hang, lives,
    mutation::Mutation,
    operations::pay,
    order::Rise,
    probing, readiness, recycle,
    slot::{Slot, SlotState},
    trial,
    turn::Turn,
    update, wear,
    worker::{Occasion, Phase, Worker},
};
use crate::config::{
    app::{AppName, Readiness},
    units::exact,
};

/// Does all there is to do now.
pub(super) fn settle(app: &mut App, turn: &mut Turn) {
    for worker in app.workers.values_mut() {
        pass_time(worker, &app.name, turn);
    }
    wear::warn_if_uncounted(app, turn);
    retire(app, turn);
    make_slots(app, turn);
    while app.rise.has_begun() {
        update::advance(app, turn);
        clearing::agree(app);
        recycle::advance(app, turn);
        retry(app, turn);
        // A slot that was filled may have been the last that an update had to see to.
        if !fill(app, turn) {
            break;
        }
    }
    end_waits(app, turn);
}

/// When something will be due by itself.
pub(super) fn deadline(app: &App) -> Option<Moment> {
    let workers = app.workers.values().filter_map(worker_deadline);
    // Whoever is in the way of the others will be heard of.
    let slots = app.slots.iter().filter_map(|(number, slot)| {
        let at = slot.retry_at()?;
        clearing::is_free(app, *number).then_some(at)
    });
    workers
        .chain(slots)
        .chain(trial::deadline(app))
        .chain(recycle::retry_at(app))
        .chain(wear::uncounted_at(app))
        .min()
}

fn worker_deadline(worker: &Worker) -> Option<Moment> {
    match &worker.phase {
        Phase::Starting { deadline } => deadline
            .iter()
            .copied()
            .chain(readiness::ready_without_word(worker))
            .chain(probing::deadline(worker))
            .chain(readiness::slow_at(worker))
            .min(),
        Phase::Ready { .. } => hang::deadline(worker)
            .into_iter()
            .chain(wear::deadline(worker))
            .min(),
        Phase::Leaving(leaving) => leaving.deadline(),
    }
}

/// What is due happens to a worker. One that thereby becomes ready may be due for something else at once: whoever waits for it
/// must not take it for one that serves in between.
fn pass_time(worker: &mut Worker, app: &AppName, turn: &mut Turn) {
    if let Phase::Starting { deadline } = &worker.phase {
        let deadline = *deadline;
        pass_start(worker, deadline, app, turn);
    }
    match &worker.phase {
        Phase::Starting { .. } => {}
        Phase::Ready { .. } => {
            wear::pass_time(worker, app, turn);
            hang::pass_time(worker, app, turn);
        }
        Phase::Leaving(_) => drain::climb_if_due(worker, turn),
    }
}

/// What is due happens to a worker that starts.
fn pass_start(worker: &mut Worker, deadline: Option<Moment>, app: &AppName, turn: &mut Turn) {
    let past = |at: Option<Moment>| at.is_some_and(|at| at <= turn.now);
    if past(readiness::ready_without_word(worker)) {
        let assumed = worker.definition.ready == Readiness::Auto;
        lives::ready(worker, app, assumed, turn);
    } else if past(deadline) {
        drain::send_away(worker, app, Cause::StartTimeout, turn);
    } else {
        let slow = past(readiness::slow_at(worker));
        probing::ask_if_due(worker, turn);
        if slow {
            tell_slow(worker, app, turn);
        }
    }
}

/// Nobody should have to wait for the whole of `start_timeout` to learn what is waited for.
fn tell_slow(worker: &mut Worker, app: &AppName, turn: &mut Turn) {
    worker.told_slow = true;
    let Some(awaited) = readiness::awaited(worker) else {
        return;
    };
    turn.act(Action::Warn(format!(
        "{app}.{} is not ready after {}: it waits for {awaited}; it has {} in all (start_timeout): worker {}",
        worker.slot,
        exact(readiness::SLOW_AFTER),
        exact(worker.definition.start_timeout),
        worker.id
    )));
}

/// Sends away what isn't wanted, highest slots first, and forgets slots that are neither wanted nor held.
fn retire(app: &mut App, turn: &mut Turn) {
    let unwanted: Vec<SlotNumber> = app
        .slots
        .keys()
        .rev()
        .copied()
        .filter(|slot| !app.wants(*slot, turn))
        .collect();
    for number in unwanted {
        let cause = match (app.wanted, app.rise) {
            (true, Rise::Emptying { .. }) => Cause::Restart,
            (true, _) if number.0 >= app.size => Cause::Scale,
            (true, _) | (false, _) => Cause::Stop,
        };
        let Some(slot) = app.slots.get_mut(&number) else {
            continue;
        };
        match slot.holder().and_then(|id| app.workers.get_mut(&id)) {
            Some(worker) => drain::send_away(worker, &app.name, cause, turn),
            None if number.0 >= app.size => {
                app.slots.remove(&number);
            }
            None => slot.state = SlotState::Stopped,
        }
        drop_trial(app, number, cause, turn);
    }
}

/// A successor for a slot that is no longer wanted isn't either.
pub(super) fn drop_trial(app: &mut App, slot: SlotNumber, cause: Cause, turn: &mut Turn) {
    trial::drop_all(app, |trial| trial.slot == slot, cause, turn);
}

/// Makes the slots that are wanted and aren't there.
fn make_slots(app: &mut App, turn: &Turn) {
    for number in (0..=app.size).map(SlotNumber) {
        let parked = app.is_meant_to_run() && app.parked.contains(&number);
        if (app.wants(number, turn) || parked) && !app.slots.contains_key(&number) {
            let (generation, definition) = app.filling();
            let mut slot = Slot::new(generation, definition);
            if parked {
                slot.state = SlotState::Stopped;
            }
            app.slots.insert(number, slot);
        }
    }
}

/// Tries crashed and failed slots again whose time has come.
fn retry(app: &mut App, turn: &mut Turn) {
    if turn.mutated(Mutation::NeverLeaveBackoff) {
        return;
    }
    let due = |slot: &Slot| slot.retry_at().is_some_and(|at| at <= turn.now);
    let due: Vec<SlotNumber> = app
        .slots
        .iter()
        .filter(|(number, slot)| due(slot) && clearing::is_free(app, **number))
        .map(|(number, _)| *number)
        .collect();
    for number in due {
        let Some(slot) = app.slots.get(&number) else {
            continue;
        };
        let generation = (slot.generation, std::sync::Arc::clone(&slot.definition));
        let id = app.spawn(number, generation, Occasion::Respawn, turn);
        hold(app, number, id);
    }
}

/// Fills the lowest vacant slots, as long as few enough of those filled before are still starting: with `start_parallel` 1
/// each is ready before the next. A slot for which an update is bringing up a successor anyway gets that one. True if there was
/// one to fill.
fn fill(app: &mut App, turn: &mut Turn) -> bool {
    let fills = |worker: &&Worker| worker.occasion == Occasion::Fill && worker.is_starting();
    let starting = app.workers.values().filter(fills).count();
    let room = (app.definition.start.parallel.max(1) as usize).saturating_sub(starting);
    let generation = app.filling();
    let strategy = generation.1.update.strategy;
    let vacant = |(number, slot): &(&SlotNumber, &Slot)| {
        slot.state == SlotState::Vacant
            && !trial::on_trial(app, **number)
            && clearing::clear(app, **number, generation.0, strategy)
            && app.remains_in(**number).is_none()
    };
    let vacant = app.slots.iter().filter(vacant).take(room);
    let vacant: Vec<SlotNumber> = vacant.map(|(number, _)| *number).collect();
    for &number in &vacant {
        let generation = app.filling();
        if let Some(slot) = app.slots.get_mut(&number) {
            slot.adopt(generation.0, &generation.1);
        }
        let id = app.spawn(number, generation, Occasion::Fill, turn);
        hold(app, number, id);
    }
    !vacant.is_empty()
}

fn hold(app: &mut App, number: SlotNumber, id: WorkerId) {
    if let Some(slot) = app.slots.get_mut(&number) {
        slot.state = SlotState::Held(id);
    }
}

/// Ends the operations whose goal is reached.
fn end_waits(app: &mut App, turn: &mut Turn) {
    for wait in std::mem::take(&mut app.waits) {
        match app.reached(&wait.goal) {
            Some(outcome) => pay(wait.op, outcome, turn),
            None => app.waits.push(wait),
        }
    }
}
