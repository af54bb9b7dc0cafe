//! Which slots serve, and which are not needed.

use ostler_bus::{
    Slot, WorkerId,
    vocab::control::{AppStop, ScaleTo},
};

use crate::{
    config::app::AppName,
    fleet::{
        Command, Service,
        Service::{Awaited, GivenUp, Serves},
        testing::{Stage, definition, scale, start, stop},
    },
};

fn services(stage: &Stage) -> Vec<Service> {
    let app = AppName::new("web").expect("a name");
    let (size, services) = stage.fleet.services(&app).expect("an app");
    assert_eq!(size as usize, services.len());
    services
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
    assert_eq!(dispensed_with(&stage), [2, 3]);
    for id in [1, 2] {
        stage.exits(WorkerId(id), 0);
    }
    assert_eq!(services(&stage), [GivenUp, GivenUp]);
    stage.op(start());
    assert_eq!(services(&stage), [Awaited, Awaited]);
}
