//! The way to a running master: which one, and what to say when it can't be reached.
//!
//! A master takes its lock a moment before its bus socket is there, so a socket nobody listens on is tried again for a
//! while before it is called a fault: `ostler run … & ostler ls` works.

use std::{process::ExitCode, time::Duration};

use ostler_bus::{
    client::{Bus, ConnectError, ConnectOptions, ReconnectPolicy},
    transport::UnixTransport,
    wire::control::CloseKind,
};
use tokio::time::Instant;

use super::{
    args::WayArgs,
    bus_errors,
    error::{CliError, Exit},
    remote, runtime, select,
};
use crate::{
    escape,
    home::{Home, LiveMaster, MasterName},
};

/// How long a master that holds its lock may take until it listens: opening its sockets takes milliseconds.
const STARTING: Duration = Duration::from_secs(2);

/// Between two tries meanwhile.
const AGAIN: Duration = Duration::from_millis(50);

/// How long connecting may take: a master answers within milliseconds, even when flooded.
const CONNECT: Duration = Duration::from_secs(5);

/// What to do where master and command are of different releases.
pub(super) const OTHER_RELEASE: &str =
    "use the ostler that the master was started with, or start it again with this one";

/// How a lost connection is made again by what follows a master: seldom enough for one that is away all night, and soon
/// enough for one that is back.
const FOLLOW: ReconnectPolicy = ReconnectPolicy {
    first: Duration::from_millis(50),
    max: Duration::from_secs(1),
    give_up_after: None,
};

/// Which master is meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// By name, on this machine.
    pub(super) master: Option<&'a MasterName>,
    /// By address.
    pub(super) way: &'a WayArgs,
}

/// A connection to a master.
#[derive(Debug)]
pub(super) struct Session {
    /// Its bus.
    pub(super) bus: Bus,
    /// Where it is.
    pub(super) place: Place,
}

/// Where a master is.
#[derive(Debug)]
pub(super) enum Place {
    /// On this machine, where its lock and its process can be looked at.
    Here {
        /// Which one it is.
        master: LiveMaster,
        /// Where it lives.
        home: Home,
    },
    /// Somewhere: all that is known of it comes over its bus.
    There,
}

/// Connects to the master that is meant and talks to it, on a runtime that ends with the talk. The talk ends with the
/// connection: a command that loses its master says so.
pub(super) fn talk(
    wanted: Wanted<'_>,
    verb: impl AsyncFnOnce(Session) -> Result<ExitCode, CliError>,
) -> Result<ExitCode, CliError> {
    converse(wanted, None, Some(Instant::now()), verb)
}

/// The same for what goes on until it is told to end: a lost connection is made again, with the master of the same name
/// or address, for as long as it takes. What is to be said of that, [`away`](super::away) says.
pub(super) fn follow(
    wanted: Wanted<'_>,
    verb: impl AsyncFnOnce(Session) -> Result<ExitCode, CliError>,
) -> Result<ExitCode, CliError> {
    follow_once_there(wanted, Some(Instant::now()), verb)
}

/// The same, and a master that isn't there yet is waited for, `until` then; `None` is for ever.
pub(super) fn follow_once_there(
    wanted: Wanted<'_>,
    until: Option<Instant>,
    verb: impl AsyncFnOnce(Session) -> Result<ExitCode, CliError>,
) -> Result<ExitCode, CliError> {
    converse(wanted, Some(FOLLOW), until, verb)
}

fn converse(
    wanted: Wanted<'_>,
    reconnect: Option<ReconnectPolicy>,
    until: Option<Instant>,
    verb: impl AsyncFnOnce(Session) -> Result<ExitCode, CliError>,
) -> Result<ExitCode, CliError> {
    let runtime = runtime::of_this_thread()?;
    let done = runtime.block_on(async {
        let session = once_there(wanted, reconnect, until).await?;
        verb(session).await
    });
    // A write that a stopped reader doesn't take must not hold up the end.
    runtime.shutdown_background();
    done
}

async fn once_there(
    wanted: Wanted<'_>,
    reconnect: Option<ReconnectPolicy>,
    until: Option<Instant>,
) -> Result<Session, CliError> {
    let mut told = false;
    loop {
        match reach(wanted, reconnect).await {
            Err(error)
                if error.exit == Exit::NotRunning
                    && until.is_none_or(|until| Instant::now() < until) =>
            {
                if !std::mem::replace(&mut told, true) {
                    eprintln!("note: {}; waiting for it", escape::line(&error.message));
                }
                tokio::time::sleep(AGAIN).await;
            }
            reached => return reached,
        }
    }
}

async fn reach(
    wanted: Wanted<'_>,
    reconnect: Option<ReconnectPolicy>,
) -> Result<Session, CliError> {
    match remote::Address::of(wanted.way)? {
        // A name says more than a variable.
        Some(address) if wanted.master.is_none() => Ok(Session {
            bus: remote::open(&address, wanted.way, reconnect).await?,
            place: Place::There,
        }),
        Some(_) | None => open(Home::of_this_process()?, wanted.master, reconnect).await,
    }
}

pub(super) async fn open(
    home: Home,
    wanted: Option<&MasterName>,
    reconnect: Option<ReconnectPolicy>,
) -> Result<Session, CliError> {
    let until = Instant::now() + STARTING;
    loop {
        // Each time anew: a master that has died meanwhile is told as not running.
        let master = select::master(&home, wanted)?;
        let socket = home.master(&master.name).bus_socket();
        let options = ConnectOptions {
            connect_timeout: CONNECT,
            reconnect,
            ..ConnectOptions::operator("cli")
        };
        match Bus::connect(UnixTransport::new(socket), options).await {
            Ok(bus) => {
                let place = Place::Here { master, home };
                return Ok(Session { bus, place });
            }
            Err(ConnectError::NotRunning { .. }) if Instant::now() < until => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(unreachable(&master, &error)),
        }
    }
}

