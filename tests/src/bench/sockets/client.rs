//! The load generator as a process of its own, so that nobody shares its thread.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// A run under way. Killed on drop.
#[derive(Debug)]
pub struct Client(Child);

/// What became of its requests.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Account {
    /// All of them.
    pub requests: u64,
    /// Complete and right answers.
    pub answered: u64,
    /// Connections refused.
    pub refused: u64,
    /// Connections that ended before the answer was complete.
    pub reset: u64,
    /// Requests without an answer in time.
    pub timed_out: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Right answers a second.
    pub rate: f64,
    /// The longest time to an answer, in milliseconds; `None` without any.
    pub max_ms: Option<f64>,
    /// Answers by what was asked to count them by.
    pub by: BTreeMap<String, u64>,
    /// What ended the run on the generator's own side.
    pub fault: Option<String>,
}

impl Client {
    /// Starts `program`, which is `load`, at an address and path, with its other arguments.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(
        program: &str,
        address: SocketAddr,
        path: &str,
        args: &[&str],
    ) -> Result<Self, String> {
        let child = Command::new(program)
            .arg(format!("http://{address}{path}"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        child.map(Self).map_err(|e| format!("{program}: {e}"))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it gives no account, or something failed on its own side.
    pub fn finish(mut self) -> Result<Account, String> {
        let stdout = self.0.stdout.take().ok_or("no pipe")?;
        let account: Account = serde_json::from_reader(stdout).map_err(|e| e.to_string())?;
        self.0.wait().map_err(|e| e.to_string())?;
        match &account.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(account),
        }
    }

    /// Has it begin no more requests, and waits for its end.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn stop(self) -> Result<Account, String> {
        let pid = Pid::from_raw(self.0.id().cast_signed()).ok_or("no process id")?;
        kill_process(pid, Signal::INT).map_err(|e| e.to_string())?;
        self.finish()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended by itself, mostly.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Account {
    /// All that were not answered.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.refused + self.reset + self.timed_out + self.wrong
    }

    /// Itself, if all were answered.
    ///
    /// # Errors
    /// If not: what is missing.
    pub fn whole(self) -> Result<Self, String> {
        match self.lost() {
            0 => Ok(self),
            lost => Err(format!("{lost} of {} were lost: {self:?}", self.requests)),
        }
    }

    /// The largest share over the mean one, of so many workers; NaN without answers.
    #[must_use]
    pub fn unevenness(&self, workers: usize) -> f64 {
        unevenness(&self.by, workers)
    }
}

pub(super) fn unevenness(by: &BTreeMap<String, u64>, workers: usize) -> f64 {
    let all: u64 = by.values().sum();
    let most = by.values().copied().max().unwrap_or(0);
    most as f64 * workers as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_nothing_counts_for_unevenness() {
        let shares = [("a".to_owned(), 30), ("b".to_owned(), 10)];
        let by = BTreeMap::from(shares);
        assert!((unevenness(&by, 2) - 1.5).abs() < 1e-9);
        assert!((unevenness(&by, 4) - 3.0).abs() < 1e-9);
        assert!(unevenness(&BTreeMap::new(), 4).is_nan());
    }

    #[test]
    fn all_that_was_not_answered_is_lost() {
        let account = Account {
            requests: 10,
            answered: 6,
            refused: 1,
            reset: 1,
            timed_out: 1,
            wrong: 1,
            ..Account::default()
        };
        assert_eq!(account.lost(), 4);
        assert!(account.whole().is_err());
        assert!(Account::default().whole().is_ok());
    }
}
