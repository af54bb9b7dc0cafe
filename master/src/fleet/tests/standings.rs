//! Which slots serve, and which are not needed.

use ostler_bus::{
    Slot, WorkerId,
    vocab::{
        control::{AppStop, ScaleTo},
        status::WorkerStatus,
    },
};

use crate::{
    config::app::AppName,
    fleet::{
        Command, Service,
        Service::{Awaited, GivenUp, Serves},
        testing::{Stage, definition, reload, scale, start, stop},
    },
};

fn services(stage: &Stage) -> Vec<Service> {
    let app = AppName::new("web").expect("a name");
    let (size, services) = stage.fleet.services(&app).expect("an app");
    assert_eq!(size as usize, services.len());
    services
}

/// The slots in which a worker is to come, or is not ready yet: by what is told, which has to agree with what the status shows.
fn awaited(stage: &Stage) -> Vec<u32> {
    let app = AppName::new("web").expect("a name");
    let awaited = stage.fleet.awaited();
    let there: Vec<u32> = awaited[&app].iter().map(|slot| slot.0).collect();
    let workers = stage.fleet.snapshot(stage.now).workers;
    let comes = |worker: &&WorkerStatus| match worker.id {
        Some(_) => worker.starting,
        None => matches!(worker.state.as_str(), "starting" | "backoff" | "failed"),
    };
    let mut shown: Vec<u32> = workers.iter().filter(comes).map(|w| w.slot.0).collect();
    shown.dedup();
    assert_eq!(there, shown);
    there
}

/// The slots of the first four that the app has no use for.
fn dispensed_with(stage: &Stage) -> Vec<u32> {
    let app = AppName::new("web").expect("a name");
    let is = |slot: &u32| stage.fleet.is_dispensed_with(&app, Slot(*slot));
    (0..4).filter(is).collect()
}

#[test]
fn a_slot_serves_from_ready_until_it_drains() {
    let mut stage = Stage::of(definition("web", 2));
    assert_eq!(services(&stage), [Awaited, Awaited]);
    stage.says_ready(WorkerId(1));
    assert_eq!(services(&stage)[0], Serves);
    let mut stage = Stage::serving(definition("web", 3));
    assert_eq!(services(&stage), [Serves; 3]);
    stage.exits(WorkerId(2), 1);
    assert_eq!(services(&stage), [Serves, Awaited, Serves]);
    assert_eq!(dispensed_with(&stage), [3], "there is none");
}

#[test]
fn what_is_too_many_is_not_needed_and_what_is_stopped_alone_is_not_either() {
    let mut stage = Stage::serving(definition("web", 3));
    stage.op(scale(ScaleTo::Exactly(2)));
    assert_eq!(services(&stage), [Serves, Serves]);
    assert_eq!(dispensed_with(&stage), [2, 3]);
    let app = Some("web:1".to_owned());
    stage.op(Command::Stop(AppStop { app }));
    assert_eq!(services(&stage), [Serves, GivenUp], "as soon as it drains");
    assert_eq!(dispensed_with(&stage), [1, 2, 3]);
    stage.op(scale(ScaleTo::Exactly(0)));
    assert_eq!(services(&stage), []);
    assert_eq!(dispensed_with(&stage), [1, 2, 3], "one is kept");
}

#[test]
fn of_an_app_that_is_stopped_as_a_whole_every_slot_is_needed_again() {
    let mut stage = Stage::serving(definition("web", 2));
    stage.op(stop());
    assert_eq!(
        services(&stage),
        [GivenUp, GivenUp],
        "as soon as they drain"
    );
    assert_eq!(dispensed_with(&stage), [2, 3]);
    for id in [1, 2] {
        stage.exits(WorkerId(id), 0);
    }
    assert_eq!(services(&stage), [GivenUp, GivenUp]);
    stage.op(start());
    assert_eq!(services(&stage), [Awaited, Awaited]);
}

#[test]
fn another_worker_is_awaited_until_it_is_ready_and_where_one_is_to_come() {
    let mut stage = Stage::of(definition("web", 3));
    assert_eq!(awaited(&stage), [0, 1, 2]);
    stage.says_ready(WorkerId(1));
    assert_eq!(awaited(&stage), [1, 2]);
    let mut stage = Stage::serving(definition("web", 3));
    assert!(awaited(&stage).is_empty());
    stage.exits(WorkerId(2), 1);
    assert_eq!(awaited(&stage), [1]);
    stage.op(stop());
    assert!(awaited(&stage).is_empty());
    for id in [1, 3, 4] {
        stage.exits(WorkerId(id), 0);
    }
    assert!(awaited(&stage).is_empty());
    stage.op(start());
    assert_eq!(awaited(&stage), [0, 1, 2]);
}

#[test]
fn a_failed_slot_is_failed_until_a_worker_of_its_own_is_ordered() {
    let mut app = definition("web", 1);
    (app.max_restarts, app.life.retry_failed) = (0, None);
    let mut stage = Stage::of(app);
    let failed = |stage: &Stage| {
        let app = AppName::new("web").expect("a name");
        stage.fleet.has_failed(&app, Slot(0))
    };
    assert!(!failed(&stage));
    stage.exits(WorkerId(1), 1);
    assert!(failed(&stage));
    stage.op(reload(false));
    assert_eq!(stage.orders().last().expect("a successor").id, WorkerId(2));
    assert!(failed(&stage), "the successor is on trial");
    stage.exits(WorkerId(2), 1);
    assert!(failed(&stage));
    stage.op(start());
    assert_eq!(stage.orders().last().expect("its own").id, WorkerId(3));
    assert!(!failed(&stage));
}
