//! Waiting for a time of the day, which somebody may set.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

use super::watch_fd;

/// The machine's clock, as something to wait for. It counts time that the machine slept through, and tells when it was set.
#[derive(Debug)]
pub struct WallClock(AsyncFd<OwnedFd>);

impl WallClock {
    /// To be called inside a runtime.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = timerfd_create(TimerfdClockId::Realtime, flags)?;
        Ok(Self(watch_fd(fd, Interest::READABLE)?))
    }

    /// Returns when it is so late, or when the clock was set.
    ///
    /// # Errors
    /// If the kernel won't have it.
    pub async fn reaches(&self, moment: SystemTime) -> io::Result<()> {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        // A time of zero would be none at all.
        let since = since.max(Duration::from_nanos(1));
        let alarm = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: since.subsec_nanos().into(),
            },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(self.0.get_ref().as_fd(), flags, &alarm) {
            // It was set since this was last waited for.
            Err(Errno::CANCELED) => return Ok(()),
            set => set?,
        };
        loop {
            let mut ready = self.0.readable().await?;
            let mut times = [0_u8; 8];
            match rustix::io::read(self.0.get_ref(), &mut times) {
                Ok(_) | Err(Errno::CANCELED) => return Ok(()),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_moment_is_reached_when_it_is_and_not_before() {
        let clock = WallClock::new().expect("a clock");
        let soon = SystemTime::now() + Duration::from_millis(50);
        let reached = tokio::time::timeout(Duration::from_secs(10), clock.reaches(soon));
        reached.await.expect("in time").expect("reached");
        assert!(SystemTime::now() >= soon);
        let never = clock.reaches(SystemTime::now() + Duration::from_secs(3600));
        let waited = tokio::time::timeout(Duration::from_millis(30), never).await;
        assert!(waited.is_err(), "an hour has not passed");
        // And one that has passed is reached at once, also after another was given up.
        let past = tokio::time::timeout(Duration::from_secs(10), clock.reaches(UNIX_EPOCH));
        past.await.expect("in time").expect("reached");
    }
}
