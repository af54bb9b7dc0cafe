//! What the master does beside keeping workers alive. Each feature is a client of the bus, in a room of its own that
//! could be removed without touching its neighbours.

pub mod bus_lagged;
pub mod bus_stats;
pub mod chronicle;
pub mod describe;
pub mod errors;
pub mod keep;
pub mod log_tap;
pub mod logs;
pub mod roll;
pub mod save;
pub mod service;
pub mod status;
pub mod system_restart;
pub mod watch;

use tokio::sync::mpsc;

/// Held by a feature until it hears all that it has to answer. The master lets nobody in before all have let go of
/// theirs, so that whoever finds a master finds one that answers.
#[derive(Clone, Debug)]
pub struct Settling {
    _held: mpsc::Sender<()>,
}

/// Waits for all that settle.
#[derive(Debug)]
pub struct Settled(mpsc::Receiver<()>);

impl Settling {
    /// The first one, to be cloned, and who waits for it and its clones.
    #[must_use]
    pub fn begin() -> (Self, Settled) {
        let (_held, settled) = mpsc::channel(1);
        (Self { _held }, Settled(settled))
    }
}

impl Settled {
    /// Until none is held: each feature has subscribed, or has failed to.
    pub async fn wait(mut self) {
        // Nothing is ever sent: this is the end of the last sender.
        while self.0.recv().await.is_some() {}
    }
}
