//! Publishing and subscribing through a library, one call an event: the bus client here, `async-nats` there.

use std::path::Path;

use super::{
    line::Address,
    party::{Allowance, ready},
};
use crate::bench::{bus::Sample, roles};
use ostler_bus::{Bus, ConnectOptions, transport::UnixTransport};

/// An event loop turns over after so many calls: as an app's does that awaits something else now and then.
const TURN: u64 = 512;

/// A runtime of one thread, as a worker has it.
fn block_on<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?
        .block_on(future)
}

/// Makes so many calls, no more than are allowed.
async fn call<F: Future<Output = Result<(), String>>>(
    events: u64,
    mut allowance: Allowance,
    mut emit: impl FnMut(u64) -> F,
) -> Result<(), String> {
    for number in 0..events {
        if number % TURN == 0 {
            tokio::task::yield_now().await;
            allowance.until((number + TURN).min(events)).await?;
        }
        emit(number).await?;
    }
    Ok(())
}

fn arguments(args: &[String]) -> Result<(Address, u64), String> {
    let [address, events] = args else {
        return Err("usage: ADDRESS EVENTS".into());
    };
    Ok((
        address.parse()?,
        events.parse().map_err(|_| "EVENTS is no number")?,
    ))
}

/// A role: emits samples through the bus client.
pub(super) fn emit(args: &[String]) -> Result<(), String> {
    let (Address::Unix(socket), events) = arguments(args)? else {
        return Err("a hub listens on a path".into());
    };
    block_on(async {
        let options = ConnectOptions::client("publisher");
        let bus = Bus::connect(UnixTransport::new(Path::new(&socket)), options)
            .await
            .map_err(|e| e.to_string())?;
        let allowance = Allowance::listen();
        ready()?;
        call(events, allowance, |number| {
            let bus = &bus;
            async move {
                let emitted = bus.emit(&Sample::new(number)).await;
                emitted.map_err(|e| e.to_string())
            }
        })
        .await?;
        // The client goes on writing.
        std::future::pending().await
    })
}

/// What else is compared with: a library of the same kind.
#[cfg(feature = "async-nats")]
mod nats {
    use bytes::Bytes;
    use futures::StreamExt;

    use super::{Address, Allowance, arguments, block_on, call, ready, roles};
    use crate::bench::{bus::credit::Reporter, peers::TOPIC};

    async fn connect(to: &Address) -> Result<async_nats::Client, String> {
        let Address::Tcp(host) = to else {
            return Err("NATS listens on TCP".into());
        };
        async_nats::connect(host).await.map_err(|e| e.to_string())
    }

    /// A role: publishes through `async-nats`.
    pub(in crate::bench::peers) fn publish(args: &[String]) -> Result<(), String> {
        let (address, events) = arguments(args)?;
        block_on(async {
            let client = connect(&address).await?;
            let allowance = Allowance::listen();
            ready()?;
            let payload = Bytes::from_static(&[b'x'; crate::bench::bus::PAYLOAD]);
            call(events, allowance, |_| {
                let (client, payload) = (&client, payload.clone());
                async move {
                    let published = client.publish(TOPIC, payload).await;
                    published.map_err(|e| e.to_string())
                }
            })
            .await?;
            std::future::pending().await
        })
    }

    /// A role: subscribes through `async-nats`.
    pub(in crate::bench::peers) fn subscribe(args: &[String]) -> Result<(), String> {
        let (address, events) = arguments(args)?;
        roles::end_with_stdin();
        block_on(async {
            let client = connect(&address).await?;
            let mut messages = client.subscribe(TOPIC).await.map_err(|e| e.to_string())?;
            client.flush().await.map_err(|e| e.to_string())?;
            let mut reporter = Reporter::new(std::io::stdout(), events)?;
            while messages.next().await.is_some() {
                if reporter.count(1, 0)? {
                    return std::future::pending().await;
                }
            }
            Err("the subscription ended".into())
        })
    }
}

/// What the roles say that need the library, where it is missing.
#[cfg(not(feature = "async-nats"))]
mod nats {
    use super::roles;

    /// A role that can't be played.
    pub(in crate::bench::peers) fn publish(_: &[String]) -> Result<(), String> {
        roles::end_with_stdin();
        Err("built without `--features async-nats`".into())
    }

    pub(in crate::bench::peers) use publish as subscribe;
}

pub(super) use nats::{publish as nats_publish, subscribe as nats_subscribe};
