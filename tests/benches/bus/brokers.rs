//! The brokers that take part, running while everything is measured.

use ostler_tests::bench::peers::{server::Server, wire::Wire};

pub(crate) const OURS: &str = "Ostler";
/// The hub of another build.
pub(crate) const OTHER: &str = "Ostler, other build";
pub(crate) const RELAY: &str = "raw relay";
pub(crate) const NATS: &str = "NATS";
pub(crate) const REDIS: &str = "Redis";
pub(crate) const MOSQUITTO: &str = "Mosquitto";
pub(crate) const ZEROMQ: &str = "ZeroMQ proxy";
pub(crate) const DBUS: &str = "D-Bus";
pub(crate) const NODE: &str = "Node cluster";

const ALL: [(&str, Wire); 6] = [
    (OURS, Wire::Ostler),
    (NATS, Wire::Nats),
    (REDIS, Wire::Redis),
    (MOSQUITTO, Wire::Mqtt),
    (ZEROMQ, Wire::Zmtp),
    (DBUS, Wire::Dbus),
];

/// Running brokers, by name.
pub(crate) struct Brokers(Vec<(&'static str, Server)>);

impl Brokers {
    /// Starts whoever is installed, and names the others.
    ///
    /// # Errors
    /// If the hub itself doesn't start.
    pub(crate) fn start() -> Result<Self, String> {
        let mut running = Vec::new();
        for (name, wire) in ALL {
            match Server::start(wire) {
                Ok(server) => running.push((name, server)),
                Err(why) if wire == Wire::Ostler => return Err(why),
                Err(why) => eprintln!("left out: {name}: {why}"),
            }
        }
        if let Ok(program) = std::env::var("OSTLER_BENCH_OTHER") {
            running.push((OTHER, Server::hub_of(&program)?));
        }
        Ok(Self(running))
    }

    /// Those of the names that take part.
    pub(crate) fn of<'a>(
        &'a self,
        names: &'a [&str],
    ) -> impl Iterator<Item = (&'static str, &'a Server)> {
        let named = self.0.iter().filter(|(name, _)| names.contains(name));
        named.map(|(name, server)| (*name, server))
    }

    /// The hub.
    pub(crate) fn hub(&self) -> &Server {
        // `start` fails without it, and it is the first.
        &self.0[0].1
    }

    /// Another one of these, fresh.
    pub(crate) fn another(&self, name: &str) -> Option<Server> {
        let (_, server) = self.0.iter().find(|(known, _)| *known == name)?;
        server.another().ok()
    }
}
