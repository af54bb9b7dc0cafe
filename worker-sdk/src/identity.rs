//! Who this worker is, as the environment it was started with says. Read once, at the edge.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    os::fd::RawFd,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use ostler_bus::{Generation, Slot, WorkerId};

use crate::{StartError, handover, passing, proxy_protocol};

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The app's name.
    pub app: String,
    /// Its id at the master; 0 outside Ostler.
    pub id: WorkerId,
    /// Its slot; 0 outside Ostler.
    pub slot: Slot,
    /// Its generation; 0 outside Ostler.
    pub generation: Generation,
}

/// What the environment hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inheritance {
    /// `None` outside Ostler.
    pub(crate) managed: Option<Managed>,
    /// Names of the inherited sockets, from descriptor 3 on.
    pub(crate) sockets: Vec<String>,
    /// The descriptors by which connections to them may be handed over, by socket.
    pub(crate) channels: BTreeMap<String, RawFd>,
    /// Those whose connections begin with a header that the app doesn't want to see.
    pub(crate) strips: BTreeSet<String>,
    /// The master must hear of this process so often.
    pub(crate) watchdog: Option<Duration>,
    /// The master wants to hear how much this process serves.
    pub(crate) counts_requests: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Managed {
    pub(crate) identity: Identity,
    pub(crate) bus_fd: RawFd,
    /// By which descriptors travel, if they do.
    pub(crate) passing_fd: Option<RawFd>,
    /// Where the hub is found again.
    pub(crate) bus_path: Option<PathBuf>,
}

/// The first inherited descriptor, by systemd's convention.
pub(crate) const FIRST_FD: RawFd = 3;

impl Inheritance {
    pub(crate) fn from_env() -> Result<Self, StartError> {
        Self::read(|name| env::var(name).ok(), std::process::id())
    }

    fn read(var: impl Fn(&str) -> Option<String>, pid: u32) -> Result<Self, StartError> {
        let sockets = sockets(&var, pid)?;
        let channels = channels(&var)?;
        let strips = var(proxy_protocol::VARIABLE).unwrap_or_default();
        let strips = strips.split(':').filter(|name| !name.is_empty());
        let strips = strips.map(str::to_owned).collect();
        let watchdog = watchdog(&var, pid)?;
        let counts_requests = var("OSTLER_COUNT_REQUESTS").is_some_and(|value| value == "1");
        let Some(bus_fd) = number::<RawFd>(&var, "OSTLER_BUS_FD")? else {
            return Ok(Self {
                managed: None,
                sockets,
                channels,
                strips,
                watchdog,
                counts_requests,
            });
        };
        let needed = |name: &'static str| {
            number::<u64>(&var, name)?.ok_or_else(|| {
                StartError::Environment(format!("OSTLER_BUS_FD is set but {name} is not"))
            })
        };
        let identity = Identity {
            app: var("OSTLER_APP").ok_or_else(|| {
                StartError::Environment("OSTLER_BUS_FD is set but OSTLER_APP is not".into())
            })?,
            id: WorkerId(needed("OSTLER_WORKER_ID")?),
            slot: Slot(
                u32::try_from(needed("OSTLER_SLOT")?)
                    .map_err(|_| StartError::Environment("OSTLER_SLOT is out of range".into()))?,
            ),
            generation: Generation(needed("OSTLER_GENERATION")?),
        };
        Ok(Self {
            managed: Some(Managed {
                identity,
                bus_fd,
                passing_fd: number(&var, passing::VARIABLE)?,
                bus_path: var("OSTLER_BUS").map(PathBuf::from),
            }),
            sockets,
            channels,
            strips,
            watchdog,
            counts_requests,
        })
    }
}

/// `LISTEN_FDS` and `LISTEN_FDNAMES`, if they are for this process: a helper that a worker starts inherits the
/// variables but not the sockets. Without `LISTEN_PID` (an app may leave it out) they are taken to be.
fn sockets(var: &impl Fn(&str) -> Option<String>, pid: u32) -> Result<Vec<String>, StartError> {
    if number::<u32>(var, "LISTEN_PID")?.is_some_and(|wanted| wanted != pid) {
        return Ok(vec![]);
    }
    let count = number::<usize>(var, "LISTEN_FDS")?.unwrap_or(0);
    if count > 1024 {
        return Err(StartError::Environment(format!(
            "LISTEN_FDS={count} is more than any process is given"
        )));
    }
    let names = var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    Ok((0..count)
        .map(|_| {
            names
                .next()
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "unknown".into())
        })
        .collect())
}

