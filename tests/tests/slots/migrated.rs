//! What the kernel does by itself where the machine's owner has it so: `net.ipv4.tcp_migrate_req`.

use super::{
    apart::{in_a_network_apart, set},
    changes::left_over,
    *,
};

async fn what_waits_for_a_slot_that_goes_is_the_others() {
    let (fleet, answers) = left_over().await;
    fleet.ostler(["scale", "1"]).success().await;
    let slots = answered(answers).await;
    assert!(slots.iter().all(|slot| *slot == 0), "{slots:?}");
    let one = |status: &StatusReport| sockets(status).len() == 1;
    fleet.until("the socket to be gone", one).await;
    let output = fleet.process.output();
    assert!(!output.contains("waited at its socket"), "{output}");
    // It may come back, in its place.
    fleet.ostler(["scale", "2"]).success().await;
    chosen(&fleet, &[0, 1]).await;
    let plan = to(fleet.address().await, "/").by_field("slot");
    let tally = fleet.load_with(plan.requests(100)).await.finish().await;
    assert_eq!((tally.lost(), tally.by.len()), (0, 2), "{tally}");
}

#[test]
fn where_it_moves_connections_nothing_is_kept_or_lost() {
    in_a_network_apart(async || {
        set("net/ipv4/tcp_migrate_req", "1");
        what_waits_for_a_slot_that_goes_is_the_others().await;
    });
}
