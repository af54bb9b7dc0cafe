//! Which slot each client belongs to: the same table as where the kernel chooses, and [the same slots](Shares) in it. All decisions, and
//! nothing else.
//!
//! A slot has its share while its worker is away, and others have it while it is given up (failed, ended, stopped).

use std::net::{IpAddr, SocketAddr};

use crate::{
    fleet::Service,
    sockets::slots::{Client, Shares, bucket_of, dealt},
};

/// The slots of an app, and whose clients are whose.
#[derive(Debug, Default)]
pub(super) struct Homes {
    shares: Shares,
    /// The slot of each bucket; empty before anything was told.
    table: Vec<usize>,
}

impl Homes {
    /// So the app's slots stand now.
    pub(super) fn stand(&mut self, size: u32, services: &[Service]) {
        let size = size.max(1);
        let of = |slot: u32| {
            let known = services.get(slot as usize);
            known.copied().unwrap_or(Service::Awaited)
        };
        self.shares.stand(0..size, services);
        let owners = self.shares.owners();
        let stay = |slot: &&u32| of(**slot) != Service::GivenUp;
        let mut staying: Vec<u32> = owners.iter().filter(stay).copied().collect();
        if staying.is_empty() {
            staying.extend(owners);
        }
        let staying: Vec<usize> = staying.into_iter().map(|slot| slot as usize).collect();
        let owners = owners.iter().map(|slot| *slot as usize).collect();
        self.table = dealt(&owners, &staying);
    }

    /// Whether anything was told yet.
    pub(super) fn are_known(&self) -> bool {
        !self.table.is_empty()
    }

    /// This client's slot.
    pub(super) fn of(&self, client: IpAddr) -> Option<u32> {
        let buckets = self.table.len();
        let client = SocketAddr::new(client, 0);
        let slot = (buckets > 0).then(|| self.table[bucket_of(client, Client::Address, buckets)]);
        slot.and_then(|slot| u32::try_from(slot).ok())
    }

    /// How many buckets each slot has, by its number.
    pub(super) fn shares(&self) -> Vec<u32> {
        let slots = self.table.iter().max().map_or(0, |last| last + 1);
        let mut shares = vec![0; slots];
        for slot in &self.table {
            shares[*slot] += 1;
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, net::Ipv4Addr};

    use Service::{Awaited, GivenUp, Serves};

    use super::*;

    fn clients() -> impl Iterator<Item = IpAddr> {
        (0..2_000_u32).map(|n| Ipv4Addr::from(n.wrapping_mul(2_654_435_769)).into())
    }

    fn slots(homes: &Homes) -> Vec<u32> {
        clients()
            .map(|client| homes.of(client).expect("a home"))
            .collect()
    }

    /// The clients that moved: from where, and where to.
    fn moved(before: &[u32], after: &[u32]) -> Vec<(u32, u32)> {
        let both = before.iter().copied().zip(after.iter().copied());
        both.filter(|(a, b)| a != b).collect()
    }

    fn of(services: &[Service]) -> Homes {
        let mut homes = Homes::default();
        assert!(!homes.are_known());
        let size = u32::try_from(services.len()).expect("few");
        homes.stand(size, services);
        homes
    }

    #[test]
    fn slots_have_equal_shares_whoever_is_ready_first() {
        let homes = of(&[Serves, Awaited, Awaited, Awaited]);
        assert_eq!(homes.shares(), [64; 4]);
        assert_eq!(of(&[]).shares(), [256], "the least there is");
    }

    #[test]
    fn who_is_away_keeps_its_clients() {
        let mut homes = of(&[Serves; 4]);
        let before = slots(&homes);
        for away in [[Serves, Awaited, Serves, Serves], [Awaited; 4]] {
            homes.stand(4, &away);
            assert_eq!(moved(&before, &slots(&homes)), []);
        }
    }

    #[test]
    fn who_is_given_up_has_its_clients_spread_over_the_others_until_it_is_back() {
        let mut homes = of(&[Serves; 4]);
        let before = slots(&homes);
        homes.stand(4, &[Serves, GivenUp, Serves, Serves]);
        let gone = moved(&before, &slots(&homes));
        assert!(gone.iter().all(|(from, _)| *from == 1));
        let to: BTreeSet<u32> = gone.iter().map(|(_, to)| *to).collect();
        assert_eq!(to, BTreeSet::from([0, 2, 3]));
        homes.stand(4, &[Serves; 4]);
        assert_eq!(moved(&before, &slots(&homes)), []);
        // There is nobody to have them.
        homes.stand(4, &[GivenUp; 4]);
        assert_eq!(moved(&before, &slots(&homes)), []);
    }

    #[test]
    fn a_new_slot_takes_its_share_when_it_serves_and_gives_it_back_when_it_goes() {
        let mut homes = of(&[Serves; 4]);
        let before = slots(&homes);
        homes.stand(5, &[Serves, Serves, Serves, Serves, Awaited]);
        assert_eq!(moved(&before, &slots(&homes)), [], "nobody serves there");
        homes.stand(5, &[Serves; 5]);
        let five = slots(&homes);
        let went = moved(&before, &five);
        assert!(went.iter().all(|(_, to)| *to == 4));
        let share = went.len() as f64 / before.len() as f64;
        assert!((0.15..0.25).contains(&share), "{share}");
        // Then it keeps them.
        homes.stand(5, &[Serves, Serves, Serves, Serves, Awaited]);
        assert_eq!(moved(&five, &slots(&homes)), []);
        homes.stand(4, &[Serves; 4]);
        assert_eq!(moved(&before, &slots(&homes)), []);
    }

    #[test]
    fn a_crash_of_all_gives_a_new_slot_nothing() {
        let mut homes = of(&[Serves; 3]);
        let before = slots(&homes);
        homes.stand(4, &[Serves, Serves, Serves, Awaited]);
        for size in [4, 5] {
            homes.stand(size, &[Awaited; 5]);
            assert_eq!(moved(&before, &slots(&homes)), []);
        }
        homes.stand(5, &[Awaited, Awaited, Awaited, Awaited, Serves]);
        let went = moved(&before, &slots(&homes));
        assert!(!went.is_empty() && went.iter().all(|(_, to)| *to == 4));
    }

    #[test]
    fn slots_that_begin_after_nobody_was_there_have_their_shares_at_once() {
        for nobody in [&[][..], &[GivenUp; 3]] {
            let mut homes = of(&[Serves; 3]);
            let before = slots(&homes);
            homes.stand(u32::try_from(nobody.len()).expect("few"), nobody);
            homes.stand(3, &[Awaited; 3]);
            assert_eq!(moved(&before, &slots(&homes)), []);
            homes.stand(4, nobody);
            homes.stand(4, &[Awaited; 4]);
            assert_eq!(homes.shares(), [64; 4]);
        }
    }

    #[test]
    fn an_address_is_the_same_client_however_it_is_written() {
        let homes = of(&[Serves; 32]);
        let network = |end: u128| IpAddr::V6((0x2001_0db8_0001_0002_u128 << 64 | end).into());
        assert_eq!(homes.of(network(1)), homes.of(network(2)), "one network");
    }
}
