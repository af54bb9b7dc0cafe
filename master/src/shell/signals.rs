//! What each signal to the master means. All are blocked for life and read from one descriptor; none is left unhandled.

use std::time::Duration;

use ostler_bus::vocab::control::{AppScale, AppStop, MasterKill, ScaleTo};
use tokio::time::Instant;

use super::{Shell, Waiting, reread::Asked, reread::Reading};
use crate::fleet::{Command, Input};

/// What a signal asks of the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterSignal {
    /// HUP: read the process file again, then roll every app.
    Reload,
    /// TERM, INT: let workers finish, then end; a second one forces.
    Stop,
    /// QUIT: end now.
    Quit,
    /// TTIN, TTOU: one worker more or fewer, for every app.
    Resize(ScaleTo),
    /// WINCH: stop the workers, keep the master.
    StopWorkers,
    /// USR1: reopen log files.
    ReopenLogs,
    /// USR2: upgrade the master, which can't be done yet.
    Upgrade,
    /// CHLD: perhaps an orphan to reap.
    Child,
}

impl MasterSignal {
    /// Every signal the master handles.
    pub const ALL: [i32; 10] = [
        libc::SIGHUP,
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGWINCH,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGCHLD,
    ];

    /// Whether a master that heeds no signals heeds this one: else nothing but KILL could end it, and leave its workers behind.
    fn is_always_heeded(self) -> bool {
        match self {
            Self::Stop | Self::Quit | Self::Child => true,
            Self::Reload
            | Self::Resize(_)
            | Self::StopWorkers
            | Self::ReopenLogs
            | Self::Upgrade => false,
        }
    }

    /// What this signal number means.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            libc::SIGHUP => Self::Reload,
            libc::SIGTERM | libc::SIGINT => Self::Stop,
            libc::SIGQUIT => Self::Quit,
            libc::SIGTTIN => Self::Resize(ScaleTo::More(1)),
            libc::SIGTTOU => Self::Resize(ScaleTo::Fewer(1)),
            libc::SIGWINCH => Self::StopWorkers,
            libc::SIGUSR1 => Self::ReopenLogs,
            libc::SIGUSR2 => Self::Upgrade,
            libc::SIGCHLD => Self::Child,
            _ => return None,
        })
    }
}

/// `timeout` and others signal a process and then its whole group: what comes so soon is the same word twice, and must not
/// be taken for impatience. Whoever says it twice may lose the processor in between; a hand takes longer. Counted from when
/// the first was read.
pub const SAME_WORD: Duration = Duration::from_millis(50);

impl Shell {
    pub(super) fn on_signal(&mut self, number: i32) -> Vec<Input> {
        let Some(signal) = MasterSignal::from_number(number) else {
            return vec![];
        };
        if self.deaf && !signal.is_always_heeded() {
            let name = crate::sys::signal_name(number);
            tracing::info!("{name} ignored: the process file says `signals = false`");
            return vec![];
        }
        match signal {
            MasterSignal::Reload => self.read_for(Reading {
                environment: None,
                asked: Asked::Hangup,
            }),
            MasterSignal::Stop => {
                let force = match self.asked_to_stop {
                    Some(first) if first.elapsed() < SAME_WORD => return vec![],
                    Some(_) => true,
                    None => false,
                };
                self.asked_to_stop.get_or_insert_with(Instant::now);
                tracing::info!(
                    "{}",
                    if force {
                        "asked to stop again: killing what is left"
                    } else {
                        "asked to stop: workers finish what they have"
                    }
                );
                self.command(Command::Kill(MasterKill { force }))
            }
            MasterSignal::Quit => {
                tracing::info!("asked to quit: killing all workers");
                self.command(Command::Kill(MasterKill { force: true }))
            }
            MasterSignal::Resize(to) => {
                let apps = self.fleet.snapshot(self.now()).apps;
                apps.into_iter()
                    .flat_map(|app| self.command(Command::Scale(AppScale { app: app.name, to })))
                    .collect()
            }
            // A terminal sends WINCH whenever its window changes: only a master without one means it.
            MasterSignal::StopWorkers if rustix::termios::isatty(std::io::stdin()) => vec![],
            MasterSignal::StopWorkers => {
                tracing::info!(
                    "SIGWINCH: stopping all workers, the master stays; `ostler start` brings them back"
                );
                self.command(Command::Stop(AppStop { app: None }))
            }
            MasterSignal::ReopenLogs => {
                match self.workshop.log_files.count() + usize::from(self.workshop.log_is_file) {
                    0 => tracing::info!(
                        "SIGUSR1: the log goes to standard error, there is no file to reopen"
                    ),
                    files => tracing::info!("SIGUSR1: {files} log files reopened"),
                }
                self.workshop.log.look();
                self.workshop.log_files.reopen();
                vec![]
            }
            MasterSignal::Upgrade => {
                tracing::warn!(
                    "SIGUSR2 ignored: it is kept for upgrading the master in place, which this version can't do; to replace the workers send SIGHUP"
                );
                vec![]
            }
            MasterSignal::Child => {
                self.workshop.reap_orphans();
                vec![]
            }
        }
    }

    fn command(&mut self, command: Command) -> Vec<Input> {
        let request = self.token(Waiting::Nobody);
        vec![Input::Command { request, command }]
    }
}
