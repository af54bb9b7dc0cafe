//! Slots that serve and whose workers don't take connections: they accept for themselves, or their channels broke. All decisions, and
//! nothing else.
//!
//! A worker may become ready before it asks for connections. One that has said that it listens (*take* with 0, as the Rust SDK does before
//! it is ready) is about to: its clients wait for it [for longer](LISTENS). After a while without a word clients would wait for nobody.
//! Then its slot is as good as given up, for those whose connections the master accepts: others serve them, until one of its workers
//! takes connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

pub(super) use crate::sockets::balance::GRACE;

use crate::fleet::Service;

/// So long clients wait for one that has said nothing, even if nobody may be there afterwards: as long as a new worker stays up, by
/// default, before its predecessor drains. A slot that was silent for that long in the middle of an update has a worker that accepts for
/// itself, or one that says nothing before it waits for its first connection.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// So long clients wait for one that is ready, has said that it listens, and asks for no connection. What it has to do before its first is
/// done by then, and so long proxies wait by default for an answer (nginx: `proxy_read_timeout`): who waits longer waits for one that hangs.
pub(super) const LISTENS: Duration = Duration::from_secs(60);

/// The slots of an app.
#[derive(Debug, Default)]
pub(super) struct Takers {
    services: Vec<Service>,
    /// Those that serve and don't take.
    idle: BTreeMap<u32, Idle>,
    /// Those of the silent that might have begun by now.
    late: BTreeSet<u32>,
    /// Those that didn't.
    passed: BTreeSet<u32>,
}

/// One that doesn't take connections.
#[derive(Clone, Copy, Debug)]
struct Idle {
    since: Instant,
    /// It has said that it listens.
    listens: bool,
}

impl Idle {
    /// When others get its clients.
    fn over(self) -> Instant {
        match self.listens {
            true => self.since + LISTENS,
            false => self.since + GRACE,
        }
    }
}

impl Takers {
    /// So the slots stand now.
    pub(super) fn stand(&mut self, services: &[Service]) {
        self.services = services.to_vec();
    }

    /// Workers of these slots take connections, and of those some have only said that they listen.
    pub(super) fn review(
        &mut self,
        taking: &BTreeSet<u32>,
        listening: &BTreeSet<u32>,
        now: Instant,
    ) {
        let slots = (0..).zip(&self.services);
        let serving = slots.filter(|(_, service)| **service == Service::Serves);
        let idle: BTreeSet<u32> = serving
            .map(|(slot, _)| slot)
            .filter(|slot| !taking.contains(slot))
            .collect();
        self.passed.retain(|slot| idle.contains(slot));
        self.idle.retain(|slot, _| idle.contains(slot));
        for slot in idle.difference(&self.passed) {
            let listens = listening.contains(slot);
            let begins = Idle {
                since: now,
                listens,
            };
            let its = self.idle.entry(*slot).or_insert(begins);
            match its.listens && !listens {
                // Its channel has broken, or another is there: that is a silence of its own.
                true => *its = begins,
                false => its.listens = listens,
            }
        }
        let over = self.idle.extract_if(.., |_, its| its.over() <= now);
        self.passed.extend(over.map(|(slot, _)| slot));
        let late = |its: &Idle| !its.listens && its.since + SOON <= now;
        let late = self.idle.iter().filter(|(_, its)| late(its));
        self.late = late.map(|(slot, _)| *slot).collect();
    }

    /// When the next one has taken nothing for too long, or has been silent for long.
    pub(super) fn due(&self) -> Option<Instant> {
        let idle = self.idle.iter();
        let due = idle.map(
            |(slot, its)| match its.listens || self.late.contains(slot) {
                true => its.over(),
                false => its.since + SOON,
            },
        );
        due.min()
    }

    /// The slots in which a worker is to take connections soon, as far as one can tell.
    pub(super) fn awaited(&self) -> BTreeSet<u32> {
        let slots = (0..).zip(&self.services);
        let awaited = slots.filter(|(slot, service)| match service {
            Service::Serves => self.idle.contains_key(slot) && !self.late.contains(slot),
            Service::Awaited => true,
            Service::GivenUp => false,
        });
        awaited.map(|(slot, _)| slot).collect()
    }

