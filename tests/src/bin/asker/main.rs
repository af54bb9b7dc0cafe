//! `asker [DO…]`: a worker that asks for sockets and passes connections as it is told, by [`Do`] on the bus: before it is ready
//! by its arguments. Each answer is one line: what was got, or `error KIND: TEXT`.
//!
//! | words | does |
//! |---|---|
//! | `listen ADDRESS [exclusive] [v6]` | listens; whoever connects is told this worker's id. Answers `NUMBER ADDRESS` |
//! | `udp ADDRESS [COUNT]` | answers datagrams with its id, COUNT at most, then closes. Answers `NUMBER ADDRESS` |
//! | `udp ADDRESS exclusive` | the same at a socket of its own |
//! | `counted NUMBER` | waits until that has closed; how many datagrams it had |
//! | `close NUMBER` | closes what it listens at |
//! | `forget [udp] ADDRESS` | asks for a socket, and drops the future before the answer |
//! | `tickets SOCKET` | the secrets for session tickets of a declared socket, as hexadecimal digits: current, previous, next |
//! | `receive`, `deaf` | begins and ends to receive connections |
//! | `plain` | answers messages that come with connections, and takes none |
//! | `pass WHERE TO LENGTH` | connects to WHERE and passes the connection on: TO is `worker:3`, `slot:1`, `app:web` or `any` |

mod passing;
mod sockets;

use std::{process::ExitCode, sync::Arc, time::Duration};

use ostler_tests::words::Do;
use ostler_worker_sdk::Worker;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// No worker outlives this, supervised or not.
const LONGEST: Duration = Duration::from_secs(600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let life = tokio::time::timeout(LONGEST, live()).await;
    match life.map_err(|_| "has lived long enough".into()).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("asker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A worker, and what it has at the moment.
struct Asker {
    worker: Worker,
    sockets: sockets::Open,
    receiving: passing::Receiving,
}

async fn live() -> Result<(), Failure> {
    let worker = Worker::start().await?;
    let asker = Arc::new(Asker {
        worker,
        sockets: sockets::Open::default(),
        receiving: passing::Receiving::default(),
    });
    for words in std::env::args().skip(1) {
        let done = asker.obey(&words).await;
        println!("{words}: {done}");
    }
    let mut orders = asker.worker.serve_direct::<Do>().await?;
    asker.worker.ready().await?;
    let mut draining = asker.worker.draining();
    loop {
        let order = tokio::select! {
            _ = draining.begun() => return Ok(()),
            order = futures::StreamExt::next(&mut orders) => order,
        };
        let Some(order) = order else { return Ok(()) };
        let asker = Arc::clone(&asker);
        tokio::spawn(async move {
            let what = order.request().what.clone();
            let done = asker.obey(&what).await;
            let _gone = order.reply(&done).await;
        });
    }
}

impl Asker {
    async fn obey(&self, words: &str) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        let done = match words[..] {
            ["listen", address, ref how @ ..] => self.listen(address, how).await,
            ["udp", address] => self.udp(address, u64::MAX).await,
            ["udp", address, "exclusive"] => self.own_udp(address).await,
            ["udp", address, count] => self.udp(address, count.parse().unwrap_or(0)).await,
            ["counted", number] => self.counted(number).await,
            ["close", number] => self.close(number).await,
            ["forget", "udp", address] => self.forget_udp(address).await,
            ["forget", address] => self.forget(address).await,
            ["tickets", socket] => self.tickets(socket).await,
            ["receive"] => self.receive().await,
            ["plain"] => self.plain().await,
            ["deaf"] => self.deaf().await,
            ["pass", to, target, length] => self.pass(to, target, length).await,
            _ => Err(format!("no such order: {words:?}").into()),
        };
        match done {
            Ok(text) => text,
            Err(error) => match error.downcast_ref::<std::io::Error>() {
                Some(io) => format!("error {:?}: {io}", io.kind()),
                None => format!("error: {error}"),
            },
        }
    }
}
