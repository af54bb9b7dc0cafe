//! Connections that are at home somewhere: each waits in the line of its home for a member there, and holds up no other line.
//!
//! Where nobody stays there may be nobody after those that drain (all may stop, or workers that accept for themselves may follow). So
//! they have what waits: each what is at home with it, and any of them the rest, but for what is at a home to which another member is
//! to come, or where one drains that is only full just now.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ostler_bus::WorkerId;

use super::{Member, Pool, Stay, fewest};

/// Which member that drains gets what is at home here, while nobody stays.
pub(super) fn last_of<C>(
    members: &[Member<C>],
    home: Option<u32>,
    awaited: &BTreeSet<u32>,
    limit: u32,
    missed: u64,
) -> Option<usize> {
    let drains = |m: &Member<C>| m.stay == Stay::Drains && m.space(limit) > 0;
    let comes = home.is_some_and(|home| awaited.contains(&home));
    // Full only just now: it takes more in a moment.
    let mut there = members.iter().filter(|m| m.is_at(home));
    let takes = there.any(|m| m.stay == Stay::Drains && m.takes_any(limit));
    let own = fewest(members, missed, |m| drains(m) && m.is_at(home));
    own.or_else(|| match comes || takes {
        true => None,
        false => fewest(members, missed, drains),
    })
}

impl<C> Pool<C> {
    /// Members are to come to these homes, and to no others.
    pub(in super::super) fn awaits(&mut self, homes: BTreeSet<u32>) {
        self.awaited = homes;
    }

    /// This member is at home there.
    pub(in super::super) fn lives(&mut self, id: WorkerId, home: u32) {
        if let Some(member) = self.member(id) {
            member.home = Some(home);
        }
    }

    /// Where members are at home that are ready and stay: those that have asked for connections, whether they have room or not; or
    /// those that have not yet.
    pub(in super::super) fn homes(&self, asked: bool) -> impl Iterator<Item = u32> {
        let members = self.members.iter();
        let staying = members.filter(move |m| m.stays() && m.asked == asked);
        staying.filter_map(|m| m.home)
    }

    /// Those that are ready, stay, and have not asked for connections.
    pub(in super::super) fn listening(&self) -> impl Iterator<Item = WorkerId> {
        let listening = self.members.iter().filter(|m| m.stays() && !m.asked);
        listening.map(|m| m.id)
    }

    /// Whether any member has room.
    pub(in super::super) fn has_room(&self) -> bool {
        self.members.iter().any(|m| m.room(self.limit) > 0)
    }

    /// Connections are at home elsewhere. Whoever comes into another line stands behind those who are there.
    pub(in super::super) fn move_home(&mut self, home: impl Fn(&C) -> Option<u32>) {
        for it in self.members.iter_mut().flat_map(|m| &mut m.handed) {
            it.home = home(&it.connection);
        }
        let mut lines: BTreeMap<_, VecDeque<_>> = BTreeMap::new();
        let mut moved = Vec::new();
        for mut it in std::mem::take(&mut self.waiting).into_values().flatten() {
            let before = std::mem::replace(&mut it.home, home(&it.connection));
            match before == it.home {
                true => lines.entry(it.home).or_default().push_back(it),
                false => moved.push(it),
            }
        }
        for it in moved {
            lines.entry(it.home).or_default().push_back(it);
        }
        self.waiting = lines;
    }

    /// What waits.
    pub(in super::super) fn nobodys(&self) -> impl Iterator<Item = &C> {
        self.waiting.values().flatten().map(|it| &it.connection)
    }

    /// Lets go of what waits, in the order of [`Self::nobodys`], unless it is to be kept.
    pub(in super::super) fn keep(&mut self, mut kept: impl FnMut() -> bool) {
        for line in self.waiting.values_mut() {
            line.retain(|_| kept());
        }
    }
}

#[cfg(test)]
mod tests {
    use ostler_worker_sdk::handover::{Account, UNLIMITED, WINDOW};

    use super::*;

    /// Workers 10 and 11 live in slot 0, worker 20 in slot 1. Connections are numbers.
    fn pool() -> Pool<u32> {
        let mut pool = Pool::new(UNLIMITED);
        for id in [10, 11, 20] {
            pool.join(WorkerId(id), true);
            pool.takes(WorkerId(id), UNLIMITED);
            pool.lives(WorkerId(id), slot(id));
        }
        pool
    }

    fn slot(id: u64) -> u32 {
        u32::try_from(id / 10 - 1).expect("small")
    }

    fn handed(pool: &Pool<u32>) -> Vec<(u64, Vec<u32>)> {
        let members = pool.members();
        members
            .map(|m| (m.id.0, m.handed.iter().map(|it| it.connection).collect()))
            .collect()
    }

