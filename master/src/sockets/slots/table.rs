//! Which slot the clients of a bucket belong to. Client addresses fall into buckets by their hash; a bucket is one slot's.
//!
//! The table is a function of the number of slots and of nothing else: it is the same after the master was started again.
//! With one slot more, that one takes its share from all others, and no other bucket moves; with one less it is undone. So
//! a resize from `n` to `n + 1` slots or back moves one client in `n + 1`.

use std::collections::BTreeSet;

/// Buckets for up to [`COARSE_SLOTS`] slots: no slot has more than 1.2 times its share.
const COARSE: usize = 256;

/// The most slots for which those do; each then has as many.
const COARSE_SLOTS: usize = 32;

/// Buckets for more slots than that: each of the coarse ones in four parts, so that passing from one to the other moves no
/// more than any other step.
const FINE: usize = 1024;

/// The slot of each bucket, for so many slots. There are 256 buckets, or 1,024 for more than 32 slots.
#[cfg(test)]
pub(super) fn buckets(slots: usize) -> Vec<usize> {
    of_owners(slots, |_| true)
}

/// The same where some slots have nothing of their own yet: what will be theirs is whose it would be without them.
fn of_owners(slots: usize, owns: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut owners = vec![0; COARSE];
    let mut now = owners.clone();
    let mut sizes = vec![COARSE];
    for slot in 1..slots.min(FINE) {
        if slot == COARSE_SLOTS {
            let parts = FINE / COARSE;
            let split =
                |owners: Vec<usize>| owners.into_iter().flat_map(|o| vec![o; parts]).collect();
            (owners, now) = (split(owners), split(now));
            for size in &mut sizes {
                *size *= parts;
            }
        }
        sizes.push(0);
        for _ in 0..owners.len() / (slot + 1) {
            let taken = take_one(&mut owners, &mut sizes, slot);
            if let Some(bucket) = taken.filter(|_| owns(slot)) {
                now[bucket] = slot;
            }
        }
    }
    now
}

/// The slot of each bucket of these owners where only some stay: its own; or, if that doesn't stay, one of those that do, in turns.
pub(in crate::sockets) fn dealt(owners: &BTreeSet<usize>, staying: &[usize]) -> Vec<usize> {
    let slots = owners.last().map_or(1, |last| last + 1);
    let mut stays = vec![false; slots];
    for slot in staying {
        if let Some(stays) = stays.get_mut(*slot) {
            *stays = true;
        }
    }
    let mut turns = staying.iter().copied().cycle();
    let own = |slot: &usize| stays.get(*slot).copied().unwrap_or_default();
    of_owners(slots, |slot| owners.contains(&slot))
        .into_iter()
        .map(|slot| match own(&slot) {
            true => slot,
            false => turns.next().unwrap_or_default(),
        })
        .collect()
}

/// One bucket of whoever has the most goes to this slot; which.
fn take_one(owners: &mut [usize], sizes: &mut [usize], slot: usize) -> Option<usize> {
    let (richest, _) = sizes.iter().enumerate().max_by_key(|(_, size)| **size)?;
    let bucket = owners.iter().rposition(|owner| *owner == richest)?;
    owners[bucket] = slot;
    sizes[richest] -= 1;
    sizes[slot] += 1;
    Some(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(owners: &[usize], slots: usize) -> Vec<usize> {
        let size = |slot| owners.iter().filter(|owner| **owner == slot).count();
        (0..slots).map(size).collect()
    }

    #[test]
    fn all_slots_have_as_many_within_one() {
        for slots in (1..=80).chain([127, 128, 200, 256]) {
            let owners = buckets(slots);
            let sizes = sizes(&owners, slots);
            let (most, least) = (sizes.iter().max(), sizes.iter().min());
            let (most, least) = (*most.expect("some"), *least.expect("some"));
            assert!(most - least <= 1, "{slots}: {sizes:?}");
            let share = owners.len() as f64 / slots as f64;
            assert!(most as f64 / share <= 1.2, "{slots}: {most} of {share}");
        }
    }

    #[test]
    fn one_slot_more_moves_its_own_share_and_nothing_else() {
        for slots in 1..150 {
            let (before, after) = (buckets(slots), buckets(slots + 1));
            let parts = after.len() / before.len();
            let moved = after.iter().enumerate();
            let moved: Vec<usize> = moved
                .filter(|(bucket, owner)| before[bucket / parts] != **owner)
                .map(|(_, owner)| *owner)
                .collect();
            assert!(moved.iter().all(|owner| *owner == slots), "{slots}");
            assert_eq!(moved.len(), after.len() / (slots + 1));
        }
    }

    /// Two slots come, and the second has its share first: nobody moves twice.
    #[test]
    fn whoever_comes_first_takes_its_own_share_and_nothing_else() {
        for (slots, first) in [(3, 4), (8, 9), (31, 32), (31, 33), (40, 41)] {
            let fine = |owners: Vec<usize>| -> Vec<usize> {
                let parts = FINE / owners.len();
                owners.into_iter().flat_map(|o| vec![o; parts]).collect()
            };
            let mut owners: BTreeSet<usize> = (0..slots).collect();
            let all = |owners: &BTreeSet<usize>| Vec::from_iter(owners.iter().copied());
            let mut before = fine(dealt(&owners, &all(&owners)));
            assert_eq!(before, fine(buckets(slots)));
            for comes in std::iter::once(first).chain(slots..first) {
                owners.insert(comes);
                let after = fine(dealt(&owners, &all(&owners)));
                let moved = before.iter().zip(&after).filter(|(a, b)| a != b);
                assert!(
                    moved.clone().all(|(_, to)| *to == comes),
                    "{comes} of {slots}"
                );
                assert!(moved.count() > 0);
                before = after;
            }
            assert_eq!(before, fine(buckets(first + 1)));
        }
    }

    #[test]
    fn there_is_an_end_to_how_many_can_have_some() {
        assert_eq!(buckets(0), buckets(1));
        assert_eq!(buckets(5_000), buckets(1024));
        assert_eq!(sizes(&buckets(1024), 1024), vec![1; 1024]);
    }
}
