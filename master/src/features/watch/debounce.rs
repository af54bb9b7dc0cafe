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

/// So many files of a burst are told apart; of more it is known that there are more.
const TOLD_APART: usize = 256;

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It is new.
    Made,
    /// Anything else.
    Changed,
}

/// A burst that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Burst {
    /// The files, each once, in the order in which they changed first, and whether it was made in this burst.
    pub(super) files: Vec<(PathBuf, What)>,
    /// There are more.
    pub(super) more: bool,
}

/// Times are durations since some fixed moment.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    burst: Option<Running>,
}

#[derive(Debug)]
struct Running {
    burst: Burst,
    first: Duration,
    last: Duration,
    /// Asked again at this time, because something held it.
    again: Option<Duration>,
}

impl Debounce {
    /// A file has changed.
    pub(super) fn changed(&mut self, now: Duration, path: &Path, what: What) {
        let running = self.burst.get_or_insert_with(|| Running {
            burst: Burst::default(),
            first: now,
            last: now,
            again: None,
        });
        running.last = now;
        let burst = &mut running.burst;
        if burst.files.iter().any(|(known, _)| known == path) {
            return;
        }
        match burst.files.len() < TOLD_APART {
            true => burst.files.push((path.into(), what)),
            false => burst.more = true,
        }
    }

    /// When to call [`Self::take`].
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.burst.as_ref().map(Running::due)
    }

    /// The burst, if it has ended by now. While `held` it is asked again after a quiet
    /// moment, up to [`HOLD`].
    pub(super) fn take(&mut self, now: Duration, held: bool) -> Option<Burst> {
        let running = self.burst.as_mut()?;
        if now < running.due() {
            return None;
        }
        if held && now < running.first + HOLD {
            running.again = Some(now + QUIET);
            return None;
        }
        self.burst.take().map(|running| running.burst)
    }
}

impl Burst {
    /// The file that tells most: the first that was not there for a moment alone, as what editors write to rename it.
    /// `None`: all were, and nothing has changed.
    pub(super) fn telling(self, exists: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        let more = self.more.then(|| PathBuf::from("(many files)"));
        let mut lasting = self
            .files
            .into_iter()
            .filter(|(path, what)| *what == What::Changed || exists(path));
        lasting.next().map(|(path, _)| path).or(more)
    }
}

impl Running {
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
    fn a_burst_ends_after_a_quiet_moment_and_names_each_file_once() {
        let mut d = Debounce::default();
        d.changed(ms(0), Path::new("a"), What::Changed);
        d.changed(ms(150), Path::new("b"), What::Changed);
        d.changed(ms(150), Path::new("a"), What::Changed);
        assert_eq!(d.deadline(), Some(ms(350)));
        assert_eq!(d.take(ms(349), false), None);
        let burst = d.take(ms(350), false).unwrap();
        let files: Vec<_> = burst.files.iter().map(|(path, _)| path).collect();
        assert_eq!(files, ["a", "b"].map(Path::new).each_ref());
        assert_eq!(d.deadline(), None);
    }

    #[test]
    fn what_is_there_for_a_moment_alone_is_no_change() {
        let burst = |files: &[(&str, What)], more| Burst {
            files: files.iter().map(|(p, w)| (p.into(), *w)).collect(),
            more,
        };
        let exists = |path: &Path| path == Path::new("saved");
        let gone = [("temp", What::Made)];
        assert_eq!(burst(&gone, false).telling(exists), None);
        assert_eq!(
            burst(&gone, true).telling(exists),
            Some("(many files)".into())
        );
        let saved = [("temp", What::Made), ("saved", What::Made)];
        assert_eq!(burst(&saved, false).telling(exists), Some("saved".into()));
        let removed = [("temp", What::Made), ("old", What::Changed)];
        assert_eq!(burst(&removed, false).telling(exists), Some("old".into()));
        let mut d = Debounce::default();
        for n in 0..=TOLD_APART {
            d.changed(ms(0), Path::new(&n.to_string()), What::Made);
        }
        let burst = d.take(LONGEST, false).unwrap();
        assert_eq!((burst.files.len(), burst.more), (TOLD_APART, true));
    }

    #[test]
    fn a_burst_without_a_quiet_moment_ends_after_the_longest_time() {
        let mut d = Debounce::default();
        for t in (0..2000).step_by(100) {
            d.changed(ms(t), Path::new("a"), What::Changed);
        }
        assert_eq!(d.deadline(), Some(LONGEST));
        assert!(d.take(LONGEST, false).is_some());
    }

    #[test]
    fn a_held_burst_waits_and_is_let_go_in_the_end() {
        let mut d = Debounce::default();
        d.changed(ms(0), Path::new("a"), What::Changed);
        assert_eq!(d.take(ms(200), true), None);
        assert_eq!(d.deadline(), Some(ms(400)));
        assert!(d.take(ms(400), false).is_some());
        d.changed(ms(1000), Path::new("b"), What::Changed);
        assert_eq!(d.take(ms(10_999), true), None);
        assert!(
            d.take(ms(11_199), true).is_some(),
            "a git lock left behind must not hold updates for ever"
        );
    }
}
