//! What became of the requests of a run.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::Latencies;

/// What became of one request: exactly one of these. The module's documentation draws the borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A complete and right answer.
    Answered,
    /// The connection was refused.
    Refused,
    /// The connection ended before the answer was complete.
    Reset,
    /// No complete answer in time.
    TimedOut,
    /// A wrong answer.
    Wrong,
}

/// A request that was not answered, for the one who has to find out why.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// When it ended, in milliseconds after the start of the run.
    pub at_ms: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// What was seen.
    pub detail: String,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests answered.
    pub answered: u64,
    /// Requests that came to any other end.
    pub failed: u64,
    /// True once nothing more will be counted.
    pub finished: bool,
}

/// The accounts of a run (or of one driver's part of it).
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Complete and right answers.
    pub answered: u64,
    /// Connections refused.
    pub refused: u64,
    /// Connections that ended before the answer was complete.
    pub reset: u64,
    /// Requests without a complete answer in time.
    pub timed_out: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Kept-alive connections that the server ended between requests: not failures.
    pub reconnects: u64,
    /// Connections made.
    pub connections: u64,
    /// Paced requests that began over 10 ms late: the pace was not held.
    pub late: u64,
    /// From the first request to the last end.
    pub elapsed: Duration,
    /// Times to a right answer; of a paced request from when it was due.
    pub latencies: Latencies,
    /// The first failures of each driver, [`Tally::MAX_FAILURES`] at most.
    pub failures: Vec<Failure>,
    /// Answers by what [`crate::load::Plan::by`] found in them; the first 256 different ones.
    pub by: BTreeMap<String, u64>,
    /// What ended the run on the generator's own side; such an attempt is in no other count.
    pub fault: Option<String>,
}

impl Tally {
    /// How many failures are kept with their detail.
    pub const MAX_FAILURES: usize = 32;
    const MAX_BY: usize = 256;

    /// All requests: the sum of the five outcomes.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.answered + self.lost()
    }

    /// All that were not answered.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.refused + self.reset + self.timed_out + self.wrong
    }

    /// Right answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.answered as f64 / seconds
        } else {
            0.0
        }
    }

    pub(super) fn answered(&mut self, took: Duration, key: Option<String>) {
        self.answered += 1;
        self.latencies.add(took);
        let Some(key) = key else { return };
        if self.by.len() < Self::MAX_BY || self.by.contains_key(&key) {
            *self.by.entry(key).or_default() += 1;
        }
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        match failure.outcome {
            Outcome::Answered => unreachable!("an answer is no failure"),
            Outcome::Refused => self.refused += 1,
            Outcome::Reset => self.reset += 1,
            Outcome::TimedOut => self.timed_out += 1,
            Outcome::Wrong => self.wrong += 1,
        }
        if self.failures.len() < Self::MAX_FAILURES {
            self.failures.push(failure);
        }
    }

    pub(super) fn merge(&mut self, part: Self) {
        self.answered += part.answered;
        self.refused += part.refused;
        self.reset += part.reset;
        self.timed_out += part.timed_out;
        self.wrong += part.wrong;
        self.reconnects += part.reconnects;
        self.connections += part.connections;
        self.late += part.late;
        self.latencies.merge(&part.latencies);
        self.failures.extend(part.failures);
        self.failures.sort_by_key(|f| f.at_ms);
        self.failures.truncate(Self::MAX_FAILURES);
        for (key, count) in part.by {
            *self.by.entry(key).or_default() += count;
        }
        self.fault = self.fault.take().or(part.fault);
    }

    /// The accounts as one JSON object; times in milliseconds.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let ms = |d: Option<Duration>| d.map(|d| d.as_secs_f64() * 1e3);
        serde_json::json!({
            "requests": self.requests(),
            "answered": self.answered,
            "refused": self.refused,
            "reset": self.reset,
            "timed_out": self.timed_out,
            "wrong": self.wrong,
            "reconnects": self.reconnects,
            "connections": self.connections,
            "late": self.late,
            "elapsed_ms": ms(Some(self.elapsed)),
            "rate": self.rate(),
            "p50_ms": ms(self.latencies.quantile(0.5)),
            "p99_ms": ms(self.latencies.quantile(0.99)),
            "max_ms": ms(self.latencies.quantile(1.0)),
            "by": self.by,
            "failures": self.failures,
            "fault": self.fault,
        })
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quantile = |q| {
            let found = self.latencies.quantile(q);
            found.map_or("-".into(), |d| format!("{:.2} ms", d.as_secs_f64() * 1e3))
        };
        writeln!(
            f,
            "{} requests in {:.2} s: {} answered, {} refused, {} reset, {} timed out, {} wrong",
            self.requests(),
            self.elapsed.as_secs_f64(),
            self.answered,
            self.refused,
            self.reset,
            self.timed_out,
            self.wrong,
        )?;
        write!(
            f,
            "{:.0} answers/s, p50 {}, p99 {}; {} connections, {} ended by the server between requests",
            self.rate(),
            quantile(0.5),
            quantile(0.99),
            self.connections,
            self.reconnects,
        )?;
        for (key, count) in &self.by {
            write!(f, "\n  {count} × {key}")?;
        }
        for failure in &self.failures {
            let Failure {
                at_ms,
                outcome,
                detail,
            } = failure;
            write!(f, "\n  at {at_ms} ms: {outcome:?}: {detail}")?;
        }
        if let Some(fault) = &self.fault {
            write!(f, "\n  ended by the generator's own side: {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merged_tally_is_the_sum_and_keeps_the_earliest_failures() {
        let part = |at_ms| {
            let mut tally = Tally::default();
            tally.answered(Duration::from_millis(1), Some("v1".into()));
            for outcome in [
                Outcome::Refused,
                Outcome::Reset,
                Outcome::TimedOut,
                Outcome::Wrong,
            ] {
                let detail = String::new();
                tally.failed(Failure {
                    at_ms,
                    outcome,
                    detail,
                });
            }
            tally
        };
        let mut all = part(9);
        all.merge(part(3));
        assert_eq!((all.requests(), all.lost()), (10, 8));
        assert_eq!(
            (all.refused, all.reset, all.timed_out, all.wrong),
            (2, 2, 2, 2)
        );
        assert_eq!(all.by["v1"], 2);
        assert_eq!(all.failures[0].at_ms, 3);
        assert_eq!(all.to_json()["requests"], 10);
    }
}
