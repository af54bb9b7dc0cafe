//! When a burst of file changes has become one change. Pure: told the time, asked when to look again.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// No further change for this long ends a burst: editors and compilers write several files within it.
pub(super) const QUIET: Duration = Duration::from_millis(200);
/// A burst that goes on is ended after this long.
pub(super) const LONGEST: Duration = Duration::from_secs(2);
/// A burst is held for a git operation or an unfinished file for at most this long.
pub(super) const HOLD: Duration = Duration::from_secs(10);

/// Times are durations since some fixed moment.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    burst: Option<Burst>,
}

#[derive(Debug)]
struct Burst {
    first_path: PathBuf,
    last_path: PathBuf,
    first: Duration,
    last: Duration,
    /// Asked again at this time, because something held it.
    again: Option<Duration>,
}

impl Debounce {
    /// A file has changed.
    pub(super) fn changed(&mut self, now: Duration, path: &Path) {
        match &mut self.burst {
            Some(burst) => {
                burst.last = now;
                path.clone_into(&mut burst.last_path);
            }
            None => {
                self.burst = Some(Burst {
                    first_path: path.into(),
                    last_path: path.into(),
                    first: now,
                    last: now,
                    again: None,
                });
            }
        }
    }

    /// When to call [`Self::take`].
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.burst.as_ref().map(Burst::due)
    }

    /// The first and the last path of the burst, if it has ended by now. While `held` it is asked again after a quiet
    /// moment, up to [`HOLD`].
    pub(super) fn take(&mut self, now: Duration, held: bool) -> Option<(PathBuf, PathBuf)> {
        let burst = self.burst.as_mut()?;
        if now < burst.due() {
            return None;
        }
        if held && now < burst.first + HOLD {
            burst.again = Some(now + QUIET);
            return None;
        }
        let burst = self.burst.take()?;
        Some((burst.first_path, burst.last_path))
    }
}

impl Burst {
    fn due(&self) -> Duration {
        self.again
            .unwrap_or_else(|| (self.last + QUIET).min(self.first + LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_ends_after_a_quiet_moment_and_names_its_first_and_last_path() {
        let mut d = Debounce::default();
        d.changed(ms(0), Path::new("a"));
        d.changed(ms(150), Path::new("b"));
        assert_eq!(d.deadline(), Some(ms(350)));
        assert_eq!(d.take(ms(349), false), None);
        assert_eq!(d.take(ms(350), false), Some(("a".into(), "b".into())));
        assert_eq!(d.deadline(), None);
    }

    #[test]
    fn a_burst_without_a_quiet_moment_ends_after_the_longest_time() {
        let mut d = Debounce::default();
        for t in (0..2000).step_by(100) {
            d.changed(ms(t), Path::new("a"));
        }
        assert_eq!(d.deadline(), Some(LONGEST));
        assert!(d.take(LONGEST, false).is_some());
    }

    #[test]
    fn a_held_burst_waits_and_is_let_go_in_the_end() {
        let mut d = Debounce::default();
        d.changed(ms(0), Path::new("a"));
        assert_eq!(d.take(ms(200), true), None);
        assert_eq!(d.deadline(), Some(ms(400)));
        assert!(d.take(ms(400), false).is_some());
        d.changed(ms(1000), Path::new("b"));
        assert_eq!(d.take(ms(10_999), true), None);
        assert!(
            d.take(ms(11_199), true).is_some(),
            "a git lock left behind must not hold updates for ever"
        );
    }
}
