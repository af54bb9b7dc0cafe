//! How long answers took.

use std::time::Duration;

/// Times in buckets a 32nd of their power of two wide (3 % exact), in constant memory.
#[derive(Clone, Debug)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

const SUB_BITS: u32 = 5;

impl Default for Latencies {
    fn default() -> Self {
        Self {
            counts: vec![0; ((65 - SUB_BITS) << SUB_BITS) as usize],
            total: 0,
            longest: Duration::ZERO,
        }
    }
}

impl Latencies {
    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += 1;
        self.total += 1;
        self.longest = self.longest.max(took);
    }

    /// The time within which the fraction `q` (0 to 1) stayed; `None` if nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        if self.total == 0 {
            return None;
        }
        let rank = ((self.total as f64 * q).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        let at = self.counts.iter().position(|&count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(upper(at)).min(self.longest))
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }
}

fn bucket(micros: u64) -> usize {
    let power = micros.checked_ilog2().unwrap_or(0);
    if power < SUB_BITS {
        return micros as usize;
    }
    let shift = power - SUB_BITS;
    (((shift + 1) << SUB_BITS) as usize) + ((micros >> shift) as usize - (1 << SUB_BITS))
}

/// The largest number of microseconds that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    let block = bucket >> SUB_BITS;
    if block == 0 {
        return bucket as u64;
    }
    let sub = (bucket & ((1 << SUB_BITS) - 1)) as u64;
    let shift = block - 1;
    let end = u128::from((1 << SUB_BITS) + sub + 1) << shift;
    u64::try_from(end - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket_to_three_percent() {
        for micros in (0..5_000).chain((5..63).flat_map(|p| [(1 << p) - 1, 1 << p, (1 << p) + 1])) {
            let at = bucket(micros);
            assert!(micros <= upper(at), "{micros} over its bucket");
            assert!(
                at == 0 || micros > upper(at - 1),
                "{micros} under its bucket"
            );
            assert!(
                upper(at) as f64 <= micros as f64 * 1.04,
                "{micros}: {}",
                upper(at)
            );
        }
        assert!(bucket(u64::MAX) < Latencies::default().counts.len());
    }

    #[test]
    fn quantiles_of_a_hundred() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        for ms in 1..=100 {
            latencies.add(Duration::from_millis(ms));
        }
        let ms = |q| latencies.quantile(q).unwrap().as_secs_f64() * 1e3;
        assert!((50.0..52.0).contains(&ms(0.5)), "{}", ms(0.5));
        assert!((99.0..=100.0).contains(&ms(0.99)), "{}", ms(0.99));
        assert!((ms(1.0) - 100.0).abs() < 1e-9);
    }
}
