//! One decision at a time.

use super::*;

const A: WorkerId = WorkerId(1);
const B: WorkerId = WorkerId(2);
const C: WorkerId = WorkerId(3);

/// A pool of connections that are numbers; its members are ready and take any number.
fn pool(members: &[WorkerId]) -> Pool<u32> {
    let mut pool = Pool::new(UNLIMITED);
    for id in members {
        pool.join(*id, true);
        pool.takes(*id, UNLIMITED);
    }
    pool
}

/// Deals these, and says who got what.
fn deal(
    pool: &mut Pool<u32>,
    connections: impl IntoIterator<Item = u32>,
) -> Vec<(WorkerId, Vec<u32>)> {
    for connection in connections {
        pool.accepted(connection, None);
    }
    pool.deal();
    let dealt: Vec<(WorkerId, Vec<u32>)> = pool
        .unsent()
        .map(|(id, connections)| (id, connections.copied().collect()))
        .collect();
    for (id, _) in &dealt {
        pool.sent(*id);
    }
    dealt
}

fn account(taken: u32, refused: u32, closed: u32) -> Account {
    Account {
        taken,
        refused,
        closed,
    }
}

#[test]
fn the_idle_take_turns() {
    let mut pool = pool(&[A, B, C]);
    for round in 0..6 {
        let expected = [A, B, C][round as usize % 3];
        assert_eq!(deal(&mut pool, [round]), [(expected, vec![round])]);
        pool.account(expected, account(1, 0, 1)).unwrap();
    }
}

#[test]
fn the_one_with_the_fewest_open_is_next_whoever_s_turn_it_is() {
    let mut pool = pool(&[A, B]);
    assert_eq!(deal(&mut pool, 0..4), [(A, vec![0, 2]), (B, vec![1, 3])]);
    pool.account(A, account(2, 0, 0)).unwrap();
    pool.account(B, account(2, 0, 2)).unwrap();
    assert_eq!(deal(&mut pool, 4..6), [(B, vec![4, 5])]);
    assert_eq!(deal(&mut pool, 6..8), [(A, vec![6]), (B, vec![7])]);
}

#[test]
fn one_that_was_busy_has_some_of_its_turns_later_and_one_that_comes_has_none() {
    let mut pool = pool(&[A, B]);
    assert_eq!(deal(&mut pool, [0]), [(A, vec![0])]);
    pool.account(A, account(1, 0, 0)).unwrap();
    let served = |pool: &mut Pool<u32>, count: usize| {
        let mut to = Vec::new();
        for _ in 0..count {
            let (id, _) = deal(pool, [1])[0];
            pool.account(id, account(1, 0, 1)).unwrap();
            to.push(id);
        }
        to
    };
    assert_eq!(served(&mut pool, 1_000), [B; 1_000]);
    pool.account(A, account(0, 0, 1)).unwrap();
    pool.join(C, true);
    pool.takes(C, UNLIMITED);
    let next = served(&mut pool, 304);
    let count = |id| next.iter().filter(|to| **to == id).count() as u64;
    assert_eq!((count(B), count(C)), (80, 80));
    assert_eq!(count(A), count(B) + CATCH_UP);
}

#[test]
fn nobody_is_handed_more_than_a_window_and_as_much_is_accepted_as_there_is_room() {
    let mut pool = pool(&[A, B]);
    assert_eq!(pool.room(), 2 * WINDOW);
    deal(&mut pool, 0..8);
    assert_eq!(pool.room(), 0);
    pool.account(A, account(1, 0, 0)).unwrap();
    assert_eq!(pool.room(), 1);
    assert_eq!(
        deal(&mut pool, [8]),
        [(A, vec![8])],
        "B has as many open, but no room"
    );
}

#[test]
fn nothing_for_those_who_are_not_ready_or_have_not_said_that_they_take() {
    let mut pool = Pool::new(UNLIMITED);
    pool.join(A, false);
    pool.takes(A, UNLIMITED);
    pool.join(B, true);
    assert_eq!(pool.room(), 0);
    assert_eq!(deal(&mut pool, [1]), []);
    pool.takes(B, UNLIMITED);
    assert_eq!(deal(&mut pool, []), [(B, vec![1])]);
    pool.ready(A);
    assert_eq!(pool.room(), 2 * WINDOW - 1);
}

