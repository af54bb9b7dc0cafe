//! Clients with many addresses: how those are spread over workers, and whether each stays with its own.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use super::client::unevenness;
use crate::bench::roles::{Role, end_with_stdin};

/// What was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Addresses by the worker that answered them.
    by: BTreeMap<String, u64>,
    /// Addresses that came to another worker when they came again.
    pub moved: u64,
}

impl Spread {
    /// Asks twice from each of so many addresses of the loopback network.
    ///
    /// # Errors
    /// If one isn't answered.
    pub fn of(address: SocketAddr, sources: u32) -> Result<Self, String> {
        let args = [address.to_string(), sources.to_string()];
        let mut role = Role::start("sources", &[&args[0], &args[1]])?;
        serde_json::from_str(&role.line()?).map_err(|e| e.to_string())
    }

    /// The largest share over the mean one, of so many workers.
    #[must_use]
    pub fn unevenness(&self, workers: usize) -> f64 {
        unevenness(&self.by, workers)
    }
}

/// A role: asks, and says what it found.
pub(super) fn play(args: &[String]) -> Result<(), String> {
    let [address, sources] = args else {
        return Err("usage: ADDRESS SOURCES".into());
    };
    let address = address.parse().map_err(|_| "ADDRESS is none")?;
    let sources = sources.parse().map_err(|_| "SOURCES is no number")?;
    end_with_stdin();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let spread = runtime.block_on(spread(address, sources));
    let spread = spread.map_err(|e| e.to_string())?;
    println!(
        "{}",
        serde_json::to_string(&spread).map_err(|e| e.to_string())?
    );
    Ok(())
}

async fn spread(address: SocketAddr, sources: u32) -> std::io::Result<Spread> {
    let mut spread = Spread::default();
    for number in 1..=sources {
        let source = source(number);
        let first = worker_of(address, source).await?;
        let second = worker_of(address, source).await?;
        spread.moved += u64::from(first != second);
        *spread.by.entry(first).or_default() += 1;
    }
    Ok(spread)
}

/// Addresses without order: an odd factor gives each of the 2^24 once.
fn source(number: u32) -> Ipv4Addr {
    let host = number.wrapping_mul(0x9E37_79B1) & 0x00FF_FFFF;
    Ipv4Addr::from(0x7F00_0000 | host)
}

async fn worker_of(address: SocketAddr, source: Ipv4Addr) -> std::io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let mut stream = socket.connect(address).await?;
    let request = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    body.ok_or_else(|| std::io::Error::other("no answer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn sources_are_of_the_loopback_network_and_all_different() {
        let all: BTreeSet<_> = (1..=10_000).map(source).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(Ipv4Addr::is_loopback));
    }
}
