//! Who chooses among slots' own sockets at one address is told of them, and of how their slots stand.

use ostler_bus::Slot;

use super::workshop::Workshop;
use crate::{config::app::AppName, fleet::Fleet, sockets::BoundSocket};

impl Workshop {
    /// Notes what has become of slots, for whoever has connections of theirs.
    pub(super) fn direct_slots(&mut self, fleet: &Fleet) {
        for app in self.groups.apps() {
            if let Some((size, services)) = fleet.services(&app) {
                self.groups.stand(&app, size, services);
            }
        }
        for app in self.balancer.sticky_apps() {
            if let Some((_, services)) = fleet.services(&app) {
                self.balancer.stand(&app, services);
            }
        }
    }

    /// Has the kernel choose among the slots of an app's sockets.
    pub(super) fn join_groups(&mut self, app: &AppName) {
        let listeners = self.sockets.groups(app);
        let joined = listeners.and_then(|listeners| self.groups.join(listeners));
        if let Err(error) = joined {
            tracing::error!("{app}: the kernel chooses among slots by itself: {error}");
        }
        // One of each group tells for all.
        let first = |socket: &&BoundSocket| socket.slot() == Some(Slot(0));
        for socket in self.sockets.of(app).into_iter().filter(first) {
            if let Some(spread) = socket.spread() {
                self.groups.spread(app, socket.name(), spread);
            }
        }
        self.look_for_strangers(app);
    }

    /// Has it looked who else listens where an app's slots do.
    pub(super) fn look_for_strangers(&mut self, app: &AppName) {
        self.lookouts.look(app, self.sockets.shared_addresses(app));
    }
}
