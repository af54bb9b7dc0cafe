//! An operation from its request to its end: what the master accepted, followed until it says how it ended.
//!
//! Everything that tells of it is subscribed to before it is asked for, so nothing is missed. Each type of event has a
//! subscription of its own, and those are independent: what arrives together is put in the hub's order by its sequence
//! number, and at the end the connection is drained, so that no step is told after the end or not at all.

use std::{pin::pin, time::Duration};

use futures::{
    StreamExt as _,
    stream::{self, BoxStream, ReadyChunks, SelectAll},
};
use ostler_bus::{
    Event, OpId,
    client::{Bus, Delivery, Disconnected, SubscribeError},
    vocab::control::Outcome,
};

use super::{
    error::CliError,
    live::Live,
    progress::{Line, News, Progress},
    state_verbs,
};

/// Between two drawings of the live line's clock.
const TICK: Duration = Duration::from_secs(1);

/// After this long without news the master is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(15);

/// After this long without a line it is told what is waited for.
const LULL: Duration = Duration::from_secs(60);

/// How long the last events may take that the hub has queued.
const STRAGGLERS: Duration = Duration::from_secs(2);

/// News that arrive together.
const TOGETHER: usize = 1024;

/// What a subscription says.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are news: a box would only add an allocation"
)]
enum Heard {
    /// An event, and its place in the hub's order.
    News(u64, News),
    /// Some were lost: this program was stopped for long.
    Missed,
    /// The master's events are not those this program knows.
    Misfit(String),
    /// The connection has ended.
    Gone(Disconnected),
}

/// All that tells how operations go.
pub(super) struct Watch {
    heard: ReadyChunks<SelectAll<BoxStream<'static, Heard>>>,
}

/// How following an operation ended.
#[derive(Debug)]
pub(super) enum End {
    /// As the master says.
    Outcome(Outcome),
    /// The connection ended first.
    Gone(Disconnected),
}

impl Watch {
    /// Subscribes to all of it.
    pub(super) async fn begin(bus: &Bus) -> Result<Self, SubscribeError> {
        let streams = [
            listen(bus, News::Spawned).await?,
            listen(bus, News::Ready).await?,
            listen(bus, News::Draining).await?,
            listen(bus, News::Exited).await?,
            listen(bus, News::Started).await?,
            listen(bus, News::Progress).await?,
            listen(bus, News::Finished).await?,
            listen(bus, News::Aborted).await?,
            listen(bus, News::RolledBack).await?,
            listen(bus, News::Failed).await?,
            listen(bus, News::Ended).await?,
        ];
        Ok(Self {
            heard: stream::select_all(streams).ready_chunks(TOGETHER),
        })
    }

    /// Shows how an operation goes until it ends, the connection ends, or Ctrl-C is heard.
    pub(super) async fn follow(
        mut self,
        bus: &Bus,
        (op, mut progress): (OpId, Progress),
        live: &mut Live<impl std::io::Write>,
        interrupted: impl Future<Output = ()>,
    ) -> Result<End, Waited> {
        let mut interrupted = pin!(interrupted);
        let mut tick = tokio::time::interval(TICK);
        let mut silent_since = tokio::time::Instant::now();
        // When the last step of an update was told.
        let mut stepped = silent_since;
        // When there was something to tell.
        let mut told = silent_since;
        loop {
            let heard = tokio::select! {
                biased;
                () = &mut interrupted => return Err(Waited::Interrupted),
                heard = self.heard.next() => heard,
                _ = tick.tick() => {
                    match progress.again(stepped.elapsed()).filter(|_| live.moves()) {
                        Some(line) => live.show(&line),
                        None => live.redraw(),
                    }
                    if silent_since.elapsed() > SILENCE {
                        let report = state_verbs::ask(bus).await.map_err(Waited::Silent)?;
                        silent_since = tokio::time::Instant::now();
                        if told.elapsed() >= LULL
                            && let Some(line) = progress.still(&report)
                        {
                            live.show(&line);
                            told = silent_since;
                        }
                    }
                    continue;
                }
            };
            silent_since = tokio::time::Instant::now();
            told = silent_since;
            let mut heard = heard.unwrap_or_else(|| vec![Heard::Gone(Disconnected::HungUp)]);
            if heard.iter().any(is_step) {
                stepped = silent_since;
            }
            if heard.iter().any(|heard| ends(heard, op)) {
                heard.extend(self.stragglers(bus).await);
            }
            if let Some(end) = tell(heard, op, &mut progress, live)? {
                return Ok(end);
            }
        }
    }

    /// What the hub still had queued.
    async fn stragglers(&mut self, bus: &Bus) -> Vec<Heard> {
        // Without it what has arrived is told all the same.
        let _in_time = bus.drain(STRAGGLERS).await;
        let mut rest = Vec::new();
        while let Some(more) = self.heard.next().await {
            rest.extend(
                more.into_iter()
                    .filter(|heard| !matches!(heard, Heard::Gone(_))),
            );
        }
        rest
    }
}

/// Why an operation is not followed to its end.
#[derive(Debug)]
pub(super) enum Waited {
    /// Ctrl-C.
    Interrupted,
    /// The master doesn't answer any more.
    Silent(CliError),
    /// The master's events are of other types than this program's.
    Misfit(String),
}

fn is_step(heard: &Heard) -> bool {
    matches!(heard, Heard::News(_, News::Progress(_)))
}

fn ends(heard: &Heard, op: OpId) -> bool {
    matches!(heard, Heard::News(_, News::Ended(end)) if end.op == op)
}

/// Shows what was heard, in the hub's order, up to the end of the operation.
fn tell(
    mut heard: Vec<Heard>,
    op: OpId,
    progress: &mut Progress,
    live: &mut Live<impl std::io::Write>,
) -> Result<Option<End>, Waited> {
    heard.sort_by_key(|heard| match heard {
        Heard::Missed | Heard::Misfit(_) => 0,
        Heard::News(seq, _) => *seq,
        Heard::Gone(_) => u64::MAX,
    });
    for heard in heard {
        match heard {
            Heard::News(_, News::Ended(end)) if end.op == op => {
                return Ok(Some(End::Outcome(end.outcome)));
            }
            Heard::News(_, news) => {
                if let Some(line) = progress.see(&news) {
                    live.show(&line);
                }
            }
            Heard::Missed => live.show(&Line::Milestone("(some steps were missed)".into())),
            Heard::Misfit(reason) => return Err(Waited::Misfit(reason)),
            Heard::Gone(why) => return Ok(Some(End::Gone(why))),
        }
    }
    Ok(None)
}

async fn listen<E: Event>(
    bus: &Bus,
    news: fn(E) -> News,
) -> Result<BoxStream<'static, Heard>, SubscribeError> {
    let events = bus.subscribe::<E>().await?;
    let heard = events.map(move |delivery| match delivery {
        Delivery::Event(received) => Heard::News(received.seq, news(received.event)),
        Delivery::Lagged { .. } | Delivery::Reconnected { .. } => Heard::Missed,
        Delivery::Misfit { topic, reason, .. } => Heard::Misfit(format!("{topic}: {reason}")),
        Delivery::Disconnected(why) => Heard::Gone(why),
    });
    Ok(heard.boxed())
}

#[cfg(test)]
mod tests;
