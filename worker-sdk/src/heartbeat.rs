//! Saying that this worker lives, where the master wants to hear it: as a task of the app's own runtime, so that an app that
//! blocks its runtime falls silent.

use std::time::Duration;

use ostler_bus::{
    client::{Bus, ConnectionState},
    vocab::worker::Heartbeat,
};

/// Three times within each limit: one may be late, and another lost with a connection.
pub(crate) async fn beat(bus: Bus, limit: Duration) {
    let mut ticks = tokio::time::interval((limit / 3).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let ConnectionState::Closed(_) = &*bus.state().borrow() {
            return;
        }
        // Not heard: the next one may be, and the master draws its conclusions.
        let _unheard = bus.request_within(&Heartbeat {}, limit).await;
    }
}
