//! When words of workers are heard: at once, or together.
//!
//! Whoever waits for connections and for words alike is woken by each of a worker's words, and whoever waits for connections alone
//! must set a time-out for what is said meanwhile. Either costs more than the hand-over itself. So where connections come one
//! after the other, one timer is set for all that come until it rings.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    event::Timespec,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};

/// How long words wait to be heard together, where connections come that quickly. The master's copy of a taken connection lives as
/// long, which is little to a client that waits for its end.
const TOGETHER: Duration = Duration::from_micros(500);

/// Connections that come within this time of each other come quickly: four thousand a second and more. To hear each word as it is said,
/// so that who has the fewest open is known to the moment, would cost more then than the hand-over; below, it is some hundredths of a core.
const QUICKLY: Duration = Duration::from_micros(250);

/// When words are heard.
pub(super) struct Pace {
    /// Rings once, [`TOGETHER`] after it was told to.
    pub(super) timer: OwnedFd,
    /// It was told to.
    beats: bool,
    /// Words are heard together.
    pub(super) together: bool,
    /// When connections came last.
    came: Instant,
    /// Words must be heard, as somebody has no room.
    pub(super) full: bool,
}

impl Pace {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self {
            timer: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            beats: false,
            together: false,
            came: Instant::now(),
            full: false,
        })
    }

    /// Notes whether connections have come, and whether the timer has rung; whether words are to be heard now.
    pub(super) fn goes_on(&mut self, now: Instant, come: bool, beat: bool) -> bool {
        let quickly = now.duration_since(self.came) < QUICKLY;
        self.together = quickly && (come || self.together);
        if come {
            self.came = now;
        }
        self.beats &= !beat;
        beat || !self.together
    }

    /// Sees to it that words are heard although no connection comes.
    pub(super) fn beats(&mut self) -> io::Result<()> {
        if !self.beats {
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec {
                    tv_sec: 0,
                    tv_nsec: TOGETHER.subsec_nanos().into(),
                },
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
            self.beats = true;
        }
        Ok(())
    }
}
