//! How a worker is told to go, besides its kill ladder.

use std::time::Duration;

use super::Rung;
use crate::config::settings::default_ladder;

/// How a worker is told to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// A line for its standard input, instead of the first rung's signal. Default: none.
    pub message: Option<String>,
    /// The ladder's signals go to its whole process group. Default: to the worker alone, and only KILL to the group.
    pub kill_group: bool,
}

/// What was said about it; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopSettings {
    /// The signal of the first rung.
    pub signal: Option<i32>,
    /// An empty line is none, even where the defaults have one.
    pub message: Option<String>,
    /// Whether signals go to the whole group.
    pub kill_group: Option<bool>,
}

impl StopSettings {
    /// These, and `base` where they say nothing. A ladder of one's own has its first signal already.
    #[must_use]
    pub fn or(self, base: Self, own_ladder: bool) -> Self {
        Self {
            signal: self.signal.or(base.signal.filter(|_| !own_ladder)),
            message: self.message.or(base.message),
            kill_group: self.kill_group.or(base.kill_group),
        }
    }

    /// With defaults.
    #[must_use]
    pub fn define(self) -> Stop {
        Stop {
            message: self.message.filter(|line| !line.is_empty()),
            kill_group: self.kill_group.unwrap_or(false),
        }
    }
}

/// The ladder, with this signal on its first rung.
#[must_use]
pub fn ladder(said: Option<Vec<Rung>>, signal: Option<i32>) -> Vec<Rung> {
    let mut ladder = said.unwrap_or_else(default_ladder);
    match (signal, ladder.first_mut()) {
        (None, _) | (Some(_), None) => {}
        (Some(libc::SIGKILL), Some(_)) => drop(ladder.drain(..ladder.len() - 1)),
        (Some(signal), Some(first)) if first.signal == libc::SIGKILL => {
            let wait = Some(FIRST_WAIT);
            ladder.insert(0, Rung { signal, wait });
        }
        (Some(signal), Some(first)) => first.signal = signal,
    }
    ladder
}

/// How long the first rung is given where the ladder has none but KILL.
const FIRST_WAIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::signal::rung;

    fn rungs(texts: &[&str]) -> Vec<Rung> {
        texts
            .iter()
            .map(|text| rung(text).expect("a rung"))
            .collect()
    }

    #[test]
    fn a_signal_stands_on_the_first_rung() {
        for (said, signal, all) in [
            (None, None, &["TERM:30s", "KILL"][..]),
            (None, Some(libc::SIGINT), &["INT:30s", "KILL"]),
            (None, Some(libc::SIGKILL), &["KILL"]),
            (
                Some(&["TERM:3s", "QUIT:1s", "KILL"][..]),
                Some(libc::SIGINT),
                &["INT:3s", "QUIT:1s", "KILL"],
            ),
            (
                Some(&["KILL"][..]),
                Some(libc::SIGINT),
                &["INT:30s", "KILL"],
            ),
        ] {
            assert_eq!(ladder(said.map(rungs), signal), rungs(all), "{said:?}");
        }
    }
}
