use proptest::prelude::*;

use super::{report::LeftOut, *};

use Service::{Awaited, GivenUp, Serves};

fn id(slot: u32) -> SocketId {
    SocketId::made_up(slot.into())
}

/// A group of so many slots, of which this is known.
fn group(spread: Spread, services: &[Service]) -> Group {
    let mut group = Group::new(spread);
    for slot in 0..services.len() as u32 {
        group.join(id(slot), slot);
    }
    group.stand(services.len() as u32, services);
    group
}

/// So much waits, where there is room for a thousand.
fn waiting(queues: &[u32]) -> Vec<Queue> {
    let queue = |waiting: &u32| Queue {
        waiting: *waiting,
        room: 1000,
    };
    queues.iter().map(queue).collect()
}

/// The slots that are chosen from, or those that have buckets.
fn chosen(group: &Group) -> Vec<u32> {
    let positions = match group.choice() {
        Some(Choice::AtRandom(positions) | Choice::ByClient(_, positions)) => positions,
        None => Vec::new(),
    };
    let slots = positions.iter().map(|at| group.members[*at].slot);
    let mut slots: Vec<u32> = slots.collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// Each bucket's slot.
fn owners(group: &Group) -> Vec<u32> {
    match group.choice() {
        Some(Choice::ByClient(_, positions)) => {
            positions.iter().map(|at| group.members[*at].slot).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_slots_that_serve_are_chosen_and_if_there_are_none_those_that_may() {
    for (services, expected) in [
        (vec![Serves, Serves, Serves], vec![0, 1, 2]),
        (vec![Serves, Awaited, Serves], vec![0, 2]),
        (vec![Awaited, Awaited, Serves], vec![2]),
        (vec![Awaited, GivenUp, Awaited], vec![0, 2]),
        (vec![GivenUp, GivenUp], vec![0, 1]),
        (vec![Serves, GivenUp, Serves], vec![0, 2]),
    ] {
        let group = group(Spread::Evenly, &services);
        assert_eq!(chosen(&group), expected, "{services:?}");
    }
    assert_eq!(Group::new(Spread::Evenly).choice(), None);
}

#[test]
fn slots_that_the_app_has_no_more_are_left_out_whatever_serves() {
    for spread in [Spread::Evenly, Spread::ByFlow, Spread::ByAddress] {
        let mut group = group(spread, &[Serves; 4]);
        group.stand(2, &[Serves, Serves]);
        assert_eq!(chosen(&group), [0, 1]);
        group.stand(0, &[]);
        assert_eq!(chosen(&group), [0], "an app keeps one");
        let report = group.report();
        let why: Vec<Option<LeftOut>> = report.iter().map(|(.., why)| *why).collect();
        let gone = Some(LeftOut::Retired);
        assert_eq!(why, [None, gone, gone, gone]);
    }
}

/// Queues → who is left out, from one look to the next.
#[test]
fn long_queues_are_left_out_until_they_are_not_longer_than_others() {
    let mut group = group(Spread::Evenly, &[Serves; 4]);
    for (queues, expected) in [
        ([0, 0, 0, 0], vec![0, 1, 2, 3]),
        ([1, 1, 0, 1], vec![0, 1, 2, 3]),
        ([0, 9, 1, 0], vec![0, 2, 3]),
        ([0, 5, 1, 0], vec![0, 2, 3]),
        // Not long for the others, and long for one that was.
        ([0, 1, 1, 0], vec![0, 2, 3]),
        ([0, 0, 1, 0], vec![0, 1, 2, 3]),
        // All have much to do.
        ([80, 100, 90, 100], vec![0, 1, 2, 3]),
        ([80, 200, 90, 100], vec![0, 2, 3]),
        // Two at most.
        ([0, 50, 60, 0], vec![0, 3]),
        // That in the middle is long itself: one that has caught up with it is long no more.
        ([0, 50, 60, 70], vec![0, 1, 3]),
        ([0, 0, 0, 0], vec![0, 1, 2, 3]),
    ] {
        group.measured(&waiting(&queues));
        assert_eq!(chosen(&group), expected, "{queues:?}");
    }
    let member = group.members()[1].clone();
    assert_eq!((member.queue.waiting, member.longest), (0, 200));
    assert_eq!(member.times_long, 2);
}

#[test]
fn a_queue_where_nobody_serves_is_no_measure() {
    let mut group = group(Spread::Evenly, &[Serves, Awaited, Serves]);
    assert!(group.measured(&waiting(&[0, 500, 0])));
    assert_eq!(chosen(&group), [0, 2]);
    assert!(group.is_empty());
    assert!(!group.measured(&waiting(&[0, 500, 0])), "the same");
    group.stand(3, &[Serves; 3]);
    assert!(!group.is_empty());
    group.measured(&waiting(&[0, 500, 0]));
    assert_eq!(chosen(&group), [0, 2], "it catches up first");
    group.stand(3, &[Awaited, Serves, Awaited]);
    assert_eq!(chosen(&group), [1], "long is better than nobody");
}

/// As the kernel has them: checked on real sockets in `tests/tests/slots`.
#[test]
fn positions_follow_who_leaves_and_who_listens_again() {
    let mut group = group(Spread::Evenly, &[Serves; 4]);
    let slots = |group: &Group| -> Vec<u32> { group.members.iter().map(|m| m.slot).collect() };
    group.shut_down(&[id(1)]);
    assert_eq!(slots(&group), [0, 3, 2]);
    let shut = group.report().into_iter().find(|(m, ..)| m.slot == 1);
    assert_eq!(shut.expect("listed").2, Some(LeftOut::Shut));
    group.listens_again(id(1), &[]);
    assert_eq!(slots(&group), [0, 3, 2, 1]);
    // Not told of the end.
    group.listens_again(id(0), &[]);
    assert_eq!(slots(&group), [1, 3, 2, 0]);
    group.part(id(3));
    assert_eq!(slots(&group), [1, 0, 2]);
    group.shut_down(&[id(2)]);
    group.part(id(2));
    group.listens_again(id(2), &[]);
    assert_eq!(slots(&group), [1, 0], "it has gone");
    assert_eq!(chosen(&group), [0, 1]);
}

/// Of four, the first two: the last two have their places, and who has which is for nobody to know.
#[test]
fn who_may_have_anothers_place_is_chosen_together_with_it_or_not_at_all() {
    for spread in [Spread::Evenly, Spread::ByAddress] {
        let mut group = group(spread, &[Serves; 4]);
        group.shut_down(&[id(0), id(1)]);
        assert_eq!(group.unsure(), [2, 3].into());
        assert_eq!(chosen(&group), [2, 3]);
        group.listens_again(id(0), &[]);
        group.listens_again(id(1), &[]);
        assert_eq!(chosen(&group), [0, 1, 2, 3]);
        group.stand(4, &[Serves, Serves, Serves, GivenUp]);
        assert_eq!(chosen(&group), [0, 1]);
        let other = group.report().into_iter().find(|(m, ..)| m.slot == 2);
        assert_eq!(other.expect("listed").2, Some(LeftOut::Unsure));
        // Better half of them than none.
        group.stand(4, &[GivenUp, GivenUp, Serves, GivenUp]);
        assert_eq!(chosen(&group), [2, 3]);
        // The last of all comes into the place of one that goes, wherever that is.
        group.part(id(3));
        assert_eq!(group.unsure(), [1, 2].into());
        group.part(id(1));
        assert_eq!(group.unsure(), [0, 2].into());
        group.part(id(0));
        assert_eq!(group.unsure(), [].into());
        assert_eq!(chosen(&group), [2]);
    }
}

#[test]
fn a_crash_moves_nobodys_clients() {
    let mut group = group(Spread::ByAddress, &[Serves; 4]);
    let before = owners(&group);
    group.stand(4, &[Serves, Awaited, Serves, Serves]);
    assert_eq!(owners(&group), before, "they wait for the successor");
    group.stand(4, &[Serves, GivenUp, Serves, Serves]);
    let after = owners(&group);
    for (before, after) in before.iter().zip(&after) {
        match before {
            1 => assert_ne!(*after, 1),
            other => assert_eq!(after, other),
        }
    }
    for slot in [0, 2, 3] {
        let its = after.iter().filter(|owner| **owner == slot).count();
        assert!((85..=86).contains(&its), "{its}");
    }
    group.stand(4, &[Serves; 4]);
    assert_eq!(owners(&group), before);
}

/// The flows of slots that can't serve go to others, those of all others stay.
#[test]
fn flows_stay_with_a_slot_that_serves() {
    let mut group = group(Spread::ByFlow, &[Serves; 4]);
    let before = owners(&group);
    let expect = |group: &Group, out: &[u32]| {
        for (before, after) in before.iter().zip(owners(group)) {
            match out.contains(before) {
                true => assert!(!out.contains(&after), "{out:?}: {after}"),
                false => assert_eq!(after, *before, "{out:?}"),
            }
        }
    };
    for (services, out) in [
        ([Serves, Awaited, Serves, Serves], &[1][..]),
        ([Serves, Awaited, GivenUp, Serves], &[1, 2]),
        ([Awaited, Awaited, GivenUp, Serves], &[0, 1, 2]),
        ([Serves; 4], &[]),
        // Nobody serves: they wait for whoever may come.
        ([Awaited; 4], &[]),
        ([Awaited, Awaited, GivenUp, Awaited], &[2]),
        ([GivenUp; 4], &[]),
        ([Serves; 4], &[]),
    ] {
        group.stand(4, &services);
        expect(&group, out);
    }
    for (queues, out) in [
        // Much, and nothing is lost by it.
        ([0, 500, 100, 0], &[][..]),
        ([0, 501, 100, 0], &[1]),
        ([0, 300, 100, 0], &[1]),
        ([0, 0, 100, 0], &[]),
        // So they are all.
        ([900, 950, 900, 800], &[]),
        ([0, 800, 900, 0], &[1, 2]),
        ([0, 0, 1, 0], &[2]),
        ([0; 4], &[]),
    ] {
        group.measured(&waiting(&queues));
        expect(&group, out);
    }
    assert_eq!(group.members()[1].times_long, 2);
    group.measured(&waiting(&[0, 800, 0, 0]));
    let report = group.report();
    let told: Vec<_> = report.iter().map(|(_, its, why)| (*its, *why)).collect();
    assert_eq!(told[1], (Some(0), Some(LeftOut::LongQueue)));
    assert_eq!(told[0], (Some(86), None));
}

#[test]
fn a_new_slot_has_flows_once_it_serves() {
    let mut group = group(Spread::ByFlow, &[Serves; 3]);
    let before = owners(&group);
    group.stand(4, &[Serves, Serves, Serves, Awaited]);
    group.join(id(3), 3);
    assert_eq!(owners(&group), before);
    group.stand(4, &[Serves; 4]);
    let after = owners(&group);
    let moved = before.iter().zip(&after).filter(|(a, b)| a != b);
    assert!(moved.clone().all(|(_, to)| *to == 3));
    assert_eq!(moved.count(), 64);
    group.stand(3, &[Serves; 3]);
    assert_eq!(owners(&group), before, "as it was");
}

#[test]
fn a_new_slot_has_clients_once_it_serves() {
    let mut group = group(Spread::ByAddress, &[Serves; 3]);
    let before = owners(&group);
    group.stand(4, &[Serves, Serves, Serves, Awaited]);
    group.join(id(3), 3);
    assert_eq!(owners(&group), before);
    group.stand(4, &[Serves; 4]);
    let after = owners(&group);
    let moved = before.iter().zip(&after).filter(|(a, b)| a != b);
    assert_eq!(moved.count(), 64);
    // And once it has some they are its own.
    group.stand(4, &[Serves, Serves, Serves, Awaited]);
    assert_eq!(owners(&group), after);
    group.stand(3, &[Serves; 3]);
    assert_eq!(owners(&group), before, "as it was");
    // Those that begin together have theirs from the start.
    assert_eq!(
        chosen(&super::tests::group(Spread::ByAddress, &[Awaited; 3])),
        [0, 1, 2]
    );
}

/// Nobody's clients move to a slot that has never served because those of all others have crashed, nor if it comes just then.
#[test]
fn a_crash_of_all_gives_a_new_slot_nothing() {
    let mut group = group(Spread::ByAddress, &[Serves; 3]);
    let before = owners(&group);
    group.join(id(3), 3);
    group.stand(4, &[Awaited; 4]);
    assert_eq!(owners(&group), before);
    group.join(id(4), 4);
    group.stand(5, &[Awaited; 5]);
    assert_eq!(owners(&group), before);
    group.stand(5, &[Awaited, Awaited, Awaited, Awaited, Serves]);
    let after = owners(&group);
    let moved = before.iter().zip(&after).filter(|(a, b)| a != b);
    assert!(moved.clone().all(|(_, to)| *to == 4));
    assert_eq!(moved.count(), 51);
    // One that goes and comes again is new.
    group.stand(3, &[Serves; 3]);
    group.stand(4, &[Serves, Serves, Serves, Awaited]);
    assert_eq!(owners(&group), before);
}

/// All come at once after the app had no slots, or was stopped: each has its clients, whoever is ready first.
#[test]
fn slots_that_begin_after_nobody_was_there_have_their_shares_at_once() {
    for nobody in [&[][..], &[GivenUp; 3]] {
        let mut group = group(Spread::ByAddress, &[Serves; 3]);
        let before = owners(&group);
        group.stand(nobody.len() as u32, nobody);
        group.stand(3, &[Awaited; 3]);
        assert_eq!(owners(&group), before);
        group.stand(4, nobody);
        group.join(id(3), 3);
        group.stand(4, &[Awaited; 4]);
        assert_eq!(chosen(&group), [0, 1, 2, 3]);
        group.stand(4, &[Awaited, Serves, Awaited, Awaited]);
        assert_eq!(chosen(&group), [0, 1, 2, 3]);
    }
}

#[test]
fn a_kept_one_is_left_out_in_its_place_until_its_slot_is_back() {
    for spread in [Spread::ByFlow, Spread::ByAddress] {
        let mut group = group(spread, &[Serves; 3]);
        let before = owners(&group);
        group.keep(id(1));
        for (size, services) in [(3, vec![Serves; 3]), (u32::MAX, vec![])] {
            group.stand(size, &services);
            assert_eq!(chosen(&group), [0, 2], "whatever is known of slots");
            assert_eq!(group.report().len(), 2, "it is not shown");
        }
        group.stand(3, &[Serves, Awaited, Serves]);
        assert_eq!(group.join(id(7), 1), Some(id(1)));
        assert_eq!(chosen(&group), [0, 2], "nobody is ready");
        group.stand(3, &[Serves; 3]);
        assert_eq!(owners(&group), before);
        let places = group.members().iter().map(|member| member.id);
        assert_eq!(places.collect::<Vec<_>>(), [id(0), id(7), id(2)]);
        for slot in [0, 7, 2] {
            group.keep(id(slot));
        }
        assert_eq!(group.choice(), None);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Stand(u32, Vec<Service>),
    Measure(Vec<u32>),
    Shut(u32),
    Again(u32),
    Part(u32),
    Join(u32),
    Keep(u32),
}

fn spread() -> impl Strategy<Value = Spread> {
    prop_oneof![
        Just(Spread::Evenly),
        Just(Spread::ByFlow),
        Just(Spread::ByAddress)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let service = prop_oneof![4 => Just(Serves), 2 => Just(Awaited), 1 => Just(GivenUp)];
    prop_oneof![
        (0..8_u32, prop::collection::vec(service, 8)).prop_map(|(size, mut all)| {
            all.truncate(size as usize);
            Step::Stand(size, all)
        }),
        prop::collection::vec(prop_oneof![3 => 0..3_u32, 1 => 0..1000_u32], 8)
            .prop_map(Step::Measure),
        (0..8_u32).prop_map(Step::Shut),
        (0..8_u32).prop_map(Step::Again),
        (0..8_u32).prop_map(Step::Part),
        (0..8_u32).prop_map(Step::Join),
        (0..8_u32).prop_map(Step::Keep),
    ]
}

proptest! {
    /// Whatever happens: somebody is chosen while anybody listens, it is one who serves if any does, at least half of those that
    /// serve, and positions are ones that there are.
    #[test]
    fn somebody_is_always_chosen(spread in spread(), steps in prop::collection::vec(step(), 1..40)) {
        let mut group = Group::new(spread);
        let mut stands = (u32::MAX, Vec::new());
        for step in steps {
            let known = |group: &Group, slot| group.members.iter().chain(&group.shut).any(|m: &Member| m.slot == slot && !m.kept);
            let kept = |group: &Group, slot| group.members.iter().any(|m: &Member| m.slot == slot && m.kept);
            match step {
                Step::Stand(size, services) => {
                    group.stand(size, &services);
                    stands = (size.max(1), services);
                }
                Step::Measure(queues) => drop(group.measured(&waiting(&queues))),
                // Those that can be shut down aren't kept.
                Step::Shut(slot) | Step::Again(slot) if kept(&group, slot) => {}
                Step::Shut(slot) => group.shut_down(&[id(slot)]),
                Step::Again(slot) => group.listens_again(id(slot), &[]),
                Step::Part(slot) => group.part(id(slot)),
                Step::Keep(slot) => group.keep(id(slot)),
                Step::Join(slot) if !known(&group, slot) => {
                    let (was, before) = (kept(&group, slot), group.members.len());
                    let called = group.join(id(slot), slot);
                    prop_assert_eq!(called, was.then(|| id(slot)));
                    prop_assert_eq!(group.members.len(), before + usize::from(!was));
                }
                Step::Join(_) => {}
            }
            let used = group.members.iter().filter(|member| !member.kept);
            let slots: Vec<u32> = used.map(|member| member.slot).collect();
            let chosen = chosen(&group);
            prop_assert_eq!(chosen.is_empty(), slots.is_empty());
            prop_assert!(chosen.iter().all(|slot| slots.contains(slot)));
            let serves = |slot: &&u32| **slot < stands.0 && stands.1.get(**slot as usize) == Some(&Serves);
            let serving = slots.iter().filter(serves).count();
            match spread {
                Spread::Evenly | Spread::ByFlow if serving > 0 => {
                    prop_assert!(chosen.iter().all(|slot| serves(&slot)));
                    prop_assert!(!chosen.is_empty());
                }
                Spread::Evenly | Spread::ByFlow => {}
                Spread::ByAddress => {
                    let buckets = owners_or_none(&group);
                    prop_assert!(buckets.is_empty() || buckets.len() == 256);
                    let counted = slots.iter().any(|slot| *slot < stands.0);
                    prop_assert!(!counted || chosen.iter().all(|slot| *slot < stands.0));
                }
            }
            for (member, _, left_out) in group.report() {
                prop_assert_eq!(left_out.is_none(), chosen.contains(&member.slot));
            }
        }
    }

    /// A simulation: connections come evenly to whoever is chosen, workers take them at their own pace, one of them hardly any.
    /// None is left out for ever, and the slow one doesn't fill up.
    #[test]
    fn a_slow_worker_does_not_fill_up(slow in 0..4_usize, come in 1..60_u32, seed: u64) {
        let mut group = group(Spread::Evenly, &[Serves; 4]);
        let (mut queues, mut dice, mut was_chosen) = ([0_u32; 4], seed | 1, [0; 4]);
        for look in 0..2_000 {
            group.measured(&waiting(&queues));
            let Some(Choice::AtRandom(positions)) = group.choice() else { panic!("evenly") };
            for at in &positions {
                was_chosen[*at] += 1;
            }
            for _ in 0..come {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                queues[positions[(dice % positions.len() as u64) as usize]] += 1;
            }
            for (slot, queue) in queues.iter_mut().enumerate() {
                // One in ten looks, against as much as there is.
                let takes = if slot != slow { 40 } else { u32::from(look % 10 == 0) };
                *queue = queue.saturating_sub(takes);
            }
        }
        prop_assert!(was_chosen.iter().all(|times| *times > 0), "{:?}", was_chosen);
        prop_assert!(queues[slow] <= come + 2, "{:?}", queues);
        prop_assert!(group.members()[slow].times_long > 0 || come < 3);
    }
}

fn owners_or_none(group: &Group) -> Vec<u32> {
    group.choice().map_or_else(Vec::new, |_| owners(group))
}

/// What workers do to listeners, and the master about it.
#[derive(Clone, Debug)]
enum Shutting {
    /// These are shut down in this order, before the master hears of the first.
    Down(Vec<u32>),
    /// The first of those that are shut down listens again; meanwhile these are shut down, so many of them before it listens.
    Again(Vec<u32>, usize),
    /// Its slot goes.
    Part(u32),
}

fn shutting() -> impl Strategy<Value = Shutting> {
    let some = || prop::collection::vec(0..7_u32, 0..5);
    prop_oneof![
        2 => some().prop_map(Shutting::Down),
        4 => Just(Shutting::Again(Vec::new(), 0)),
        1 => (some(), 0..5_usize).prop_map(|(those, before)| Shutting::Again(those, before)),
        1 => (0..7_u32).prop_map(Shutting::Part),
    ]
}

/// The kernel's group.
struct Kernel(Vec<u32>);

impl Kernel {
    fn leave(&mut self, slot: u32) {
        if let Some(at) = self.0.iter().position(|there| *there == slot) {
            self.0.swap_remove(at);
        }
    }
}

proptest! {
    /// Whoever is shut down when: whose place is taken for known is there, and the others have their places among them.
    #[test]
    fn places_are_known_or_known_not_to_be(slots in 1..7_u32, steps in prop::collection::vec(shutting(), 1..30)) {
        let mut group = group(Spread::Evenly, &vec![Serves; slots as usize]);
        let mut kernel = Kernel((0..slots).collect());
        for step in steps {
            match step {
                Shutting::Down(mut those) => {
                    those.retain(|slot| kernel.0.contains(slot));
                    those.iter().for_each(|slot| kernel.leave(*slot));
                    // Nobody tells in which order.
                    those.sort_unstable();
                    those.dedup();
                    let ids: Vec<SocketId> = those.into_iter().map(id).collect();
                    group.shut_down(&ids);
                }
                Shutting::Again(mut those, before) => {
                    let Some(first) = group.shut.first().map(|member| member.slot) else {
                        continue;
                    };
                    those.retain(|slot| kernel.0.contains(slot));
                    let (before, after) = those.split_at(before.min(those.len()));
                    before.iter().for_each(|slot| kernel.leave(*slot));
                    kernel.0.push(first);
                    after.iter().for_each(|slot| kernel.leave(*slot));
                    those.sort_unstable();
                    those.dedup();
                    let ids: Vec<SocketId> = those.into_iter().map(id).collect();
                    group.listens_again(id(first), &ids);
                }
                Shutting::Part(slot) => {
                    kernel.leave(slot);
                    group.part(id(slot));
                }
            }
            let unsure = group.unsure();
            prop_assert_ne!(unsure.len(), 1);
            prop_assert_eq!(unsure.len(), group.unsure.len());
            prop_assert_eq!(group.members.len(), kernel.0.len());
            for (ours, its) in group.members.iter().zip(&kernel.0) {
                let both = unsure.contains(&ours.slot) && unsure.contains(its);
                prop_assert!(ours.slot == *its || both, "{:?}: {:?}", kernel.0, group);
            }
        }
    }
}