    #[test]
    fn each_goes_home_and_what_is_not_at_home_goes_anywhere() {
        let mut pool = pool();
        for (home, connection) in [(Some(1), 1), (Some(0), 2), (Some(0), 3), (None, 4)] {
            pool.accepted(connection, home);
        }
        pool.deal();
        let mut handed = handed(&pool);
        let last = handed.iter_mut().find(|(_, its)| its.contains(&4));
        last.expect("it went to somebody").1.retain(|it| *it != 4);
        assert_eq!(handed, [(10, vec![3]), (11, vec![2]), (20, vec![1])]);
    }

    #[test]
    fn what_waits_for_one_slot_holds_up_no_other() {
        let mut pool = pool();
        let window = u32::try_from(WINDOW).expect("small");
        for number in 0..window + 3 {
            pool.accepted(number, Some(1));
        }
        // Nobody lives there.
        pool.accepted(90, Some(7));
        pool.accepted(91, Some(0));
        pool.deal();
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
        pool.deal();
        let last = handed(&pool)[2].1.clone();
        assert_eq!(last, [2, 3, 4, 5], "in their order");
        // Those of a worker that dies wait for its successor, before others.
        pool.leave(WorkerId(20));
        pool.deal();
        assert_eq!(pool.waiting(), 6);
        pool.join(WorkerId(21), true);
        pool.takes(WorkerId(21), UNLIMITED);
        pool.lives(WorkerId(21), 1);
        pool.deal();
        assert_eq!(handed(&pool)[2], (21, vec![2, 3, 4, 5]));
    }
    #[test]
    fn what_moves_goes_to_its_new_home_and_so_does_what_is_taken_back() {
        let mut pool = pool();
        for number in 0..10 {
            pool.accepted(number, Some(1));
        }
        pool.deal();
        pool.accepted(10, Some(0));
        pool.move_home(|_| Some(0));
        pool.leave(WorkerId(20));
        pool.deal();
        let all = handed(&pool);
        assert_eq!(
            all.iter().map(|(_, its)| its.len()).sum::<usize>(),
            2 * WINDOW
        );
        assert_eq!(pool.homes(true).collect::<Vec<_>>(), [0, 0]);
        let waits: Vec<u32> = pool.nobodys().copied().collect();
        assert_eq!(waits.len() + 2 * WINDOW, 11);
        let mut odd = waits.iter().map(|it| it % 2 == 1);
        pool.keep(|| odd.next().expect("each is asked for"));
        assert!(pool.nobodys().all(|it| it % 2 == 1));
    }

    #[test]
    fn where_nobody_stays_those_who_drain_get_what_waits_wherever_it_is_at_home() {
        let mut pool = pool();
        pool.accepted(1, Some(7));
        pool.accepted(2, None);
        for id in [10, 11] {
            pool.drain(WorkerId(id));
        }
        pool.leave(WorkerId(11));
        pool.release(WorkerId(20));
        pool.deal();
        assert_eq!(handed(&pool), [(10, vec![2, 1]), (20, vec![])]);
        assert_eq!(pool.parting(), [WorkerId(20)]);
    }

    #[test]
    fn where_nobody_stays_each_drains_its_own_home_and_what_is_awaited_waits() {
        let mut pool = pool();
        pool.awaits(BTreeSet::from([1, 7]));
        for id in [10, 11, 20] {
            pool.drain(WorkerId(id));
        }
        let window = u32::try_from(WINDOW).expect("small");
        for number in 0..=window {
            pool.accepted(number, Some(1));
        }
        pool.accepted(70, Some(7));
        pool.accepted(80, Some(8));
        pool.deal();
        let own: Vec<u32> = (0..window).collect();
        assert_eq!(handed(&pool)[1..], [(11, vec![]), (20, own)]);
        assert_eq!(handed(&pool)[0].1, [80], "nobody comes to its home");
        let waits: Vec<u32> = pool.nobodys().copied().collect();
        assert_eq!(waits, [window, 70]);
        assert_eq!(pool.parting(), [], "nobody may come");
        pool.awaits(BTreeSet::from([7]));
        pool.deal();
        assert_eq!(handed(&pool)[1], (11, vec![]), "its own is only full");
        pool.sent(WorkerId(20));
        let taken = Account {
            taken: 1,
            ..Account::default()
        };
        pool.account(WorkerId(20), taken).expect("it has it");
        pool.deal();
        assert_eq!(handed(&pool)[2], (20, (1..=window).collect()));
        // One that refuses doesn't take it in a moment.
        pool.accepted(90, Some(1));
        let refused = Account {
            refused: 1,
            ..Account::default()
        };
        pool.sent(WorkerId(20));
        pool.account(WorkerId(20), refused).expect("it has it");
        pool.deal();
        assert_eq!(
            handed(&pool)[1..],
            [(11, vec![1]), (20, (2..=window).collect())]
        );
        pool.awaits(BTreeSet::new());
        pool.deal();
        assert_eq!(pool.waiting(), 0);
    }
}
