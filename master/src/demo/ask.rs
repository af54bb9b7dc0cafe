//! Requests to the demo's workers, each on a connection of its own, and a small load of them.

use std::{io, net::SocketAddr, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

/// One that isn't answered by then is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any answer of the demo has.
const LONGEST: u64 = 64 << 10;

/// Clients that ask at the same time.
const CLIENTS: usize = 8;

/// How long each rests between two requests: a load to be seen, not to be felt.
const REST: Duration = Duration::from_millis(4);

/// Which worker answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Who {
    pub(super) slot: u32,
}

/// One request; the body of its answer.
pub(super) async fn ask(at: SocketAddr, method: &str, path: &str) -> io::Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await?;
        body(&answer)
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|late| Err(late.into()))
}

/// The body of a whole answer with status 200.
fn body(answer: &[u8]) -> io::Result<Vec<u8>> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("{status}: {}", body.trim())));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if length == body.len() => Ok(body.as_bytes().to_vec()),
        Some(_) | None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Which worker answers a request just now.
pub(super) async fn who(at: SocketAddr) -> io::Result<Who> {
    let body = ask(at, "GET", "/").await?;
    serde_json::from_slice(&body).map_err(Into::into)
}

/// What became of a load.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Slots that answered, one for each request.
    pub(super) answered: Vec<u32>,
    /// Why the others have no answer.
    pub(super) lost: Vec<String>,
}

impl Tally {
    fn note(&mut self, result: io::Result<Who>) {
        match result {
            Ok(who) => self.answered.push(who.slot),
            Err(error) => self.lost.push(error.to_string()),
        }
    }

    fn add(&mut self, other: Self) {
        self.answered.extend(other.answered);
        self.lost.extend(other.lost);
    }
}

/// So many requests, from several clients at once.
pub(super) async fn some(at: SocketAddr, requests: usize) -> Tally {
    let shares = (0..CLIENTS).map(|i| requests / CLIENTS + usize::from(i < requests % CLIENTS));
    let clients = shares.map(|share| async move {
        let mut tally = Tally::default();
        for _ in 0..share {
            tally.note(who(at).await);
        }
        tally
    });
    sum(clients.collect()).await
}

/// A load that goes on until it is stopped.
#[derive(Debug)]
pub(super) struct Load {
    stop: watch::Sender<bool>,
    clients: JoinSet<Tally>,
}

impl Load {
    pub(super) fn start(at: SocketAddr) -> Self {
        let (stop, stopped) = watch::channel(false);
        let clients = (0..CLIENTS).map(|_| {
            let stopped = stopped.clone();
            async move {
                let mut tally = Tally::default();
                while !*stopped.borrow() {
                    tally.note(who(at).await);
                    tokio::time::sleep(REST).await;
                }
                tally
            }
        });
        Self {
            stop,
            clients: clients.collect(),
        }
    }

    /// Lets each client finish its request.
    pub(super) async fn stop(self) -> Tally {
        self.stop.send_replace(true);
        sum(self.clients).await
    }
}

async fn sum(mut clients: JoinSet<Tally>) -> Tally {
    let mut all = Tally::default();
    while let Some(client) = clients.join_next().await {
        match client {
            Ok(tally) => all.add(tally),
            Err(error) => all.lost.push(error.to_string()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_good_answers_count() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(body(good).unwrap(), b"{}");
        for bad in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\n\r\n{}",
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}",
        ] {
            assert!(body(bad).is_err(), "{bad:?}");
        }
    }
}
