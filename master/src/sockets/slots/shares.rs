//! Which slots have clients of their own, whoever it is that chooses: the kernel, or the master by a proxy's word. All decisions, and
//! nothing else.
//!
//! Slots that begin together have their shares from the start, whoever is ready first. Once one has served, another has its share when
//! it serves, too: its clients wait for nobody who may never come. Then it keeps it, whatever becomes of its workers: also if all have
//! crashed at once. A slot that isn't there any more has none, and is new if it comes back.
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
        // Of those that had any none is there any more: they begin together.
        let anew = !self.served || self.owners.is_disjoint(&there);
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
            (&[GivenUp; 5], &[0, 1, 2, 4]),
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
        shares.stand(5..7, &[]);
        assert_eq!(shares.owners(), &BTreeSet::from([5, 6]));
        assert!(shares.has(7), "it begins with them");
    }
}
