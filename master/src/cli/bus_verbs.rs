//! `emit`, `request`, `wait`: the bus from a shell.
//!
//! `wait` waits for its master too, and outlives a restart of it, within its time: an event that is waited for may be one of the master that comes.
//! `emit --wait` doesn't: who was to answer, or the event itself, may have gone with the hub that took it.
//!
//! Topics and patterns are checked before a master is looked for: what can't be meant is told as that.

use std::{process::ExitCode, time::Duration};

use futures::StreamExt as _;
use ostler_bus::{
    Origin, Pattern, Topic,
    client::{Bus, Delivery, Disconnected, Payload, Received, Subscription},
};
use tokio::time::Instant;

use super::{
    args::{EmitArgs, RequestArgs, WaitArgs},
    away,
    bus_errors::gone,
    connect::{self, Wanted},
    error::{CliError, Exit},
    event_line, output,
};
use crate::{config::units, escape};

/// `ostler emit`
pub(super) fn emit(args: &EmitArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let topic = Topic::new(&args.topic)?;
    let pattern = args.wait.as_deref().map(Pattern::new).transpose()?;
    connect::talk(wanted, async |session| {
        let bus = session.bus;
        // Before the event is emitted, so that its answer can't be missed.
        let mut answers = match &pattern {
            Some(pattern) => Some(bus.subscribe_raw(pattern.as_str()).await?),
            None => None,
        };
        let heard = bus.json(topic.as_str(), &args.payload).acked().await?;
        let ours = pattern.is_some_and(|pattern| pattern.matches(topic.as_str()));
        if heard == u64::from(ours) {
            eprintln!("note: nobody listens to {topic}");
        }
        match &mut answers {
            None => Ok(ExitCode::SUCCESS),
            Some(answers) => {
                let is_answer =
                    |event: &Received<Payload>| !event.is_retained() && !is_own(&bus, event);
                print_first(answers, args.timeout, Instant::now(), is_answer).await
            }
        }
    })
}

/// Whether this connection sent the event itself.
fn is_own(bus: &Bus, event: &Received<Payload>) -> bool {
    match *event.origin {
        Origin::Client { conn, .. } => conn == bus.conn(),
        Origin::Master | Origin::Worker { .. } => false,
    }
}

/// `ostler wait`
pub(super) fn wait(args: &WaitArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let pattern = Pattern::new(&args.pattern)?;
    let begun = Instant::now();
    connect::follow_once_there(wanted, begun.checked_add(args.timeout), async |session| {
        let mut events = session.bus.subscribe_raw(pattern.as_str()).await?;
        tokio::select! {
            biased;
            ended = print_first(&mut events, args.timeout, begun, |_| true) => ended,
            () = away::tell(&session.bus) => unreachable!("it goes on for ever"),
        }
    })
}

/// Prints the first event that `is` meant.
async fn print_first(
    events: &mut Subscription<Payload>,
    within: Duration,
    begun: Instant,
    is: impl Fn(&Received<Payload>) -> bool,
) -> Result<ExitCode, CliError> {
    let pattern = events.pattern().to_owned();
    let until = begun.checked_add(within);
    loop {
        let next = events.next();
        let delivery = match until {
            Some(until) => tokio::time::timeout_at(until, next).await.ok(),
            None => Some(next.await),
        };
        match delivery {
            None => {
                return Err(CliError::new(
                    Exit::Failed,
                    format!("no event on {pattern} within {}", units::exact(within)),
                )
                .hint("`ostler tail` shows what is published; --timeout allows more time"));
            }
            Some(Some(Delivery::Event(event))) if is(&event) => {
                output::print(&event_line::event(&event))?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Some(Delivery::Event(_) | Delivery::Lagged { .. } | Delivery::Misfit { .. })) => {}
            Some(Some(Delivery::Reconnected { missed })) => away::tell_back(missed),
            Some(Some(Delivery::Disconnected(why))) => return Err(gone(&why)),
            Some(None) => return Err(gone(&Disconnected::HungUp)),
        }
    }
}

/// `ostler request`
pub(super) fn request(args: &RequestArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let topic = Topic::new(&args.topic)?;
    connect::talk(wanted, async |session| {
        let question = args.payload.to_string();
        let reply = session
            .bus
            .request_json(topic.as_str(), &question, args.timeout)
            .await?;
        output::print(&format!("{}\n", escape::json(&reply)))?;
        Ok(ExitCode::SUCCESS)
    })
}
