//! Slots that serve and whose workers don't take connections: they accept for themselves, or their channels broke. All decisions, and
//! nothing else.
//!
//! A worker may become ready before it asks for connections. One that has said that it listens (*take* with 0, as the Rust SDK does before
//! it is ready) takes connections as far as this is concerned: its clients wait for it, however long it is about it. After a while without
//! a word clients would wait for nobody. Then its slot is as good as given up, for those whose connections the master accepts: others serve them, until one
//! of its workers takes connections.

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

/// The slots of an app.
#[derive(Debug, Default)]
pub(super) struct Takers {
    services: Vec<Service>,
    /// Those that serve and don't take: since when.
    silent: BTreeMap<u32, Instant>,
    /// Those of them that might have begun by now.
    late: BTreeSet<u32>,
    /// Those that didn't.
    passed: BTreeSet<u32>,
}

impl Takers {
    /// So the slots stand now.
    pub(super) fn stand(&mut self, services: &[Service]) {
        self.services = services.to_vec();
    }

    /// Workers of these slots take connections.
    pub(super) fn review(&mut self, taking: &BTreeSet<u32>, now: Instant) {
        let slots = (0..).zip(&self.services);
        let serving = slots.filter(|(_, service)| **service == Service::Serves);
        let silent: BTreeSet<u32> = serving
            .map(|(slot, _)| slot)
            .filter(|slot| !taking.contains(slot))
            .collect();
        self.passed.retain(|slot| silent.contains(slot));
        self.silent.retain(|slot, _| silent.contains(slot));
        for slot in silent.difference(&self.passed) {
            self.silent.entry(*slot).or_insert(now);
        }
        let over = |since: &Instant| *since + GRACE <= now;
        let over = self.silent.extract_if(.., |_, since| over(since));
        self.passed.extend(over.map(|(slot, _)| slot));
        let late = self
            .silent
            .iter()
            .filter(|(_, since)| **since + SOON <= now);
        self.late = late.map(|(slot, _)| *slot).collect();
    }

    /// When the next one has been silent for too long, or for long.
    pub(super) fn due(&self) -> Option<Instant> {
        let silent = self.silent.iter();
        let due = silent.map(|(slot, since)| match self.late.contains(slot) {
            true => *since + GRACE,
            false => *since + SOON,
        });
        due.min()
    }

    /// The slots in which a worker is to take connections soon, as far as one can tell.
    pub(super) fn awaited(&self) -> BTreeSet<u32> {
        let slots = (0..).zip(&self.services);
        let awaited = slots.filter(|(slot, service)| match service {
            Service::Serves => self.silent.contains_key(slot) && !self.late.contains(slot),
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
        let late = begun + GRACE;
        takers.stand(&[Serves, Serves, Awaited]);
        takers.review(&BTreeSet::from([0]), begun);
        assert_eq!(takers.due(), Some(begun + SOON));
        assert_eq!(takers.awaited(), BTreeSet::from([1, 2]));
        takers.review(&BTreeSet::from([0]), begun + SOON);
        assert_eq!(takers.due(), Some(late));
        assert_eq!(takers.awaited(), BTreeSet::from([2]));
        takers.review(&BTreeSet::from([0]), late - Duration::from_millis(1));
        assert_eq!(takers.services(), [Serves, Serves, Awaited]);
        takers.review(&BTreeSet::from([0]), late);
        assert_eq!(takers.services(), [Serves, GivenUp, Awaited]);
        assert_eq!((takers.due(), takers.nobody_will()), (None, false));
        takers.review(&BTreeSet::from([0, 1]), late);
        assert_eq!(takers.services(), [Serves, Serves, Awaited]);
        // One that crashes keeps its clients, however long it is away.
        takers.stand(&[Serves, Awaited, Awaited]);
        takers.review(&BTreeSet::from([0]), late + GRACE);
        takers.review(&BTreeSet::from([0]), late + 3 * GRACE);
        assert_eq!(takers.services(), [Serves, Awaited, Awaited]);
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
            takers.review(&nobody, begun);
            takers.review(&nobody, begun + GRACE);
            assert_eq!(takers.nobody_will(), nobody_will, "{services:?}");
        }
    }
}
