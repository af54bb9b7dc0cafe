//! Dealing connections that are at home somewhere: each goes to a member there, and waits while none has room.

use std::collections::BTreeSet;

use ostler_bus::WorkerId;

use super::{CATCH_UP, Member, Pool};

impl<C> Pool<C> {
    /// Whether any member has room.
    pub(in super::super) fn has_room(&self) -> bool {
        self.members.iter().any(|m| m.room(self.limit) > 0)
    }

    /// Deals what waits, the oldest first, as far as members that are at home where it is have room: each to the one with the fewest
    /// open. What is at home nowhere goes to any.
    pub(in super::super) fn deal_home(
        &mut self,
        home: impl Fn(&C) -> Option<u32>,
        homes: impl Fn(WorkerId) -> Option<u32>,
    ) {
        let limit = self.limit;
        let open = self.members.iter().filter(|m| m.room(limit) > 0);
        let mut open: BTreeSet<u32> = open.filter_map(|m| homes(m.id)).collect();
        let mut at = 0;
        while at < self.waiting.len() && !open.is_empty() {
            let home = home(&self.waiting[at]);
            let its = |member: &Member<C>| home.is_none() || homes(member.id) == home;
            if home.is_some_and(|home| !open.contains(&home)) {
                at += 1;
            } else if !self.deal_one(at, its) {
                match home {
                    Some(home) => open.remove(&home),
                    None => return,
                };
            }
        }
    }

    /// Deals one that waits to one of these; false if none of them has room.
    fn deal_one(&mut self, at: usize, to: impl Fn(&Member<C>) -> bool) -> bool {
        let limit = self.limit;
        let missed = self.turns.saturating_sub(CATCH_UP);
        let open = self.members.iter_mut();
        let open = open.filter(|m| m.room(limit) > 0 && to(m));
        let Some(next) = open.min_by_key(|m| (m.load(), m.turns.max(missed))) else {
            return false;
        };
        next.turns = next.turns.max(missed) + 1;
        self.turns = self.turns.max(next.turns);
        next.unsent += 1;
        next.handed.extend(self.waiting.remove(at));
        true
    }
}

#[cfg(test)]
mod tests {
    use ostler_worker_sdk::handover::{Account, UNLIMITED, WINDOW};

    use super::*;

    /// Workers 10 and 11 live in slot 0, worker 20 in slot 1. A connection is the number of its slot, and a number of its own.
    fn pool() -> Pool<(Option<u32>, u32)> {
        let mut pool = Pool::new(UNLIMITED);
        for id in [10, 11, 20] {
            pool.join(WorkerId(id), true);
            pool.takes(WorkerId(id), UNLIMITED);
        }
        pool
    }

    fn deal(pool: &mut Pool<(Option<u32>, u32)>) {
        let slot = |id: WorkerId| u32::try_from(id.0 / 10 - 1).ok();
        pool.deal_home(|connection| connection.0, slot);
    }

    fn handed(pool: &Pool<(Option<u32>, u32)>) -> Vec<(u64, Vec<u32>)> {
        let members = pool.members();
        members
            .map(|m| (m.id.0, m.handed.iter().map(|c| c.1).collect()))
            .collect()
    }

    #[test]
    fn each_goes_home_and_what_is_not_at_home_goes_anywhere() {
        let mut pool = pool();
        for connection in [(Some(1), 1), (Some(0), 2), (Some(0), 3), (None, 4)] {
            pool.accepted(connection);
        }
        deal(&mut pool);
        let mut handed = handed(&pool);
        let last = handed.iter_mut().find(|(_, its)| its.contains(&4));
        last.expect("it went to somebody").1.retain(|it| *it != 4);
        assert_eq!(handed, [(10, vec![2]), (11, vec![3]), (20, vec![1])]);
    }

    #[test]
    fn what_waits_for_one_slot_holds_up_no_other() {
        let mut pool = pool();
        let window = u32::try_from(WINDOW).expect("small");
        for number in 0..window + 3 {
            pool.accepted((Some(1), number));
        }
        // Nobody lives there.
        pool.accepted((Some(7), 90));
        pool.accepted((Some(0), 91));
        deal(&mut pool);
        assert_eq!((pool.waiting(), pool.has_room()), (4, true));
        assert_eq!(handed(&pool)[0], (10, vec![91]));
        assert_eq!(handed(&pool)[2].1, (0..window).collect::<Vec<_>>());
        let taken = Account {
            taken: 2,
            ..Account::default()
        };
        for id in [10, 20] {
            pool.sent(WorkerId(id));
        }
        pool.account(WorkerId(20), taken).expect("it has them");
        deal(&mut pool);
        let last = handed(&pool)[2].1.clone();
        assert_eq!(last, [2, 3, 4, 5], "in their order");
        // Those of a worker that dies wait for its successor, before others.
        pool.leave(WorkerId(20));
        deal(&mut pool);
        assert_eq!(pool.waiting(), 6);
        pool.join(WorkerId(21), true);
        pool.takes(WorkerId(21), UNLIMITED);
        deal(&mut pool);
        assert_eq!(handed(&pool)[2], (21, vec![2, 3, 4, 5]));
    }
}
