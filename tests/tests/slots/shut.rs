//! Workers that shut several slots' sockets down at once. The kernel moves others into their places before the master hears of
//! the first.

use ostler_bus::vocab::update::ListenerShut;
use rustix::{
    net::Shutdown,
    process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use super::*;

/// Shuts these slots' sockets down in this order, as their workers could, and waits until the master has opened all again. The
/// workers crash of it.
async fn shut_at_once(fleet: &Fleet, slots: &[u32]) {
    let mut shut = fleet.hear::<ListenerShut>().await;
    let mut own = Vec::new();
    for slot in slots {
        let pid = fleet.worker("web", *slot).await.pid;
        let pid = pid.and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        let pid = pid.expect("a living worker");
        let process = pidfd_open(pid, PidfdFlags::empty()).expect("a living worker");
        let listener = pidfd_getfd(process, 3, PidfdGetfdFlags::empty());
        own.push((pid, listener.expect("its socket")));
    }
    let master = fleet.process.id();
    stand_still(master).await;
    for (_, listener) in &own {
        rustix::net::shutdown(listener, Shutdown::Both).expect("shut down");
    }
    for (pid, _) in own {
        let status = format!("/proc/{}/status", pid.as_raw_pid());
        let has_ended = || {
            let status = std::fs::read_to_string(&status).ok()?;
            status.contains("State:\tZ").then_some(())
        };
        eventually("a worker to crash", PATIENCE, has_ended).await;
    }
    let master = Pid::from_raw(master.try_into().expect("a pid"));
    kill_process(master.expect("a pid"), Signal::CONT).expect("a living master");
    for _ in slots {
        assert_eq!(shut.next().await.event.error, None, "it listens again");
    }
}

/// Leaves one slot out by having it stopped; which ones answer then.
async fn without(fleet: &Fleet, slot: u32, out: &'static [u32]) -> Vec<String> {
    let which = format!("web:{slot}");
    fleet.ostler(["stop", &which]).success().await;
    let others = move |status: &StatusReport| {
        (0..sockets(status).len() as u32)
            .all(|other| left_out(status, other).is_some() == out.contains(&other))
    };
    fleet.until("it to be left out", others).await;
    let plan = to(fleet.address().await, "/").by_field("slot").requests(80);
    let tally = fleet.load_with(plan).await.finish().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    fleet.ostler(["start", &which]).success().await;
    tally.by.into_keys().collect()
}

#[tokio::test]
async fn all_are_left_out_by_their_own_places_afterwards() {
    let fleet = ready(&web(3, "slot"), 3).await;
    for order in [[0, 1, 2], [2, 1, 0]] {
        shut_at_once(&fleet, &order).await;
        chosen(&fleet, &[0, 1, 2]).await;
        assert_eq!(without(&fleet, 0, &[0]).await, ["1", "2"]);
        chosen(&fleet, &[0, 1, 2]).await;
        assert_eq!(without(&fleet, 1, &[1]).await, ["0", "2"]);
        chosen(&fleet, &[0, 1, 2]).await;
        assert_eq!(without(&fleet, 2, &[2]).await, ["0", "1"]);
        chosen(&fleet, &[0, 1, 2]).await;
    }
}

/// The last two have the places of the first two, and which has whose is for nobody to know.
#[tokio::test]
async fn who_may_have_anothers_place_is_left_out_with_it_which_is_said() {
    let fleet = ready(&web(4, "slot"), 4).await;
    shut_at_once(&fleet, &[0, 1]).await;
    fleet
        .logged("may have those of the slots {2, 3} in each other's places")
        .await;
    chosen(&fleet, &[0, 1, 2, 3]).await;
    for slot in [2, 3] {
        assert_eq!(without(&fleet, slot, &[2, 3]).await, ["0", "1"]);
        chosen(&fleet, &[0, 1, 2, 3]).await;
    }
    assert_eq!(without(&fleet, 1, &[1]).await, ["0", "2", "3"]);
    chosen(&fleet, &[0, 1, 2, 3]).await;
    // If all are at once, the kernel begins anew.
    shut_at_once(&fleet, &[3, 1, 0, 2]).await;
    chosen(&fleet, &[0, 1, 2, 3]).await;
    assert_eq!(without(&fleet, 2, &[2]).await, ["0", "1", "3"]);
}
