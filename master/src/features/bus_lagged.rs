//! Publishes `bus.lagged`: whoever watches a fleet learns of a subscriber that is too slow without being it.

use ostler_bus::{Pattern, client::Bus, hub::Principal, vocab::bus::BusLagged};

/// Tells of a loss, if that can be done without waiting: the hub's notices must not wait for the hub.
pub fn tell(bus: &Bus, conn: u64, principal: &Principal, pattern: &Pattern, missed: u64) {
    let event = BusLagged {
        conn,
        subscriber: principal.origin(conn),
        pattern: pattern.to_string(),
        missed,
    };
    if let Err(error) = bus.try_emit(&event) {
        tracing::debug!("bus.lagged was not published: {error}");
    }
}