/// Where connections may be handed over: `http=6:admin=7`.
fn channels(var: &impl Fn(&str) -> Option<String>) -> Result<BTreeMap<String, RawFd>, StartError> {
    let text = var(handover::VARIABLE).unwrap_or_default();
    let channel = |part: &str| {
        let (name, number) = part.split_once('=')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    let parts = text.split(':').filter(|part| !part.is_empty());
    let channels = parts.map(channel).collect::<Option<_>>();
    channels.ok_or_else(|| {
        let name = handover::VARIABLE;
        StartError::Environment(format!("{name}={text:?} is no list of sockets and numbers"))
    })
}

/// `WATCHDOG_USEC`, if it is for this process: a helper that a worker starts inherits it.
fn watchdog(
    var: &impl Fn(&str) -> Option<String>,
    pid: u32,
) -> Result<Option<Duration>, StartError> {
    if number::<u32>(var, "WATCHDOG_PID")?.is_some_and(|wanted| wanted != pid) {
        return Ok(None);
    }
    let micros = number::<u64>(var, "WATCHDOG_USEC")?;
    Ok(micros
        .filter(|micros| *micros > 0)
        .map(Duration::from_micros))
}

fn number<T: FromStr>(
    var: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<T>, StartError> {
    let Some(text) = var(name) else {
        return Ok(None);
    };
    let parsed = text
        .parse()
        .map_err(|_| StartError::Environment(format!("{name}={text:?} is not a number")));
    parsed.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Inheritance, StartError> {
        Inheritance::read(
            |name| {
                vars.iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| (*v).to_owned())
            },
            42,
        )
    }

    const MANAGED: [(&str, &str); 6] = [
        ("OSTLER_BUS", "/run/bus"),
        ("OSTLER_BUS_FD", "5"),
        ("OSTLER_APP", "web"),
        ("OSTLER_WORKER_ID", "7"),
        ("OSTLER_SLOT", "1"),
        ("OSTLER_GENERATION", "2"),
    ];

    #[test]
    fn a_worker_of_ostler_knows_who_it_is() {
        let managed = read(&MANAGED).unwrap().managed.unwrap();
        assert_eq!(managed.bus_fd, 5);
        assert_eq!(managed.passing_fd, None, "a master that passes none");
        assert_eq!(managed.bus_path.as_deref(), Some("/run/bus".as_ref()));
        assert_eq!(
            managed.identity,
            Identity {
                app: "web".into(),
                id: WorkerId(7),
                slot: Slot(1),
                generation: Generation(2)
            }
        );
    }

    #[test]
    fn outside_ostler_there_is_no_identity_but_there_may_be_sockets() {
        let alone = read(&[
            ("LISTEN_FDS", "2"),
            ("LISTEN_PID", "42"),
            ("LISTEN_FDNAMES", "http:"),
        ])
        .unwrap();
        assert_eq!(
            alone,
            Inheritance {
                managed: None,
                sockets: vec!["http".into(), "unknown".into()],
                channels: BTreeMap::new(),
                strips: BTreeSet::new(),
                watchdog: None,
                counts_requests: false,
            }
        );
    }

    #[test]
    fn sockets_meant_for_another_process_are_not_taken() {
        assert!(
            read(&[("LISTEN_FDS", "2"), ("LISTEN_PID", "41")])
                .unwrap()
                .sockets
                .is_empty()
        );
        assert_eq!(
            read(&[("LISTEN_FDS", "1")]).unwrap().sockets.len(),
            1,
            "an app may leave LISTEN_PID out"
        );
    }

    #[test]
    fn channels_are_found_by_their_socket() {
        let channels = read(&[("OSTLER_HANDOVER", "http=6:admin=7")]).unwrap();
        let expected = [("http".to_owned(), 6), ("admin".to_owned(), 7)];
        assert_eq!(channels.channels, BTreeMap::from(expected));
        assert!(read(&[]).unwrap().channels.is_empty());
        let broken = read(&[("OSTLER_HANDOVER", "http")]);
        assert!(matches!(broken, Err(StartError::Environment(_))));
    }

    #[test]
    fn sockets_with_headers_are_known_by_their_names() {
        let strips = read(&[("OSTLER_PROXY_PROTOCOL", "http:admin")]).unwrap();
        let expected = ["http", "admin"].map(str::to_owned);
        assert_eq!(strips.strips, BTreeSet::from(expected));
    }

    #[test]
    fn a_watchdog_meant_for_another_process_is_not_fed() {
        let limit = |pid| {
            let vars = [("WATCHDOG_USEC", "1500000"), ("WATCHDOG_PID", pid)];
            read(&vars).unwrap().watchdog
        };
        assert_eq!(limit("42"), Some(Duration::from_millis(1500)));
        assert_eq!(limit("41"), None);
        assert_eq!(read(&[("WATCHDOG_USEC", "0")]).unwrap().watchdog, None);
    }

    #[test]
    fn a_broken_environment_is_named() {
        for vars in [
            &MANAGED[..5],
            &[("OSTLER_BUS_FD", "x")],
            &[("LISTEN_FDS", "-1")],
            &[("LISTEN_FDS", "99999")],
        ] {
            assert!(
                matches!(read(vars), Err(StartError::Environment(_))),
                "{vars:?}"
            );
        }
    }
}
