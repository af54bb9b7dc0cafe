//! Whether requests that come one after the other go to all alike.

use super::{Load, Plan, Tally};

/// Who hears late that a worker has ended its last connection, because others have the processor, rightly passes it over. So one
/// even round of so many is asked for; chance alone makes none.
const ROUNDS: usize = 3;

impl Plan {
    /// Runs this plan, which counts answers by who gave them, until none of so many gives more than `most` times the mean.
    /// Returns how many requests that took.
    ///
    /// # Panics
    /// If no round is even, or a request is lost.
    pub async fn spread_evenly(&self, over: usize, most: f64) -> u64 {
        let mut rounds: Vec<Tally> = Vec::new();
        while rounds.len() < ROUNDS {
            let load = Load::start(self.clone()).expect("a plan that can be run");
            let tally = load.finish().await;
            assert_eq!(tally.lost(), 0, "{tally}");
            let is_even = tally.is_even(over, most);
            rounds.push(tally);
            if is_even {
                return rounds.iter().map(|tally| tally.answered).sum();
            }
        }
        panic!("none of them is spread evenly over {over}: {rounds:#?}");
    }
}

impl Tally {
    fn is_even(&self, over: usize, most: f64) -> bool {
        let busiest = self.by.values().max().copied().unwrap_or(0);
        self.by.len() == over && busiest as f64 * over as f64 <= most * self.answered as f64
    }
}
