//! Workers that are replaced although they serve: by what they count themselves, and by the hour.

use std::{collections::BTreeSet, time::Duration};

use ostler_bus::vocab::{
    status::StatusReport,
    worker::{WorkerDraining, WorkerSpawned},
};
use ostler_tests::{
    habit,
    harness::{App, Fleet, MasterBuilder, Programs, Web},
    load::{Load, Plan},
    ostler,
};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A master with workers made with the SDK, and these settings.
fn sdk(instances: u32, settings: &str) -> MasterBuilder {
    let master = PROGRAMS.master();
    let file = PROGRAMS.sdk_app("web", instances, master.dir().path()) + settings;
    master.file(&file)
}

#[tokio::test]
async fn workers_that_have_served_enough_are_replaced_and_no_request_is_lost() {
    let mut fleet = Fleet::ready(sdk(2, "max_requests = 40\n"), 2).await;
    let mut draining = fleet.hear::<WorkerDraining>().await;
    let plan = Plan::to(fleet.address().await).contains("\"version\":");
    let load = Load::start(plan.connections(3)).expect("a load");
    let mut replaced = BTreeSet::new();
    while replaced.len() < 2 {
        let event = draining.next().await.event;
        assert!(
            event.reason.ends_with(" requests served (max_requests)"),
            "{event:?}"
        );
        replaced.insert(event.worker.slot);
    }
    // Under this load their successors have served as much at once: they stay, and that is told.
    fleet
        .wait_for_log("if that is usual, raise the limit")
        .await;
    let tally = load.stop().await;
    assert_eq!((tally.lost(), tally.fault.as_deref()), (0, None), "{tally}");
    let workers = fleet.until_ready(2).await;
    assert!(
        workers
            .iter()
            .all(|worker| worker.generation.0 == 1 && worker.restarts == 0)
    );
    assert!(
        workers.iter().all(|worker| worker.requests.is_some()),
        "{workers:?}"
    );
}

#[tokio::test]
async fn a_worker_that_has_nothing_to_do_any_more_is_replaced_once() {
    let fleet = Fleet::ready(sdk(2, "idle_timeout = \"300ms\"\n"), 2).await;
    let mut draining = fleet.hear::<WorkerDraining>().await;
    let mut client = Web::connect(fleet.address().await).await;
    // Longer than the idle time: one that answers is not idle.
    let slot = client.ask("/slow/1500").await.json();
    let asked = fleet.status().await.workers;
    assert!(
        asked.iter().all(|worker| worker.current),
        "nobody was replaced yet: {slot}"
    );
    drop(client);
    let event = draining.next().await.event;
    assert_eq!(
        event.reason,
        "recycle: nothing served for 300ms (idle_timeout)"
    );
    let workers = fleet.until_ready(2).await;
    for worker in workers {
        assert_eq!((worker.recycle, worker.requests), (None, Some(0)));
    }
}

/// Waits for the next full minute: that is as soon as `cron` can be.
#[tokio::test]
async fn at_its_hour_an_app_is_recycled_and_a_job_is_done_again() {
    let minute = "* * * * *";
    let serves = habit!("web", "notify 0").set("cron", minute).instances(2);
    let job = App::new("job", ["true"])
        .set("oneshot", true)
        .set("cron", minute);
    let uncounting = habit!("plain", "notify 0").set("max_requests", 10);
    let apps = [serves.set("min_healthy", "0s"), job, uncounting];
    let mut fleet = Fleet::start(ostler!().apps(&apps)).await;
    let mut draining = fleet
        .bus
        .subscribe::<WorkerDraining>()
        .await
        .expect("heard");
    let done = |status: &StatusReport| {
        let mut apps = status.apps.iter();
        apps.any(|app| app.name == "job" && app.state == "stopped")
    };
    let status = fleet.until("the job to be done once", done).await;
    let mut spawned = fleet.bus.subscribe::<WorkerSpawned>().await.expect("heard");
    let next = |name: &str| {
        let app = status.apps.iter().find(|app| app.name == name);
        app.expect("an app").next_cron.is_some()
    };
    assert!(next("web") && next("job") && !next("plain"));
    fleet.wait_for_log("plain: max_requests does nothing").await;
    let mut replaced = BTreeSet::new();
    let hour = async {
        while replaced.len() < 2 {
            let event = draining.next_event().await.expect("the bus is there").event;
            assert_eq!(event.reason, "recycle: the hour has come (cron * * * * *)");
            assert_eq!(event.worker.app, "web");
            replaced.insert(event.worker.id);
        }
        loop {
            let worker = spawned
                .next_event()
                .await
                .expect("the bus is there")
                .event
                .worker;
            if worker.app == "job" {
                return worker;
            }
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(90), hour).await;
    let again = again.expect("a minute has passed");
    assert_eq!((again.slot.0, again.generation.0), (0, 1));
}
