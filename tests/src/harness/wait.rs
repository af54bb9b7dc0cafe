//! Waits that end.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

/// How long a test waits for what should take a moment: generous, as it only costs time when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Awaits something that must come.
///
/// # Panics
/// If it hasn't come in time; with `what`.
#[track_caller]
pub fn deadline<T>(
    what: &str,
    within: Duration,
    future: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(within, future).await {
            Ok(value) => value,
            Err(_) => panic!("{place}: waited {within:?} for {what}"),
        }
    }
}

/// Looks again every 10 ms until `look` finds something: for what tells nobody when it changes, such as `/proc`. Where
/// there is an event to wait for, wait for it.
///
/// # Panics
/// If nothing was found in time; with `what`.
#[track_caller]
pub fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> impl Future<Output = T> {
    deadline(what, within, async move {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            if let Some(found) = look() {
                return found;
            }
        }
    })
}

/// A loopback address that was free a moment ago. Another process may take it first: where a program can bind port 0
/// itself and tell the result, let it.
///
/// # Panics
/// If the machine has no port left.
#[must_use]
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
}

/// The first of so many ports in a row that were free on this host a moment ago.
///
/// # Panics
/// If there is no such row.
#[must_use]
pub fn free_ports(host: Ipv4Addr, count: u16) -> u16 {
    for _ in 0..1000 {
        let first = TcpListener::bind((host, 0)).expect("a port");
        let base = first.local_addr().expect("an address").port();
        let next = |port: u16| TcpListener::bind((host, port)).ok();
        let row: Option<Vec<_>> = (1..count).map(|n| next(base.checked_add(n)?)).collect();
        if row.is_some() {
            return base;
        }
    }
    panic!("no {count} free ports in a row");
}
