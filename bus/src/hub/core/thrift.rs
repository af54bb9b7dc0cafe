//! What the hub spends on readers of another form than the publisher's: the time that nobody else needs.
//!
//! To change an event's form costs more than to bring it to a hundred readers that take it as it is. Where there are both,
//! it is done when the event is written, and only within an allowance: a quarter of the time that the hub's thread slept beyond
//! what it worked (others on the machine have work as well), and a twentieth of all time in any case. Whoever finds nothing left of it waits a moment, and loses its
//! oldest meanwhile if that is too much for its queue; those who got nothing come before those who got something.
//!
//! The core has no clock: the shell says how long the thread [slept](Thrift::rest) and what was [spent](Thrift::spend).

use std::time::{Duration, Instant};

/// Which part of all time there is in any case.
const SHARE: u32 = 20;

/// Which part of the time slept beyond what was worked: the processor it was slept on may be busy with the peers.
const OF_SLEEP: u32 = 4;

/// The most that is saved up: some five thousand small events, and little beside what a burst takes that is felt.
const SAVED_MOST: Duration = Duration::from_millis(10);

/// The most that is owed, however long something took: it is paid back within two seconds.
const OWED_MOST: Duration = Duration::from_millis(100);

/// Over no less time sleep and work are weighed against each other: between two events of a flood the thread may sleep as well.
const LEAST: Duration = Duration::from_millis(1);

/// How long those wait who found nothing left.
const PAUSE: Duration = Duration::from_millis(1);

/// What a connection got of it since it last waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Share {
    #[default]
    Nothing,
    Some,
    /// It waits until it is woken.
    Waits,
}

#[derive(Debug)]
pub(super) struct Thrift {
    /// When the last refill was, and how long the thread had slept then.
    at: Instant,
    slept: Duration,
    /// How long it has slept now.
    sleeps: Duration,
    saved: Duration,
    owed: Duration,
    /// Connections that wait: those that got nothing, and those that got something.
    hungry: Vec<u64>,
    fed: Vec<u64>,
    /// Somebody will wake them.
    is_called: bool,
}

