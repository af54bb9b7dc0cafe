//! Which slots have clients of their own, whoever it is that chooses: the kernel, or the master by a proxy's word. All decisions, and
//! nothing else.
//!
//! Slots that begin together have their shares from the start, whoever is ready first. Once one has served, another has its share when
//! it serves, too: its clients wait for nobody who may never come. Then it keeps it, whatever becomes of its workers: also if all have
//! crashed at once. A slot that isn't there any more has none, and is new if it comes back.
//!
//! Where nobody is to be there (an app of size 0, one that was stopped, one of whose slots all have ended or were given up), those that
//! come next begin together, whoever was there before: while no slot serves there is nobody whose clients could be kept from waiting.
//!
//! So a crash moves nobody, and a resize moves the share of what comes or goes, once.

use std::collections::BTreeSet;

use crate::fleet::Service;

/// The slots of an app that have clients of their own.
#[derive(Debug, Default)]
pub(in crate::sockets) struct Shares {
    owners: BTreeSet<u32>,
    /// Whether any of them has ever served.
    served: bool,
}

impl Shares {
    /// So these slots stand now, which are all there are. Of what is not known another worker is awaited.
    pub(in crate::sockets) fn stand(
        &mut self,
        slots: impl IntoIterator<Item = u32>,
        services: &[Service],
    ) {
        let there: BTreeSet<u32> = slots.into_iter().collect();
        let serves = |slot: &u32| services.get(*slot as usize) == Some(&Service::Serves);
        let nobody_is_to_be = services.iter().all(|it| *it == Service::GivenUp);
        // Or of those that had any none is there any more: they begin together.
        let anew = !self.served || nobody_is_to_be || self.owners.is_disjoint(&there);
        let owns = |slot: &u32| anew || self.owners.contains(slot) || serves(slot);
        self.owners = there.iter().copied().filter(owns).collect();
        self.served = !anew || there.iter().any(serves);
    }

    /// Whether this slot, which is there, has clients of its own.
    pub(in crate::sockets) fn has(&self, slot: u32) -> bool {
        !self.served || self.owners.contains(&slot)
    }

    /// The slots that have.
    pub(in crate::sockets) fn owners(&self) -> &BTreeSet<u32> {
        &self.owners
    }
}

#[cfg(test)]
mod tests {
    use Service::{Awaited, GivenUp, Serves};

    use super::*;

    /// How the slots stand, one after the other, and who has a share then.
    #[test]
    fn crashes_take_and_give_no_shares_and_who_comes_has_one_once_it_serves() {
        let mut shares = Shares::default();
        for (services, owners) in [
            // They begin.
            (&[Awaited; 2][..], &[0, 1][..]),
            (&[Awaited; 3], &[0, 1, 2]),
            (&[Awaited, Serves, Awaited], &[0, 1, 2]),
            // One comes, and all others crash before it serves.
            (&[Serves, Serves, Serves, Awaited], &[0, 1, 2]),
            (&[Awaited; 4], &[0, 1, 2]),
            // Nor does one that comes then.
            (&[Awaited; 5], &[0, 1, 2]),
            (&[Awaited, Awaited, Awaited, Awaited, Serves], &[0, 1, 2, 4]),
            (
                &[GivenUp, GivenUp, GivenUp, Awaited, GivenUp],
                &[0, 1, 2, 4],
            ),
            (&[Serves; 5], &[0, 1, 2, 3, 4]),
            (&[Awaited; 5], &[0, 1, 2, 3, 4]),
            // Two go; one of them comes again, and is new.
            (&[Serves; 3], &[0, 1, 2]),
            (&[Serves, Serves, Serves, Awaited], &[0, 1, 2]),
            (&[Awaited; 4], &[0, 1, 2]),
            (&[Awaited, GivenUp, Awaited, Serves], &[0, 1, 2, 3]),
        ] {
            let size = u32::try_from(services.len()).expect("few");
            shares.stand(0..size, services);
            assert_eq!(shares.owners(), &owners.iter().copied().collect());
            for slot in 0..size {
                assert_eq!(shares.has(slot), owners.contains(&slot), "{services:?}");
            }
        }
        // All others have gone.
        shares.stand(5..7, &[Awaited; 7]);
        assert_eq!(shares.owners(), &BTreeSet::from([5, 6]));
        assert!(shares.has(7), "it begins with them");
    }

    #[test]
    fn after_nobody_was_to_be_there_those_that_come_begin_together() {
        for nobody in [&[][..], &[GivenUp; 2], &[GivenUp; 4]] {
            let mut shares = Shares::default();
            shares.stand(0..2, &[Serves; 2]);
            // Who looks at an app without slots takes it for one of one.
            let size = u32::try_from(nobody.len().max(1)).expect("few");
            shares.stand(0..size, nobody);
            shares.stand(0..4, &[Awaited; 4]);
            assert_eq!(shares.owners(), &BTreeSet::from([0, 1, 2, 3]));
            shares.stand(0..4, &[Awaited, Awaited, Serves, Awaited]);
            assert_eq!(shares.owners(), &BTreeSet::from([0, 1, 2, 3]));
            shares.stand(0..5, &[Awaited; 5]);
            assert!(!shares.has(4), "it came later");
        }
    }
}