#[test]
fn a_limit_counts_what_is_open_and_what_is_on_its_way() {
    let mut pool = pool(&[A, B]);
    pool.takes(A, 2);
    pool.takes(B, 1);
    assert_eq!(pool.room(), 3);
    deal(&mut pool, 0..3);
    assert_eq!(pool.room(), 0);
    pool.account(A, account(2, 0, 0)).unwrap();
    assert_eq!(pool.room(), 0);
    pool.account(A, account(0, 0, 1)).unwrap();
    assert_eq!(pool.room(), 1);
    let mut ours = Pool::<u32>::new(1);
    ours.join(A, true);
    ours.takes(A, UNLIMITED);
    assert_eq!(ours.room(), 1);
    assert_eq!(ours.members().next().and_then(|m| m.limit(1)), Some(1));
}

#[test]
fn one_that_refuses_and_says_in_the_same_breath_that_one_has_closed_has_room() {
    let mut pool = pool(&[]);
    pool.join(A, true);
    pool.takes(A, 1);
    assert_eq!(deal(&mut pool, [0]), [(A, vec![0])]);
    pool.account(A, account(0, 1, 0)).unwrap();
    assert_eq!(pool.room(), 0, "it has refused");
    pool.takes(A, 2);
    assert_eq!(deal(&mut pool, [1]), [(A, vec![0, 1])]);
    pool.account(A, account(1, 1, 1)).unwrap();
    assert_eq!(deal(&mut pool, []), [(A, vec![1])]);
}

#[test]
fn what_is_refused_goes_to_others_and_not_back() {
    let mut pool = pool(&[A, B]);
    deal(&mut pool, 0..4);
    pool.account(A, account(1, 1, 0)).unwrap();
    assert_eq!(deal(&mut pool, []), [(B, vec![2])]);
    pool.account(B, account(0, 3, 0)).unwrap();
    assert_eq!(pool.room(), 0, "both have refused");
    assert_eq!(pool.waiting(), 3);
    pool.account(A, account(0, 0, 1)).unwrap();
    assert_eq!(
        deal(&mut pool, []),
        [(A, vec![1, 3, 2])],
        "something has changed"
    );
    pool.takes(B, 5);
    assert_eq!(pool.room(), WINDOW + 1);
    assert_eq!((pool.given_again, pool.refused), (4, 4));
    let of_each: Vec<_> = pool.members().map(|it| (it.id, it.refused)).collect();
    assert_eq!(of_each, [(A, 1), (B, 3)]);
}

#[test]
fn who_leaves_keeps_what_it_took_and_others_get_the_rest_before_all_newer() {
    let mut pool = pool(&[A, B]);
    deal(&mut pool, 0..8);
    pool.account(A, account(1, 0, 0)).unwrap();
    pool.accepted(8, None);
    pool.leave(A);
    pool.account(B, account(4, 0, 4)).unwrap();
    assert_eq!(deal(&mut pool, []), [(B, vec![2, 4, 6, 8])]);
    pool.leave(B);
    assert_eq!(
        (pool.waiting(), pool.room()),
        (4, 0),
        "they wait for whoever comes"
    );
    pool.join(C, true);
    pool.takes(C, UNLIMITED);
    assert_eq!(deal(&mut pool, []), [(C, vec![2, 4, 6, 8])]);
}

#[test]
fn what_could_not_be_sent_waits_in_its_place() {
    let mut pool = pool(&[A]);
    deal(&mut pool, [1]);
    pool.accepted(2, None);
    pool.accepted(3, None);
    pool.deal();
    assert_eq!(
        pool.account(A, account(2, 0, 0)),
        Err(Misreckoned),
        "it has seen one"
    );
    pool.not_sent(A);
    pool.account(A, account(1, 0, 0)).unwrap();
    assert_eq!(deal(&mut pool, [4]), [(A, vec![2, 3, 4])]);
}

#[test]
fn accounts_that_cannot_be_are_refused() {
    let mut pool = pool(&[A]);
    deal(&mut pool, 0..2);
    for wrong in [
        account(3, 0, 0),
        account(1, 2, 0),
        account(1, 0, 2),
        account(u32::MAX, u32::MAX, 0),
        account(0, 0, u32::MAX),
    ] {
        assert_eq!(pool.account(A, wrong), Err(Misreckoned), "{wrong:?}");
    }
    assert_eq!(pool.account(A, account(2, 0, 2)), Ok(()));
    assert_eq!(
        pool.account(B, account(9, 9, 9)),
        Ok(()),
        "nobody's: late news"
    );
}

