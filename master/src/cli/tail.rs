//! `tail`: events as they come, until Ctrl-C, the wanted number, or nobody reads on. A master that restarts is waited
//! for, as `tail -F` waits for a file; with `--once` its end is the tail's.

use std::{pin::pin, process::ExitCode};

use futures::StreamExt as _;
use ostler_bus::{
    Pattern,
    client::{Delivery, Disconnected, Payload, Received, Subscription},
};

use super::{
    args::{TailArgs, TailFormat},
    away,
    bus_errors::gone,
    connect::{self, Session, Wanted},
    error::CliError,
    event_line, interrupt,
    output::{self, Reader},
    style::Style,
};

/// Events written at once, when many are there: one write each would be most of the work.
const AT_ONCE: usize = 256;

/// `ostler tail`
pub(super) fn tail(args: &TailArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let pattern = Pattern::new(&args.pattern)?;
    let verb = async |session: Session| {
        let mut interrupt = interrupt::listen()?;
        let subscription = session.bus.subscription(pattern.as_str());
        let events = match args.since_seq {
            // All there is: what came before the number is left out here.
            Some(_) => subscription.history(u32::MAX).raw().await?,
            None => subscription.raw().await?,
        };
        let show = Show {
            args,
            left: args.count,
            since: args.since_seq,
            style: Style::of_stdout(),
        };
        tokio::select! {
            biased;
            () = interrupt.heard() => Ok(ExitCode::SUCCESS),
            () = output::reader_gone() => Ok(ExitCode::SUCCESS),
            ended = print_all(events, show) => ended,
            () = away::tell(&session.bus) => unreachable!("it goes on for ever"),
        }
    };
    match args.once {
        true => connect::talk(wanted, verb),
        false => connect::follow(wanted, verb),
    }
}

/// What is printed, and how.
struct Show<'a> {
    args: &'a TailArgs,
    /// So many events are still wanted; `None`: all.
    left: Option<u64>,
    /// What comes from a history counts from after this number, until the connection is lost: what comes then is what
    /// was missed, and another hub's numbers begin anew.
    since: Option<u64>,
    style: Style,
}

