//! Shared listeners that a worker has shut down are opened again, and tried again until they are: an app that nobody can
//! reach is down, however well its workers are.

use std::time::Duration;

use super::{
    handle::{Message, ShellHandle},
    worker::Workshop,
};
use crate::{
    config::{app::AppName, units::rough},
    sockets::{BindError, BoundSocket, Mended},
};

/// How long until a listener that can't be opened is tried again, the first time; doubled each time.
const FIRST: Duration = Duration::from_millis(100);

/// The longest of these waits.
const LONGEST: Duration = Duration::from_secs(30);

impl Workshop {
    /// Watches those of an app's listeners that aren't yet.
    pub(super) fn watch_listeners(&mut self, app: &AppName, shell: &ShellHandle) {
        let sockets = self.sockets.of(app);
        let watched = self.watched.insert(app.clone(), sockets.len());
        for socket in sockets.iter().skip(watched.unwrap_or(0)) {
            self.watch_one(app, socket, shell);
        }
    }

    fn watch_one(&self, app: &AppName, socket: &BoundSocket, shell: &ShellHandle) {
        let watch = match self.sockets.watch(socket) {
            Ok(watch) => watch,
            Err(error) => {
                return tracing::warn!(
                    "{app}: the socket {:?} can't be watched: {error}",
                    socket.name()
                );
            }
        };
        let (app, socket, shell) = (app.clone(), socket.name().to_owned(), shell.clone());
        tokio::spawn(async move {
            if watch.died().await.is_ok() {
                let failures = 0;
                let died = Message::ListenerDied {
                    app,
                    socket,
                    failures,
                };
                shell.send(died).await;
            }
        });
    }

    /// Opens a listener again that a worker has shut down for all; it could not be opened so often already.
    pub(super) fn mend(&mut self, app: &AppName, socket: &str, failures: u32, shell: &ShellHandle) {
        match self.sockets.listen_again(app, socket) {
            Some(Ok(mended)) => {
                tell_mended(app, socket, mended, failures);
                self.tell_balancer(app, socket);
                let bound = self.sockets.of(app).iter();
                for bound in bound.filter(|bound| bound.name() == socket) {
                    self.watch_one(app, bound, shell);
                }
            }
            Some(Err(error)) => mend_later(app, socket, failures, &error, shell),
            None => {}
        }
    }
}

fn tell_mended(app: &AppName, socket: &str, mended: Mended, failures: u32) {
    if failures > 0 {
        return tracing::warn!(
            "{app}: the socket {socket:?} listens again ({mended:?}), after {failures} tries in vain"
        );
    }
    tracing::warn!(
        "{app}: a worker has called shutdown on the socket {socket:?}, which closes it for all; it listens again ({mended:?}). A worker that wants no more connections must close its descriptor instead"
    );
}

/// Said the first time, and when the waits are at their longest.
fn mend_later(app: &AppName, socket: &str, failures: u32, error: &BindError, shell: &ShellHandle) {
    let wait = wait(failures);
    if failures == 0 {
        tracing::error!(
            "{app}: a worker has shut the socket {socket:?} down, and it can't be opened again: {error}; tried again from {} on until it can",
            rough(wait)
        );
    } else if wait == LONGEST {
        tracing::error!(
            "{app}: the socket {socket:?} still can't be opened again: {error}; tried again in {}",
            rough(wait)
        );
    }
    let again = Message::ListenerDied {
        app: app.clone(),
        socket: socket.to_owned(),
        failures: failures.saturating_add(1),
    };
    let shell = shell.clone();
    tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        shell.send(again).await;
    });
}

fn wait(failures: u32) -> Duration {
    let times = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    FIRST.saturating_mul(times).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = [0, 1, 2, 8, 9, 31, 32, u32::MAX].map(wait);
        let millis = waits.map(|wait| wait.as_millis());
        assert_eq!(
            millis,
            [100, 200, 400, 25_600, 30_000, 30_000, 30_000, 30_000]
        );
    }
}