#[test]
fn one_that_drains_gives_back_what_it_has_not_taken_to_those_who_stay() {
    let mut pool = pool(&[A, B]);
    assert_eq!(deal(&mut pool, 0..4), [(A, vec![0, 2]), (B, vec![1, 3])]);
    pool.drain(A);
    assert_eq!(pool.parting(), [A]);
    pool.leave(A);
    assert_eq!(deal(&mut pool, []), [(B, vec![0, 2])]);
}

#[test]
fn where_nobody_stays_those_who_drain_take_what_they_were_handed_and_nothing_else() {
    let mut pool = pool(&[A, B]);
    assert_eq!(deal(&mut pool, 0..3), [(A, vec![0, 2]), (B, vec![1])]);
    pool.drain(A);
    pool.drain(B);
    assert_eq!((pool.parting(), pool.room()), (vec![], 0));
    pool.account(B, account(1, 0, 0)).unwrap();
    assert_eq!(pool.parting(), [B]);
    pool.leave(B);
    pool.account(A, account(1, 0, 0)).unwrap();
    assert_eq!(pool.parting(), []);
    // One that refuses the rest will not take it later.
    pool.account(A, account(0, 1, 0)).unwrap();
    assert_eq!((pool.parting(), pool.waiting()), (vec![A], 1));
    pool.leave(A);
    pool.join(C, true);
    pool.takes(C, UNLIMITED);
    assert_eq!(deal(&mut pool, []), [(C, vec![2])]);
}

#[test]
fn one_that_hangs_while_it_drains_gives_back_when_another_comes() {
    let mut pool = pool(&[A]);
    assert_eq!(deal(&mut pool, 0..2), [(A, vec![0, 1])]);
    pool.drain(A);
    assert_eq!(pool.parting(), []);
    pool.join(B, false);
    assert_eq!(pool.parting(), [], "it may never be ready");
    pool.ready(B);
    assert_eq!(pool.parting(), [], "it may never take any");
    pool.takes(B, UNLIMITED);
    assert_eq!(pool.parting(), [A]);
}

/// All are to stop in the middle of an update, before the successor was ready or right after.
#[test]
fn where_the_only_one_that_stays_has_not_asked_and_goes_too_the_old_one_takes_the_rest() {
    for ready in [false, true] {
        let mut pool = pool(&[A, B]);
        let window = u32::try_from(WINDOW).unwrap();
        deal(&mut pool, 0..2 * window);
        pool.join(C, ready);
        pool.takes(C, 0);
        pool.leave(B);
        pool.drain(A);
        assert_eq!((pool.parting(), pool.waiting()), (vec![], WINDOW));
        pool.account(A, account(window, 0, 0)).unwrap();
        assert_eq!(pool.parting(), [], "it could have what waits");
        let before = deal(&mut pool, []).len();
        assert_eq!(before, usize::from(!ready), "a ready one gets it");
        pool.drain(C);
        assert_eq!(deal(&mut pool, []).len(), usize::from(ready));
        assert_eq!((pool.parting(), pool.waiting()), (vec![C], 0));
        pool.leave(C);
        pool.account(A, account(window, 0, 0)).unwrap();
        assert_eq!(pool.parting(), [A]);
    }
}

#[test]
fn one_that_was_let_go_of_takes_what_it_was_handed_and_others_get_what_it_refuses() {
    let mut pool = pool(&[A, B]);
    assert_eq!(deal(&mut pool, 0..4), [(A, vec![0, 2]), (B, vec![1, 3])]);
    pool.release(A);
    assert_eq!(pool.parting(), [], "although B stays");
    assert_eq!(deal(&mut pool, 4..6), [(B, vec![4, 5])]);
    pool.account(A, account(1, 0, 0)).unwrap();
    assert_eq!(pool.parting(), []);
    pool.account(A, account(0, 1, 0)).unwrap();
    assert_eq!(pool.parting(), [A]);
    pool.leave(A);
    pool.account(B, account(4, 0, 0)).unwrap();
    assert_eq!(deal(&mut pool, []), [(B, vec![2])]);
}
