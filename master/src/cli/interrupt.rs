//! Ctrl-C, for commands that have something to say or to end before they go. All others die of it, as the shell expects.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::{CliError, Exit};

/// Ctrl-C, heard from now on.
#[derive(Debug)]
pub(crate) struct Interrupt(Signal);

/// Begins to listen.
pub(crate) fn listen() -> Result<Interrupt, CliError> {
    signal(SignalKind::interrupt())
        .map(Interrupt)
        .map_err(|error| CliError::new(Exit::Failed, "can't listen for Ctrl-C").because(&error))
}

impl Interrupt {
    /// Waits for it.
    pub(crate) async fn heard(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime ends: nobody waits any more.
            std::future::pending::<()>().await;
        }
    }
}
