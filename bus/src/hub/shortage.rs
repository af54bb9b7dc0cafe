//! When the process has no descriptor left: peers are told so one by one, with a descriptor kept for that, instead of waiting
//! in a queue that nobody looks at.

use std::{
    fs::File,
    io,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::stream::Stream;

/// How often it is said again while it lasts.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How long to wait where even the kept descriptor is gone: one may be given back meanwhile.
const BREATH: Duration = Duration::from_millis(100);

/// Whether descriptors are short, and the one kept for that.
#[derive(Debug)]
pub(super) struct Shortage {
    spare: Option<File>,
    /// Since the last one was let in: when it was said last, and how many were turned away.
    lasting: Option<Lasting>,
}

#[derive(Debug)]
struct Lasting {
    said: Instant,
    turned_away: u64,
}

impl Default for Shortage {
    fn default() -> Self {
        Self {
            spare: spare(),
            lasting: None,
        }
    }
}

impl Shortage {
    /// Whether an error says that there is none left, for this process or for the machine.
    pub(super) fn is_meant_by(error: &io::Error) -> bool {
        let number = error.raw_os_error();
        number == Some(Errno::MFILE.raw_os_error()) || number == Some(Errno::NFILE.raw_os_error())
    }

    pub(super) fn is_short(&self) -> bool {
        self.lasting.is_some()
    }

    /// Says it once, and then from time to time.
    pub(super) fn begins(&mut self, error: &io::Error, now: Instant) {
        match &mut self.lasting {
            Some(lasting) if now.duration_since(lasting.said) < SAY_EVERY => {}
            Some(lasting) => {
                lasting.said = now;
                let count = lasting.turned_away;
                tracing::warn!(
                    "still no descriptor for new connections: {count} peers were turned away"
                );
            }
            None => {
                tracing::warn!(
                    "no descriptor for a new connection: {error}; who comes is told so, who is in stays; raise the limit of open files (RLIMIT_NOFILE)"
                );
                self.lasting = Some(Lasting {
                    said: now,
                    turned_away: 0,
                });
            }
        }
    }

    /// Somebody was let in.
    pub(super) fn over(&mut self) {
        if let Some(lasting) = self.lasting.take() {
            let count = lasting.turned_away;
            tracing::info!(
                "there are descriptors for new connections again; {count} peers were turned away"
            );
        }
        if self.spare.is_none() {
            self.spare = spare();
        }
    }

    /// Spends the kept descriptor on the peer that `accept` gives, to tell it by `say`, and takes it back.
    pub(super) async fn turn_away(
        &mut self,
        accept: impl AsyncFnOnce() -> io::Result<Stream>,
        say: impl FnOnce(&Stream),
    ) {
        if self.spare.take().is_none() {
            self.spare = spare();
            return tokio::time::sleep(BREATH).await;
        }
        // Others of this process may have been quicker: then the peer waits.
        match accept().await {
            Ok(stream) => {
                say(&stream);
                drop(stream);
                if let Some(lasting) = &mut self.lasting {
                    lasting.turned_away += 1;
                }
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
        self.spare = spare();
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