impl Thrift {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: now,
            slept: Duration::ZERO,
            sleeps: Duration::ZERO,
            saved: SAVED_MOST,
            owed: Duration::ZERO,
            hungry: Vec::new(),
            fed: Vec::new(),
            is_called: false,
        }
    }

    /// The thread has slept so long in all.
    pub(super) fn rest(&mut self, total: Duration) {
        self.sleeps = total;
    }

    /// So much was spent.
    pub(super) fn spend(&mut self, time: Duration) {
        let beyond = time.saturating_sub(self.saved);
        self.saved = self.saved.saturating_sub(time);
        self.owed = (self.owed + beyond).min(OWED_MOST);
    }

    /// Spends all there is.
    #[cfg(test)]
    pub(super) fn exhaust(&mut self) {
        self.spend(self.saved);
    }

    /// Whether connection `conn` may have some of it now; if not, it waits.
    pub(super) fn allows(&mut self, now: Instant, conn: u64, share: &mut Share) -> bool {
        if *share == Share::Waits {
            return false;
        }
        self.refill(now);
        let had = match self.saved > Duration::ZERO {
            true => std::mem::replace(share, Share::Some),
            false => std::mem::replace(share, Share::Waits),
        };
        match (*share, had) {
            (Share::Waits, Share::Some) => self.fed.push(conn),
            (Share::Waits, Share::Nothing | Share::Waits) => self.hungry.push(conn),
            (Share::Some | Share::Nothing, _) => return true,
        }
        false
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        if passed < LEAST {
            return;
        }
        let slept = self.sleeps.saturating_sub(self.slept).min(passed);
        let worked = passed - slept;
        let more = (slept.saturating_sub(worked) / OF_SLEEP).max(passed / SHARE);
        let paid = more.min(self.owed);
        self.owed -= paid;
        self.saved = (self.saved + more - paid).min(SAVED_MOST);
        (self.at, self.slept) = (now, self.sleeps);
    }

    /// When those who wait are to be woken, if that is still to be seen to.
    pub(super) fn call(&mut self, now: Instant) -> Option<Instant> {
        let waits = !self.hungry.is_empty() || !self.fed.is_empty();
        let is_news = waits && !std::mem::replace(&mut self.is_called, waits);
        is_news.then(|| now + PAUSE)
    }

    /// Those who wait no longer, first who got nothing.
    pub(super) fn wake(&mut self) -> Vec<u64> {
        self.is_called = false;
        let mut woken = std::mem::take(&mut self.hungry);
        woken.append(&mut self.fed);
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    struct World {
        thrift: Thrift,
        now: Instant,
        slept: Duration,
    }

    impl World {
        /// With nothing saved up.
        fn new() -> Self {
            let now = Instant::now();
            let mut thrift = Thrift::new(now);
            thrift.spend(SAVED_MOST);
            Self {
                thrift,
                now,
                slept: Duration::ZERO,
            }
        }

        /// Time passes; the thread sleeps for a part of it.
        fn pass(&mut self, time: Duration, slept: Duration) {
            self.now += time;
            self.slept += slept;
            self.thrift.rest(self.slept);
            self.thrift.refill(self.now);
        }

        fn allows(&mut self, conn: u64, share: &mut Share) -> bool {
            self.thrift.allows(self.now, conn, share)
        }
    }

    #[test]
    fn a_busy_thread_has_a_twentieth_and_an_idle_one_a_quarter() {
        for (slept, want) in [
            (0, 2_000),
            (20, 2_000),
            (24, 2_000),
            (30, 5_000),
            (40, 10_000),
        ] {
            let mut w = World::new();
            w.pass(MS * 40, MS * slept);
            assert_eq!(w.thrift.saved, Duration::from_micros(want), "{slept} ms");
        }
    }

    #[test]
    fn what_is_owed_is_paid_back_first() {
        let mut w = World::new();
        w.thrift.spend(MS * 3);
        w.pass(MS * 40, Duration::ZERO);
        assert_eq!((w.thrift.saved, w.thrift.owed), (Duration::ZERO, MS));
        w.pass(MS * 40, Duration::ZERO);
        assert_eq!((w.thrift.saved, w.thrift.owed), (MS, Duration::ZERO));
        w.thrift.spend(Duration::from_secs(3600));
        w.pass(OWED_MOST * SHARE + MS, Duration::ZERO);
        assert!(w.allows(1, &mut Share::default()), "after a while");
    }

    #[test]
    fn short_pauses_of_a_busy_thread_are_not_taken_for_idleness() {
        let mut w = World::new();
        let step = Duration::from_micros(100);
        for n in 0..400 {
            // In turn, it sleeps all the time and works all the time.
            w.pass(step, step * (n % 2));
        }
        assert!(w.thrift.saved <= MS * 4, "{:?}", w.thrift.saved);
    }

    #[test]
    fn who_got_nothing_comes_first_and_everybody_is_called_once() {
        let mut w = World::new();
        let mut shares = [Share::default(); 3];
        for (conn, share) in (0..).zip(&mut shares) {
            assert!(!w.thrift.allows(w.now, conn, share));
            assert!(
                !w.thrift.allows(w.now, conn, share),
                "it is remembered once"
            );
        }
        assert_eq!(w.thrift.call(w.now), Some(w.now + PAUSE));
        assert_eq!(w.thrift.call(w.now), None);
        let mut order = w.thrift.wake();
        assert_eq!(order, [0, 1, 2]);
        let mut fed = Vec::new();
        for _ in 0..6 {
            w.pass(MS, Duration::ZERO);
            shares = [Share::default(); 3];
            for conn in order {
                let share = &mut shares[conn as usize];
                if w.allows(conn, share) {
                    fed.push(conn);
                    w.thrift.spend(MS / 20);
                    assert!(!w.allows(conn, share));
                }
            }
            order = w.thrift.wake();
        }
        assert_eq!(fed, [0, 1, 2, 0, 1, 2]);
    }
}
