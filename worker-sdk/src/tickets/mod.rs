//! Secrets from which all workers of a socket make their TLS session tickets, so that a client that comes back resumes
//! whichever of them it reaches.
//!
//! A server seals what it needs to resume a session into a ticket, and the client brings that along when it connects again
//! (RFC 5077, RFC 8446). Left to itself each worker would seal with a key of its own, and a client that reaches another worker
//! would begin from nothing: of four workers, three times in four.
//!
//! ```text
//!                 ┌ rotation ┐┌ rotation ┐
//!  secret A   ────current─────previous────┐ forgotten
//!  secret B   ────next────────current──────previous───┐
//!  secret C                   next─────────current──────
//! ```
//! **Known before it is used.** The master makes the secrets ([`Rotation`]) and tells workers three of them: the current one, which seals;
//! the previous one, whose tickets still resume; and the next, so that a worker that has not heard of a rotation yet opens
//! the tickets of one that has. A ticket resumes for one rotation at least, and for two at most.
//!
//! **Forgotten.** Who has a secret, and has recorded connections of TLS 1.2 whose tickets it sealed, can read them; of TLS 1.3, can
//! pose as either side. So it is never written anywhere, never on the bus, not shown by `Debug`, and overwritten once nobody
//! needs it any more.

mod rotation;
#[cfg(feature = "rustls")]
mod rustls;
mod secret;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

#[cfg(feature = "rustls")]
pub use self::rustls::Ticketer;
pub use self::{
    rotation::Rotation,
    secret::{LENGTH, SecretSet, TicketSecret},
};

/// After how long secrets rotate, unless the socket's declaration says otherwise: as fleets that share theirs commonly have it.
pub const ROTATION: Duration = Duration::from_secs(12 * 60 * 60);

/// The longest time between rotations: a ticket resumes for two of them at most, and must not for more than seven days (RFC 8446, 4.6.1).
pub const LONGEST_ROTATION: Duration = Duration::from_secs(84 * 60 * 60);

/// The secrets for session tickets of a socket, as they are now. Cheap to clone; each clone follows the rotations.
#[derive(Clone, Debug)]
pub struct TicketSecrets {
    secrets: watch::Receiver<SecretSet>,
    /// Rotates them where no master does.
    _own: Option<Arc<Rotation>>,
}

impl TicketSecrets {
    pub(crate) fn of_master(secrets: watch::Receiver<SecretSet>) -> Self {
        Self {
            secrets,
            _own: None,
        }
    }

    /// The one to seal with.
    #[must_use]
    pub fn current(&self) -> TicketSecret {
        self.secrets.borrow().current.clone()
    }

    /// All whose tickets may come: the current one first, then the previous, then the next.
    #[must_use]
    pub fn all(&self) -> [TicketSecret; 3] {
        self.secrets.borrow().all()
    }

    /// How long each is the current one.
    #[must_use]
    pub fn rotation(&self) -> Duration {
        self.secrets.borrow().rotation()
    }

    /// Waits until they have rotated, or are to rotate at another pace, since this was last waited for; for ever if they do
    /// no more, because the master is gone.
    pub async fn changed(&mut self) {
        if self.secrets.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Secrets of a worker without a master, by the sockets' names.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<BTreeMap<String, TicketSecrets>>);

impl Own {
    /// Those of a socket, made when they are first asked for. To be called inside a runtime.
    pub(crate) fn of(&self, name: &str) -> io::Result<TicketSecrets> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = all.get(name) {
            return Ok(there.clone());
        }
        let rotation = Rotation::begin(ROTATION)?;
        let secrets = TicketSecrets {
            secrets: rotation.follow(),
            _own: Some(Arc::new(rotation)),
        };
        all.insert(name.to_owned(), secrets.clone());
        Ok(secrets)
    }
}