/// Why a master that is alive can't be talked to.
fn unreachable(master: &LiveMaster, error: &ConnectError) -> CliError {
    let who = format!("master {} (pid {})", master.name, master.pid);
    let because = |mut failure: CliError, reason: &str| {
        failure.causes.push(reason.to_owned());
        failure
    };
    let failed = |what: &str| CliError::new(Exit::Failed, format!("{who} {what}"));
    match error {
        ConnectError::NotRunning { target, source } => CliError::new(
            Exit::Busy,
            format!("{who} is alive, but nothing listens on {target}"),
        )
        .because(source)
        .hint("it is just starting, or hung: try again, and look at its log"),
        ConnectError::Io { source, .. } => failed("broke the connection off")
            .because(source)
            .hint("try again; its log may tell why"),
        ConnectError::Denied { reason, .. } => because(failed("doesn't let you in"), reason)
            .hint("run the command as the user whose master it is, or as root"),
        ConnectError::NoAgreement { reason, .. } => {
            because(failed("and this program agree on no protocol"), reason).hint(OTHER_RELEASE)
        }
        ConnectError::Refused { kind, reason, .. } => {
            let exit = match kind {
                CloseKind::Stopping | CloseKind::Limit => Exit::Busy,
                CloseKind::Framing
                | CloseKind::Hello
                | CloseKind::Denied
                | CloseKind::Fault
                | CloseKind::Replaced => Exit::Failed,
            };
            because(
                CliError::new(exit, format!("{who} refused the connection")),
                reason,
            )
            .hint(bus_errors::after_closing(*kind))
        }
        ConnectError::NotAHub { what, .. } => {
            because(failed("does not answer as a master"), what).hint(OTHER_RELEASE)
        }
        ConnectError::TimedOut { after, .. } => failed(&format!("did not answer within {after:?}"))
            .hint("it is stopped (SIGSTOP), hung, or the machine is overloaded: look at its log"),
    }
}

#[cfg(test)]
mod tests {
    use std::{io, os::unix::net::UnixListener};

    use super::*;
    use crate::{cli::style::Style, home::Surroundings, lock::MasterLock};

    fn home(dir: &tempfile::TempDir) -> Home {
        Home::locate(&Surroundings {
            ostler_home: Some(dir.path().join("home").into()),
            ..Surroundings::default()
        })
        .unwrap()
    }

    #[tokio::test]
    async fn a_lock_without_a_socket_is_a_master_that_starts_or_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(&dir);
        let _lock = MasterLock::acquire(&home, &MasterName::new("shop").unwrap()).unwrap();
        let error = open(home, None, None).await.unwrap_err();
        assert_eq!(error.exit, Exit::Busy);
        let told = error.render(Style::plain());
        assert!(told.contains("is alive, but nothing listens"), "{told}");
        assert!(told.contains("just starting, or hung"), "{told}");
    }

    #[tokio::test]
    async fn a_master_that_hangs_up_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(&dir);
        let lock = MasterLock::acquire(&home, &MasterName::new("shop").unwrap()).unwrap();
        let listener = UnixListener::bind(lock.home().bus_socket()).unwrap();
        let peer = std::thread::spawn(move || listener.accept().map(drop));
        let error = open(home, None, None).await.unwrap_err();
        peer.join().unwrap().unwrap();
        assert_eq!(error.exit, Exit::Failed);
        assert!(
            error.message.ends_with("broke the connection off"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn no_master_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let error = open(home(&dir), None, None).await.unwrap_err();
        assert_eq!(error.exit, Exit::NotRunning);
        assert!(begun.elapsed() < STARTING);
    }

    #[test]
    fn each_reason_says_what_to_do() {
        let master = LiveMaster {
            name: MasterName::new("shop").unwrap(),
            pid: 7,
        };
        let target = || "/h/shop/bus.sock".to_owned();
        let denied = ConnectError::Denied {
            target: target(),
            reason: "uid 1000 is not the master's".into(),
        };
        assert_eq!(
            unreachable(&master, &denied).render(Style::plain()),
            "error: master shop (pid 7) doesn't let you in\n  caused by: uid 1000 is not the master's\n\nhint: run the command as the user whose master it is, or as root\n"
        );
        let stopping = ConnectError::Refused {
            target: target(),
            kind: CloseKind::Stopping,
            reason: "the hub stops".into(),
        };
        let stopping = unreachable(&master, &stopping);
        assert_eq!(stopping.exit, Exit::Busy);
        assert!(stopping.hint.unwrap().contains("brings it up again"));
        let full = ConnectError::Refused {
            target: target(),
            kind: CloseKind::Limit,
            reason: "too many".into(),
        };
        assert!(
            unreachable(&master, &full)
                .hint
                .unwrap()
                .contains("[bus.limits]")
        );
        let stranger = ConnectError::NotAHub {
            target: target(),
            what: "HTTP".into(),
        };
        assert!(
            unreachable(&master, &stranger)
                .hint
                .unwrap()
                .contains("use the ostler that the master was started with")
        );
        let hung = ConnectError::TimedOut {
            target: target(),
            after: CONNECT,
        };
        assert!(
            unreachable(&master, &hung)
                .hint
                .unwrap()
                .contains("SIGSTOP")
        );
        let broken = ConnectError::Io {
            target: target(),
            source: io::Error::from(io::ErrorKind::ConnectionReset),
        };
        assert_eq!(unreachable(&master, &broken).causes, ["connection reset"]);
    }
}
