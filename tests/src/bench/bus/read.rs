//! Subscribers.

use std::{io::Stdout, path::Path};

use futures::StreamExt;
use ostler_bus::{
    Bus, ConnectOptions, Delivery, Event,
    client::{Payload, Subscription},
    transport::UnixTransport,
};

use super::{Reader, Sample, bare::Bare, credit::Reporter};
use crate::bench::roles;

/// A role: reads so many events as this kind of reader, and reports on standard output.
pub(super) fn play(args: &[String]) -> Result<(), String> {
    let [kind, socket, events] = args else {
        return Err("usage: KIND SOCKET EVENTS".into());
    };
    roles::end_with_stdin();
    let socket = Path::new(socket);
    let events = events.parse().map_err(|_| "EVENTS is no number")?;
    match Reader::named(kind)? {
        Reader::Bare => bare(socket, events),
        kind @ (Reader::Typed | Reader::Raw) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| e.to_string())?;
            runtime.block_on(client(kind, socket, events))
        }
    }
}

fn bare(socket: &Path, events: u64) -> Result<(), String> {
    let mut bare = Bare::connect(socket, "reader")?;
    bare.subscribe(Sample::TOPIC)?;
    let mut reporter = Reporter::new(std::io::stdout(), events)?;
    bare.drain(|read, lost| reporter.count(read, lost))
}

async fn client(kind: Reader, socket: &Path, events: u64) -> Result<(), String> {
    let options = ConnectOptions::client("reader").once();
    let bus = Bus::connect(UnixTransport::new(socket), options)
        .await
        .map_err(|e| e.to_string())?;
    match kind {
        Reader::Typed => {
            let samples = bus.subscribe::<Sample>().await.map_err(|e| e.to_string())?;
            let reporter = Reporter::new(std::io::stdout(), events)?;
            count(samples, reporter, Sample::is_number).await
        }
        Reader::Raw | Reader::Bare => {
            let payloads = bus.subscribe_raw(Sample::TOPIC).await;
            let payloads = payloads.map_err(|e| e.to_string())?;
            let reporter = Reporter::new(std::io::stdout(), events)?;
            count(payloads, reporter, |payload, _| {
                size(payload) == super::PAYLOAD
            })
            .await
        }
    }
}

impl Sample {
    fn is_number(&self, number: u64) -> bool {
        self.seq == Self::FIRST + number
    }
}

fn size(payload: &Payload) -> usize {
    match payload {
        Payload::Postcard { bytes, .. } | Payload::Json(bytes) | Payload::Bytes(bytes) => {
            bytes.len()
        }
    }
}

/// Reads until all have come; each must be the right one.
async fn count<T>(
    mut events: Subscription<T>,
    mut reporter: Reporter<Stdout>,
    is_right: impl Fn(&T, u64) -> bool,
) -> Result<(), String> {
    let mut next = 0;
    while let Some(delivery) = events.next().await {
        let (read, lost) = match delivery {
            Delivery::Event(received) if is_right(&received.event, next) => (1, 0),
            Delivery::Event(_) => return Err(format!("event {next} is not what was emitted")),
            Delivery::Lagged { missed } | Delivery::Misfit { missed, .. } => (0, missed),
            Delivery::Reconnected { .. } => return Err("the connection was lost".into()),
            Delivery::Disconnected(why) => return Err(why.to_string()),
        };
        next += read + lost;
        if reporter.count(read, lost)? {
            return Ok(());
        }
    }
    Err("the subscription ended".into())
}
