//! Asking a worker from outside whether it serves: by HTTP, by a connection, or by a command.
//!
//! A probe proves something of *one* worker only if nobody else can answer it. Inherited sockets are shared: whoever is
//! idle answers there, and the kernel completes a connection before any worker has seen it. So a probe goes to an address
//! of the worker's own, in which `{slot}` or `{id}` stands for it, or to a port counted up from a base by slot.
//!
//! What a slot has for its own, its next worker shares with the last where the one comes beside the other. Readiness is then
//! asked at an address with `{id}`: the answer of the old one would count once and for all, and a version that never serves
//! take its place. Health is asked again and again, and what another answered for a while is found out when that has gone.

use std::{fmt, path::Path, time::Duration};

use super::{AppDefinition, Readiness, SocketAddress, SocketDeclaration, update::Strategy};
use crate::config::{
    address::{self, LONGEST_SOCKET_PATH},
    errors::Wrong,
};

/// A question, and how often and how long it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub check: Check,
    /// From one answer to the next question. Default 200 ms for readiness, 10 s for health.
    pub interval: Duration,
    /// No answer after this long is a failure. Default 2 s.
    pub timeout: Duration,
}

/// What a worker is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// Whether it is ready.
    Ready,
    /// Whether it is well, once it is ready.
    Health,
}

impl ProbeKind {
    /// All, in the order of a life.
    pub const ALL: [Self; 2] = [Self::Ready, Self::Health];

    /// Its key in the process file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Health => "health",
        }
    }
}

impl AppDefinition {
    /// The probe of this kind, if there is one.
    #[must_use]
    pub fn probe(&self, kind: ProbeKind) -> Option<&Probe> {
        match (kind, &self.ready) {
            (ProbeKind::Ready, Readiness::Probe(probe)) => Some(probe),
            (
                ProbeKind::Ready,
                Readiness::Auto | Readiness::Notify | Readiness::Sdk | Readiness::Delay(_),
            ) => None,
            (ProbeKind::Health, _) => self.life.health.as_ref().map(|health| &health.probe),
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// `GET path`, answered with one of these statuses.
    Http {
        /// Where.
        at: Target,
        /// Path and query.
        path: String,
        /// The statuses that are good; empty: 200 to 399.
        status: Vec<u16>,
    },
    /// A connection can be made.
    Tcp {
        /// Where.
        at: Target,
    },
    /// A program exits with 0. It runs in the app's directory with the worker's own environment, and `OSTLER_PID`.
    Command {
        /// Program and arguments; `{slot}` and `{id}` are filled in.
        command: Vec<String>,
    },
}

/// Where a worker listens by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// 127.0.0.1, and this port plus the worker's slot.
    Port(u16),
    /// An address as sockets are written, in which `{slot}` and `{id}` stand for the worker's.
    Address(String),
}

impl Target {
    /// The address of the worker with this slot and id.
    ///
    /// # Errors
    /// If it is no address then: a slot can count a port beyond 65535.
    pub fn of(&self, slot: u32, id: u64) -> Result<SocketAddress, Wrong> {
        match self {
            Self::Port(base) => {
                let port = u32::from(*base).saturating_add(slot);
                address::address(&port.to_string(), Path::new("/"))
            }
            Self::Address(text) => address::address(&fill(text, slot, id), Path::new("/")),
        }
    }

    /// Whether each slot has one of its own.
    fn by_slot(&self) -> bool {
        match self {
            Self::Port(_) => true,
            Self::Address(text) => text.contains("{slot}") || self.by_worker(),
        }
    }

    /// Whether each worker has one of its own, also among those of its slot.
    fn by_worker(&self) -> bool {
        match self {
            Self::Port(_) => false,
            Self::Address(text) => text.contains("{id}"),
        }
    }
}

/// A text with the worker's slot and id filled in.
#[must_use]
pub fn fill(text: &str, slot: u32, id: u64) -> String {
    text.replace("{slot}", &slot.to_string())
        .replace("{id}", &id.to_string())
}

impl Check {
    /// Where it goes; `None` for a command.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Http { at, .. } | Self::Tcp { at } => Some(at),
            Self::Command { .. } => None,
        }
    }
}

/// Whether an app's probes can tell its workers apart.
///
/// # Errors
/// If other workers could answer.
pub fn check(app: &AppDefinition) -> Result<(), Wrong> {
    if let Readiness::Probe(probe) = &app.ready {
        check_one(app, "ready", probe)?;
        check_successor(app)?;
    }
    match &app.life.health {
        Some(health) => check_one(app, "health", &health.probe),
        None => Ok(()),
    }
}

fn check_one(app: &AppDefinition, key: &str, probe: &Probe) -> Result<(), Wrong> {
    let Some(target) = probe.check.target() else {
        return Ok(());
    };
    let own = "ask where each worker listens by itself: { http = \"/up\", address = \"unix:/run/web-{id}.sock\" } is a socket \
               for each (--ready 'http(unix:/run/web-{id}.sock /up)'), { http = \"/up\", port = 8100 } port 8100 plus the slot";
    if app.instances > 1 && !target.by_slot() {
        let problem = format!("{key} would ask all workers at one address, and any could answer");
        return Err(Wrong::new(problem, own));
    }
    for slot in 0..app.instances.max(1) {
        let address = target.of(slot, 1)?;
        can_be_asked(key, &address)?;
        let is_shared =
            |socket: &&SocketDeclaration| socket.address_for(slot) == Some(address.clone());
        if let Some(shared) = app.listen.iter().find(is_shared) {
            let problem = format!(
                "{key} would ask at {address}, the socket {:?} that all workers share: any could answer",
                shared.name
            );
            return Err(Wrong::new(problem, own));
        }
    }
    Ok(())
}