    /// How the slots stand for those whose connections the master accepts.
    pub(super) fn services(&self) -> Vec<Service> {
        let slots = (0..).zip(&self.services);
        let service = |(slot, service): (u32, &Service)| match self.passed.contains(&slot) {
            true => Service::GivenUp,
            false => *service,
        };
        slots.map(service).collect()
    }

    /// Whether whoever serves accepts for itself, and nobody else is to come.
    pub(super) fn nobody_will(&self) -> bool {
        let given_up = |service: &Service| *service == Service::GivenUp;
        !self.passed.is_empty() && self.services().iter().all(given_up)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use Service::{Awaited, GivenUp, Serves};

    use super::*;

    #[test]
    fn a_slot_without_takers_has_a_while_and_is_back_with_the_first() {
        let (mut takers, begun) = (Takers::default(), Instant::now());
        let (late, nobody) = (begun + GRACE, BTreeSet::new());
        takers.stand(&[Serves, Serves, Awaited]);
        takers.review(&BTreeSet::from([0]), &nobody, begun);
        assert_eq!(takers.due(), Some(begun + SOON));
        assert_eq!(takers.awaited(), BTreeSet::from([1, 2]));
        takers.review(&BTreeSet::from([0]), &nobody, begun + SOON);
        assert_eq!(takers.due(), Some(late));
        assert_eq!(takers.awaited(), BTreeSet::from([2]));
        takers.review(
            &BTreeSet::from([0]),
            &nobody,
            late - Duration::from_millis(1),
        );
        assert_eq!(takers.services(), [Serves, Serves, Awaited]);
        takers.review(&BTreeSet::from([0]), &nobody, late);
        assert_eq!(takers.services(), [Serves, GivenUp, Awaited]);
        assert_eq!((takers.due(), takers.nobody_will()), (None, false));
        takers.review(&BTreeSet::from([0, 1]), &nobody, late);
        assert_eq!(takers.services(), [Serves, Serves, Awaited]);
        // One that crashes keeps its clients, however long it is away.
        takers.stand(&[Serves, Awaited, Awaited]);
        takers.review(&BTreeSet::from([0]), &nobody, late + GRACE);
        takers.review(&BTreeSet::from([0]), &nobody, late + 3 * GRACE);
        assert_eq!(takers.services(), [Serves, Awaited, Awaited]);
    }

    #[test]
    fn one_that_listens_has_longer_and_is_back_once_it_takes() {
        let (mut takers, begun) = (Takers::default(), Instant::now());
        let (one, nobody) = (BTreeSet::from([0]), BTreeSet::new());
        takers.stand(&[Serves]);
        // It says so a moment after it was ready.
        takers.review(&nobody, &nobody, begun);
        takers.review(&nobody, &one, begun + SOON / 2);
        assert_eq!(takers.due(), Some(begun + LISTENS));
        assert_eq!(takers.awaited(), one);
        takers.review(&nobody, &one, begun + LISTENS / 2);
        assert_eq!(takers.services(), [Serves]);
        // Its channel breaks: that is not held against it at once.
        let broken = begun + LISTENS * 3 / 4;
        takers.review(&nobody, &nobody, broken);
        assert_eq!(takers.services(), [Serves]);
        assert_eq!(takers.due(), Some(broken + SOON));
        takers.review(&nobody, &one, broken);
        takers.review(&nobody, &one, broken + LISTENS);
        assert_eq!(takers.services(), [GivenUp]);
        assert_eq!(takers.due(), None);
        takers.review(&one, &nobody, broken + LISTENS);
        assert_eq!(takers.services(), [Serves]);
    }

    #[test]
    fn nobody_will_take_where_all_accept_for_themselves() {
        let (mut takers, begun) = (Takers::default(), Instant::now());
        let nobody = BTreeSet::new();
        for (services, nobody_will) in [
            ([Serves, Serves], true),
            ([Serves, GivenUp], true),
            ([Serves, Awaited], false),
            ([GivenUp, GivenUp], false),
        ] {
            takers.stand(&services);
            takers.review(&nobody, &nobody, begun);
            takers.review(&nobody, &nobody, begun + GRACE);
            assert_eq!(takers.nobody_will(), nobody_will, "{services:?}");
        }
    }
}
