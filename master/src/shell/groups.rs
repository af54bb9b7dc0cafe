//! Who chooses among slots' own sockets at one address is told of them, and of how their slots stand.

use ostler_bus::Slot;

use super::workshop::Workshop;
use crate::{
    config::app::AppName,
    fleet::Fleet,
    sockets::{BoundSocket, Stranger},
};

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

    /// Says who else listens where an app's slots do: as places change, what the kernel is told may not be true any more.
    pub(super) fn look_for_strangers(&self, app: &AppName) {
        for Stranger {
            beside,
            address,
            holder,
        } in self.sockets.strangers(app)
        {
            let who = holder.map_or_else(|| "another program".to_owned(), |it| it.to_string());
            tracing::error!(
                "{app}: {who} listens at {address} beside the slots' sockets {beside:?}, and may get what comes to one of them; hint: end it, then have them bound anew: `ostler delete {app}`, and start it again"
            );
        }
    }
}
