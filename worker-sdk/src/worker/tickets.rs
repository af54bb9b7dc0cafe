//! The secrets for session tickets of a worker's sockets.

use std::{io, sync::PoisonError};

use super::Worker;
use crate::{StartError, TicketSecrets};

impl Worker {
    /// The secrets from which all workers of a declared socket make their TLS session tickets, so that a client that comes
    /// back resumes whichever of them it reaches. The master makes them when they are first asked for, and rotates them
    /// (`ticket_rotation` of the socket; 12 hours). See [`tickets`](crate::tickets).
    ///
    /// With the feature `rustls` that is all there is to do:
    ///
    /// ```no_run
    /// # #[cfg(feature = "rustls")]
    /// # async fn example(worker: ostler_worker_sdk::Worker, mut config: rustls::ServerConfig) -> Result<(), ostler_worker_sdk::StartError> {
    /// config.ticketer = worker.ticket_secrets("https").await?.ticketer();
    /// # Ok(()) }
    /// ```
    ///
    /// Outside Ostler, and where the master was gone before it was asked for them, this process makes them for itself.
    ///
    /// # Errors
    /// If the app has declared no such socket.
    pub async fn ticket_secrets(&self, name: &str) -> Result<TicketSecrets, StartError> {
        let asked = match (&self.passing, &self.alone) {
            (Some(passing), _) => passing.ticket_secrets(name).await,
            (None, Some(_)) => return self.own_secrets(name),
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        };
        match asked {
            Ok(secrets) => Ok(TicketSecrets::of_master(secrets)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
                let declared = sockets.keys().cloned().collect();
                let name = name.into();
                Err(StartError::Undeclared { name, declared })
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                tracing::warn!(
                    "session tickets of {name:?} are good at this worker alone: {error}"
                );
                self.own_secrets(name)
            }
            Err(error) => Err(StartError::System(error)),
        }
    }

    fn own_secrets(&self, name: &str) -> Result<TicketSecrets, StartError> {
        self.own_secrets.of(name).map_err(StartError::System)
    }
}
