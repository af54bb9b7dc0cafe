//! Maps by numbers that the hub itself gives out: connections, calls.
//!
//! Nobody can choose them so that they collide, so they need no hash that withstands that: one multiplication does. An event that
//! comes alone is looked up some fifteen times on its way.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

/// A map by such a number.
pub(super) type NumberMap<V> = HashMap<u64, V, BuildHasherDefault<NumberHasher>>;

/// A set of such numbers.
pub(super) type NumberSet = HashSet<u64, BuildHasherDefault<NumberHasher>>;

/// The golden ratio's fraction in 64 bits, odd: it spreads numbers that follow one another over both ends of a hash.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes one number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(SPREAD).rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_numbers_differ_at_both_ends_of_their_hashes() {
        let hash = |number| {
            let mut hasher = NumberHasher::default();
            hasher.write_u64(number);
            hasher.finish()
        };
        for begin in [0, 1 << 20, u64::MAX - 1024] {
            let numbers = begin..begin + 1024;
            // A table takes its place from the low bits, and tells neighbours apart by the high ones.
            let low: HashSet<u64> = numbers.clone().map(|n| hash(n) % 1024).collect();
            let high: HashSet<u64> = numbers.map(|n| hash(n) >> 57).collect();
            assert!(low.len() > 512, "{} places for 1,024 numbers", low.len());
            assert_eq!(high.len(), 128);
        }
    }
}
