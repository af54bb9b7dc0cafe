//! `ostler monit`: apps and workers, live, on a terminal.
//!
//! A client of the bus like any other: once a second it asks for the status, the figures of the bus and the last lines of the
//! worker that is chosen. [`model`] is what is shown and what keys mean, [`draw`] how it looks; both are pure. A master that
//! goes is shown as gone until it is back.

mod draw;
mod look;
mod model;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use crossterm::event::{Event, EventStream};
use futures::StreamExt as _;
use ostler_bus::{
    client::{Bus, ConnectionState},
    vocab::control::{Answer, AppReload},
};
use ratatui::DefaultTerminal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use self::{
    draw::draw,
    model::{Seen, View, Wish},
};
use super::{
    bus_errors::{gone, of_master},
    connect::{self, Wanted},
    error::{CliError, Exit},
    interrupt,
};

/// What was seen, and not yet shown; who looks waits meanwhile.
const UNSHOWN: usize = 4;

/// `ostler monit`
pub(super) fn monit(wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(CliError::new(Exit::Usage, "monit draws on a terminal, and this is none")
            .hint("`ostler ls --json` tells the same to programs, `ostler tail` prints events as they come"));
    }
    connect::follow(wanted, async |session| watch_over(session.bus).await)
}

/// The terminal while it is ours. It is given back as it was, after a panic too.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self, CliError> {
        ratatui::try_init()
            .map(Self)
            .map_err(|error| unusable(&error))
    }

    fn show(&mut self, view: &View) -> Result<(), CliError> {
        let drawn = self.0.draw(|frame| draw(frame, view));
        drawn.map(drop).map_err(|error| unusable(&error))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn unusable(error: &io::Error) -> CliError {
    CliError::new(Exit::Failed, "the terminal can't be drawn on").because(error)
}

async fn watch_over(bus: Bus) -> Result<ExitCode, CliError> {
    let mut ends = Ends::listen()?;
    let (seen, mut looks) = mpsc::channel(UNSHOWN);
    let (chosen, choice) = watch::channel(None);
    tokio::spawn(look::again_and_again(bus.clone(), choice, seen.clone()));
    let mut view = View::new(std::env::var_os("NO_COLOR").is_none());
    let mut state = bus.state();
    let mut keys = EventStream::new();
    let mut screen = Screen::open()?;
    loop {
        chosen.send_if_modified(|known| {
            let now = view.chosen();
            (*known != now).then(|| *known = now).is_some()
        });
        screen.show(&view)?;
        tokio::select! {
            biased;
            told = ends.heard() => match told {
                Told::End => return Ok(ExitCode::SUCCESS),
                Told::Stop => {
                    drop(screen);
                    stop()?;
                    screen = Screen::open()?;
                }
            },
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) => match view.key(key) {
                    Some(Wish::Quit) => return Ok(ExitCode::SUCCESS),
                    Some(Wish::Reload(app)) => drop(tokio::spawn(reload(bus.clone(), app, seen.clone()))),
                    None => {}
                },
                // Drawn anew.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(unusable(&error)),
                // The terminal is gone.
                None => return Ok(ExitCode::SUCCESS),
            },
            look = looks.recv() => if let Some(look) = look { view.take(look) },
            changed = state.changed() => {
                let now = state.borrow_and_update().clone();
                match now {
                    ConnectionState::Closed(why) => return Err(gone(&why)),
                    ConnectionState::Reconnecting { why, .. } => view.away(Some(gone(&why).message)),
                    ConnectionState::Connected | ConnectionState::Draining => view.away(None),
                }
                if changed.is_err() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }
}

/// Asks for it, and tells the master's answer. Whoever wants to see more has it before them.
async fn reload(bus: Bus, app: String, told: mpsc::Sender<Seen>) {
    let request = AppReload {
        app: Some(app.clone()),
        reason: Some("ostler monit".into()),
        now: false,
        env: Default::default(),
        inherit: None,
    };
    let notice = match bus.request(&request).await {
        Ok(Answer::Accepted { op }) => format!("reload of {app} accepted (operation {op})"),
        Ok(Answer::Refused { reason, .. }) => format!("reload of {app} refused: {reason}"),
        Err(error) => format!("reload of {app} failed: {}", of_master(error).message),
    };
    let _ended = told.send(Seen::Notice(notice)).await;
}

/// Stops this process until it is continued.
fn stop() -> Result<(), CliError> {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)
        .map_err(|error| CliError::new(Exit::Failed, "can't stop").because(&error))
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    End,
    /// Until it is continued.
    Stop,
}

/// What ends or stops it besides its own key: the terminal's interrupt comes as a key, these come from others.
struct Ends {
    interrupt: interrupt::Interrupt,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    stop: tokio::signal::unix::Signal,
}

impl Ends {
    fn listen() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CliError::new(Exit::Failed, "can't listen for signals").because(&error)
            })
        };
        Ok(Self {
            interrupt: interrupt::listen()?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            quit: listen(SignalKind::quit())?,
            stop: listen(SignalKind::from_raw(libc::SIGTSTP))?,
        })
    }

    async fn heard(&mut self) -> Told {
        tokio::select! {
            () = self.interrupt.heard() => Told::End,
            _ = self.terminate.recv() => Told::End,
            _ = self.hangup.recv() => Told::End,
            _ = self.quit.recv() => Told::End,
            _ = self.stop.recv() => Told::Stop,
        }
    }
}
