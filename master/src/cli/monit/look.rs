//! Looking at the master: once a second, and at once when another worker is chosen.

use std::time::Duration;

use ostler_bus::{
    Slot,
    client::Bus,
    hub::HubStats,
    vocab::{
        log::{AppLogs, LogLine, LogsAnswer},
        status::StatusReport,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    super::{bus_state, error::CliError, state_verbs},
    model::Seen,
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// A master that doesn't answer within this is shown as one.
const WITHIN: Duration = Duration::from_secs(3);

/// More lines than any terminal has.
const LINES: u32 = 200;

/// Whose lines are wanted.
pub(super) type Choice = Option<(String, Slot)>;

/// Until nobody wants to know any more.
pub(super) async fn again_and_again(
    bus: Bus,
    mut choice: watch::Receiver<Choice>,
    seen: mpsc::Sender<Seen>,
) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            changed = choice.changed() => if changed.is_err() { return },
        }
        let wanted = choice.borrow_and_update().clone();
        let look = match timeout(WITHIN, once(&bus, wanted)).await {
            Ok(Ok((report, stats, lines))) => Seen::State {
                report: Box::new(report),
                stats: Box::new(stats),
                lines,
            },
            Ok(Err(error)) => Seen::Nothing(error.message),
            Err(_) => Seen::Nothing("the master doesn't answer".into()),
        };
        if seen.send(look).await.is_err() {
            return;
        }
    }
}

async fn once(
    bus: &Bus,
    choice: Choice,
) -> Result<(StatusReport, HubStats, Vec<LogLine>), CliError> {
    let report = state_verbs::ask(bus).await?;
    let stats = bus_state::look(bus).await?;
    let lines = match choice {
        None => Vec::new(),
        Some((app, slot)) => {
            let question = AppLogs {
                app: Some(format!("{app}:{slot}")),
                slot: None,
                stream: None,
                since_ms: None,
                lines: LINES,
            };
            match bus.request(&question).await {
                Ok(LogsAnswer::Lines(lines)) => lines,
                // It went meanwhile; or these lines are not for us to see.
                Ok(LogsAnswer::Refused { .. }) | Err(_) => Vec::new(),
            }
        }
    };
    Ok((report, stats, lines))
}
