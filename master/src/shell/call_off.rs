//! Starts that can be called off. What hangs before a worker's first instruction, such as a directory on a disk that doesn't
//! answer, must not hold up whoever doesn't want the worker any more.

use std::{pin::pin, time::Duration};

use ostler_bus::WorkerId;
use tokio::sync::oneshot;

use super::Shell;
use crate::fleet::SpawnOrder;

/// A start that is about to succeed may: its worker is then told to go like any other, and not killed in its first moment.
const ABOUT_TO_BEGIN: Duration = Duration::from_millis(100);

impl Shell {
    /// Starts a worker; what becomes of it is told by message.
    pub(super) fn start(&mut self, order: SpawnOrder) {
        let (wanted, called_off) = oneshot::channel();
        self.starting.insert(order.id, wanted);
        // A successor may fail as well: then the slot is what it was, and nobody is told again.
        if !self.fleet.has_failed(&order.app, order.slot) {
            self.workshop
                .watch_for_no_clients(&order.definition, order.slot);
        }
        self.workshop.start(order, called_off, self.handle.clone());
    }

    /// Calls off a start that is under way.
    pub(super) fn call_off(&mut self, id: WorkerId) {
        drop(self.starting.remove(&id));
    }
}

/// What comes of `starting`; `None` if it was called off, and is given up with all that it has begun.
pub(super) async fn unless_called_off<T>(
    starting: impl Future<Output = T>,
    called_off: oneshot::Receiver<()>,
) -> Option<T> {
    let mut starting = pin!(starting);
    let given_up = async {
        // Nothing is ever sent: its other end is dropped.
        let _dropped = called_off.await;
        tokio::time::sleep(ABOUT_TO_BEGIN).await;
    };
    tokio::select! {
        biased;
        begun = &mut starting => Some(begun),
        () = given_up => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn what_hangs_is_given_up_as_soon_as_nobody_wants_it() {
        let (wanted, called_off) = oneshot::channel();
        drop(wanted);
        let begun = unless_called_off(pending::<()>(), called_off);
        let begun = tokio::time::timeout(Duration::from_secs(20), begun).await;
        assert_eq!(begun.expect("in time"), None);
    }

    #[tokio::test]
    async fn what_has_begun_or_is_about_to_is_let() {
        let (wanted, called_off) = oneshot::channel();
        drop(wanted);
        assert_eq!(unless_called_off(ready(7), called_off).await, Some(7));
        let (wanted, called_off) = oneshot::channel();
        let soon = async {
            drop(wanted);
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(unless_called_off(soon, called_off).await, Some(7));
    }
}