/// Where the worker that is replaced could answer for one that came beside it, if it could.
#[must_use]
pub fn shared_by_successor(ready: &Readiness) -> Option<&Target> {
    match ready {
        Readiness::Probe(probe) => probe.check.target().filter(|target| !target.by_worker()),
        Readiness::Auto | Readiness::Notify | Readiness::Sdk | Readiness::Delay(_) => None,
    }
}

fn check_successor(app: &AppDefinition) -> Result<(), Wrong> {
    match (shared_by_successor(&app.ready), app.update.strategy) {
        (Some(target), Strategy::Surge) => Err(Wrong::new(
            format!(
                "ready would ask at {target}, where in an update the old worker of the slot answers for the new one beside it"
            ),
            "name the worker in it, as in { http = \"/up\", address = \"unix:/run/web-{id}.sock\" }, \
             or have the old one go first: strategy = \"replace\"",
        )),
        (_, Strategy::Surge | Strategy::Replace | Strategy::AllAtOnce) => Ok(()),
    }
}

fn can_be_asked(key: &str, address: &SocketAddress) -> Result<(), Wrong> {
    let problem = match address {
        SocketAddress::Tcp(_) => return Ok(()),
        SocketAddress::Unix(path) if path.as_os_str().len() <= LONGEST_SOCKET_PATH => return Ok(()),
        SocketAddress::Unix(_) => format!(
            "{key} would ask at {address}, whose path is longer than Linux takes ({LONGEST_SOCKET_PATH} bytes)"
        ),
        SocketAddress::Udp(_) | SocketAddress::Starter(_) => {
            format!("{key} would ask at {address}, where no connection can be made")
        }
    };
    let fix = "use an IP address and port, or a Unix socket with a shorter path";
    Err(Wrong::new(problem, fix))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(base) => write!(f, "port {base}+slot"),
            Self::Address(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { at, path, .. } => write!(f, "http({at} {path})"),
            Self::Tcp { at } => write!(f, "tcp({at})"),
            Self::Command { command } => write!(f, "command({})", command.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        app::{AppName, life::Health, update::Share},
        flags,
        settings::Settings,
    };

    fn app(instances: u32, at: Target, listen: &[&str]) -> AppDefinition {
        let probe = Probe {
            check: Check::Tcp { at },
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        let name = AppName::new("web").expect("a name");
        let mut app = Settings::default().define(name, vec!["web".into()], 1);
        app.instances = instances;
        app.ready = Readiness::Probe(probe);
        app.listen = flags::listen(listen, Path::new("/")).expect("addresses");
        app.update.strategy = Strategy::Replace;
        app
    }

    fn address(text: &str) -> Target {
        Target::Address(text.into())
    }

    #[test]
    fn each_worker_has_an_address_of_its_own() {
        assert_eq!(
            Target::Port(8100).of(3, 9).unwrap().to_string(),
            "127.0.0.1:8103"
        );
        let unix = address("unix:/run/{slot}-{id}.sock");
        assert_eq!(unix.of(3, 9).unwrap().to_string(), "unix:/run/3-9.sock");
        assert!(
            Target::Port(65_535).of(1, 1).is_err(),
            "there is no such port"
        );
    }

    #[test]
    fn what_others_could_answer_is_refused() {
        for fine in [
            app(1, address("127.0.0.1:3000"), &[]),
            app(3, Target::Port(8100), &["127.0.0.1:8080"]),
            app(3, address("unix:/run/{id}.sock"), &[]),
        ] {
            assert_eq!(check(&fine), Ok(()));
        }
        for (bad, why) in [
            (
                app(2, address("127.0.0.1:3000"), &[]),
                "all workers at one address",
            ),
            (
                app(1, address("127.0.0.1:80"), &["127.0.0.1:80"]),
                "all workers share",
            ),
            (
                app(3, Target::Port(8079), &["127.0.0.1:8080"]),
                "all workers share",
            ),
            (app(3, Target::Port(65_534), &[]), "is not a port"),
        ] {
            let wrong = check(&bad).expect_err(why);
            assert!(wrong.problem.contains(why), "{wrong}");
        }
    }

    #[test]
    fn readiness_that_the_predecessor_could_tell_is_refused() {
        let targets = [
            (Target::Port(8100), 3),
            (address("127.0.0.1:810{slot}"), 3),
            (address("127.0.0.1:3000"), 1),
            (address("unix:/run/{slot}.sock"), 1),
        ];
        for (target, instances) in targets {
            let mut app = app(instances, target.clone(), &[]);
            for strategy in [Strategy::Replace, Strategy::AllAtOnce] {
                app.update.strategy = strategy;
                assert_eq!(check(&app), Ok(()), "{target} {strategy:?}");
            }
            app.update.strategy = Strategy::Surge;
            // With no room for one more the old one is told to go first, and still listens while it drains.
            for surge in [Share::Count(1), Share::Count(0)] {
                app.update.max_surge = surge;
                let wrong = check(&app).expect_err("the old one could answer");
                assert!(wrong.problem.contains("for the new one"), "{wrong}");
                assert!(
                    wrong.fix.contains("{id}") && wrong.fix.contains("\"replace\""),
                    "{wrong}"
                );
            }
            // What is asked again and again is found out.
            let ready = std::mem::replace(&mut app.ready, Readiness::Notify);
            let Readiness::Probe(probe) = ready else {
                panic!("{ready:?}");
            };
            app.life.health = Some(Health { probe, failures: 3 });
            assert_eq!(check(&app), Ok(()), "{target}");
        }
        let mut app = app(3, address("unix:/run/{id}.sock"), &[]);
        app.update.strategy = Strategy::Surge;
        assert_eq!(check(&app), Ok(()));
    }
}
