//! Clients that stay where they were.

use std::collections::BTreeMap;

use super::*;

/// A client's address; all are different.
fn client(number: u32) -> [u8; 4] {
    let [_, a, b, c] = number.wrapping_mul(40_503).to_be_bytes();
    [127, a, b, c.clamp(1, 254)]
}

/// Which slot answers each of so many clients.
async fn slots_of(clients: u32, address: SocketAddr) -> BTreeMap<[u8; 4], u64> {
    let mut slots = BTreeMap::new();
    for batch in (0..clients).map(client).collect::<Vec<_>>().chunks(32) {
        let mut answers = Vec::new();
        for client in batch {
            answers.push(knock_from(*client, address).await);
        }
        slots.extend(batch.iter().copied().zip(answered(answers).await));
    }
    slots
}

fn moved(before: &BTreeMap<[u8; 4], u64>, after: &BTreeMap<[u8; 4], u64>) -> Vec<(u64, u64)> {
    let both = before.iter().map(|(client, slot)| (*slot, after[client]));
    both.filter(|(before, after)| before != after).collect()
}

#[tokio::test]
async fn clients_are_spread_evenly_and_come_to_the_same_slot_again() {
    let fleet = ready(&web(8, "sticky"), 8).await;
    let address = fleet.address().await;
    let before = slots_of(1_600, address).await;
    let mut counts = BTreeMap::<u64, usize>::new();
    for slot in before.values() {
        *counts.entry(*slot).or_default() += 1;
    }
    let most = *counts.values().max().expect("answers");
    let ratio = most as f64 * 8.0 / before.len() as f64;
    assert!(counts.len() == 8 && ratio <= 1.2, "{ratio}: {counts:?}");
    assert_eq!(moved(&before, &slots_of(1_600, address).await), []);
    let status = fleet.status().await;
    for slot in 0..8 {
        let share = share(&status, slot).expect("its share");
        assert_eq!((share.buckets, &share.left_out), (Some(32), &None));
    }
}

#[tokio::test]
async fn a_crash_moves_nobodys_clients() {
    let app = web(4, "sticky").set("backoff", json!({"first": "300ms", "max": "300ms"}));
    let fleet = ready(&app, 4).await;
    let address = fleet.address().await;
    let before = slots_of(200, address).await;
    let mut ids = Vec::new();
    // The second time it has to wait before it comes back.
    for _ in 0..2 {
        let victim = fleet.worker("web", 1).await;
        ids.push(victim.id);
        signal(&victim, Signal::KILL);
        assert_eq!(moved(&before, &slots_of(200, address).await), []);
        fleet.until_ready(4).await;
    }
    fleet.ostler(["reload"]).success().await;
    assert_eq!(moved(&before, &slots_of(200, address).await), []);
    assert_ne!(ids[0], ids[1]);
}

/// Workers accept for themselves, each on its slot's own socket: one that drains has no other to accept on.
#[tokio::test]
async fn updates_move_nobodys_clients() {
    for strategy in ["surge", "replace"] {
        let app = sdk(3, "sticky").set("strategy", strategy);
        let fleet = ready(&app, 3).await;
        let address = fleet.address().await;
        let before = slots_of(60, address).await;
        let updates = tokio::spawn({
            let reloads = [fleet.ostler(["reload"]), fleet.ostler(["reload"])];
            async move {
                for reload in reloads {
                    reload.success().await;
                }
            }
        });
        while !updates.is_finished() {
            assert_eq!(moved(&before, &slots_of(60, address).await), []);
        }
        updates.await.expect("updated");
    }
}

#[tokio::test]
async fn a_resize_moves_no_more_than_the_share_of_what_comes_or_goes() {
    let fleet = ready(&web(4, "sticky"), 4).await;
    let address = fleet.address().await;
    let before = slots_of(400, address).await;
    fleet.ostler(["scale", "5"]).success().await;
    let five = |status: &StatusReport| share(status, 4).and_then(|it| it.buckets) == Some(51);
    fleet.until("the fifth to have its share", five).await;
    let more = slots_of(400, address).await;
    let went = moved(&before, &more);
    assert!(went.iter().all(|(_, to)| *to == 4), "{went:?}");
    // A fifth is 80.
    assert!((40..=120).contains(&went.len()), "{}", went.len());
    fleet.ostler(["scale", "4"]).success().await;
    assert_eq!(moved(&before, &slots_of(400, address).await), []);
}

#[tokio::test]
async fn clients_of_a_slot_that_is_stopped_are_served_by_others_until_it_is_back() {
    let fleet = ready(&web(3, "sticky"), 3).await;
    let address = fleet.address().await;
    let before = slots_of(200, address).await;
    fleet.ostler(["stop", "web:1"]).success().await;
    let out = |status: &StatusReport| left_out(status, 1) == Some("its worker has ended or failed");
    fleet.until("it to be left out", out).await;
    let went = moved(&before, &slots_of(200, address).await);
    assert!(went.iter().all(|(from, _)| *from == 1), "{went:?}");
    assert_eq!(
        went.len(),
        before.values().filter(|slot| **slot == 1).count()
    );
    fleet.ostler(["start", "web:1"]).success().await;
    fleet.until_ready(3).await;
    assert_eq!(moved(&before, &slots_of(200, address).await), []);
}