/// Prints until there is enough, the reader goes, or the master.
async fn print_all(
    events: Subscription<Payload>,
    mut show: Show<'_>,
) -> Result<ExitCode, CliError> {
    let mut batches = pin!(events.ready_chunks(AT_ONCE));
    while let Some(batch) = batches.next().await {
        let lines: String = batch.iter().filter_map(|d| show.line(d)).collect();
        if output::print_later(lines).await? == Reader::Gone || show.left == Some(0) {
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(Delivery::Disconnected(why)) = batch.last() {
            return Err(gone(why));
        }
    }
    Err(gone(&Disconnected::HungUp))
}

impl Show<'_> {
    /// What to print of a delivery: nothing of its end, or of what isn't wanted. Losses are always told.
    fn line(&mut self, delivery: &Delivery<Payload>) -> Option<String> {
        if self.left == Some(0) {
            return None;
        }
        let event = match delivery {
            Delivery::Event(event) => event,
            Delivery::Reconnected { missed } => {
                self.since = None;
                away::tell_back(*missed);
                return self.loss(delivery);
            }
            Delivery::Lagged { .. } | Delivery::Misfit { .. } | Delivery::Disconnected(_) => {
                return self.loss(delivery);
            }
        };
        if !self.wants(event) {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        match self.args.format {
            TailFormat::Json => Some(event_line::event(event)),
            TailFormat::Pretty => event_line::pretty(delivery, self.style),
            TailFormat::Payload => match event_line::payload(&event.event) {
                Ok(payload) => Some(payload + "\n"),
                Err(reason) => note(&format!("event {} on {}: {reason}", event.seq, event.topic)),
            },
        }
    }

    fn wants(&self, event: &Received<Payload>) -> bool {
        // What comes live came after any number that was seen.
        let is_old = event.is_retained() || event.is_history();
        if is_old && self.since.is_some_and(|since| event.seq <= since) {
            return false;
        }
        if self.args.filter.is_empty() {
            return true;
        }
        serde_json::from_str(&event_line::event(event))
            .is_ok_and(|line| self.args.filter.iter().all(|filter| filter.takes(&line)))
    }

    fn loss(&self, delivery: &Delivery<Payload>) -> Option<String> {
        match self.args.format {
            TailFormat::Json => event_line::delivery(delivery),
            TailFormat::Pretty => event_line::pretty(delivery, self.style),
            TailFormat::Payload if matches!(delivery, Delivery::Reconnected { .. }) => None,
            TailFormat::Payload => {
                event_line::pretty(delivery, Style::plain()).and_then(|line| note(line.trim_end()))
            }
        }
    }
}

/// Told beside the payloads: standard output is for those alone.
fn note(text: &str) -> Option<String> {
    eprintln!("note: {text}");
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ostler_bus::{Origin, Topic, client::Received, wire::flags};

    use super::*;
    use crate::cli::args::{Cli, Verb};

    fn args(line: &str) -> TailArgs {
        let words = ["ostler", "tail"]
            .into_iter()
            .chain(line.split_whitespace());
        match Cli::read(words.map(Into::into)).unwrap().verb {
            Verb::Tail(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn event(seq: u64, history: bool) -> Delivery<Payload> {
        let payload = Payload::Json(Bytes::from(format!("{{\"n\":{seq}}}")));
        let flags = if history { flags::HISTORY } else { 0 };
        let topic = Topic::new("t").unwrap();
        let event = Received::new(payload, Origin::Master, topic, seq);
        Delivery::Event(event.with_run_flags(flags))
    }

    fn shown(line: &str, deliveries: &[Delivery<Payload>]) -> String {
        let args = args(line);
        let mut show = Show {
            args: &args,
            left: args.count,
            since: args.since_seq,
            style: Style::plain(),
        };
        deliveries.iter().filter_map(|d| show.line(d)).collect()
    }

    #[test]
    fn only_what_is_wanted_is_shown_and_counted() {
        let stream = [
            event(1, false),
            event(2, false),
            Delivery::Lagged { missed: 4 },
            event(7, false),
            event(8, false),
        ];
        assert_eq!(
            shown("--format payload", &stream),
            "{\"n\":1}\n{\"n\":2}\n{\"n\":7}\n{\"n\":8}\n"
        );
        assert_eq!(
            shown("--filter payload.n=7 --filter topic=t", &stream),
            "{\"lagged\":4}\n{\"seq\":7,\"topic\":\"t\",\"origin\":\"Master\",\"payload\":{\"n\":7}}\n"
        );
        assert_eq!(
            shown("--filter payload.n=7 --filter topic=u", &stream),
            "{\"lagged\":4}\n"
        );
        assert_eq!(
            shown("--count 3 --format pretty", &stream),
            "1  t  master  {\"n\":1}\n2  t  master  {\"n\":2}\n4 events were lost here\n7  t  master  {\"n\":7}\n"
        );
        assert_eq!(
            shown("-c 1 --filter payload.n=8 --format payload", &stream),
            "{\"n\":8}\n"
        );
    }

    #[test]
    fn after_a_connection_that_was_lost_no_number_is_old() {
        let stream = [
            event(5, true),
            Delivery::Reconnected { missed: None },
            event(2, true),
            event(3, false),
        ];
        assert_eq!(
            shown("--since-seq 5 --format payload", &stream),
            "{\"n\":2}\n{\"n\":3}\n"
        );
        let told = shown("--since-seq 5", &stream);
        assert!(
            told.starts_with("{\"reconnected\":true,\"missed\":null}\n"),
            "{told}"
        );
    }

    #[test]
    fn history_begins_after_the_number_and_what_is_live_always_comes() {
        // Of the control lane, which has numbers of its own: lower ones.
        let stream = [event(5, true), event(6, true), event(3, false)];
        let payloads = |line: &str| shown(&format!("{line} --format payload"), &stream);
        assert_eq!(payloads("--since-seq 5"), "{\"n\":6}\n{\"n\":3}\n");
        assert_eq!(
            payloads("--since-seq 0"),
            "{\"n\":5}\n{\"n\":6}\n{\"n\":3}\n"
        );
    }
}
