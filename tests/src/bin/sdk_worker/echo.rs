//! Gives back all that a connection says, behind a line that says who answers, and for whom.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ostler_worker_sdk::{Connection, Listener, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Nobody stands still for longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Until it is to drain. With `lower`, the worker in slot 0 stands still at its first connection until there is that file, and from then on
/// wants no more than that one. With `header`, each connection begins with one of the PROXY protocol, which is read.
pub(super) async fn live(
    worker: &Worker,
    mut listener: Listener,
    header: bool,
    lower: Option<&Path>,
) -> Result<(), super::Failure> {
    let slot = worker.identity().slot.0;
    let mut lower = lower.filter(|_| slot == 0);
    let mut draining = worker.draining();
    let mut open = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = draining.begun() => break,
        };
        if let Some(go) = lower.take() {
            stand_still(go);
            listener.set_max_connections(1);
        }
        open.spawn(async move {
            if let Err(error) = answer(accepted, slot, header).await {
                eprintln!("sdk_worker: a connection has failed: {error}");
            }
        });
    }
    while open.join_next().await.is_some() {}
    Ok(())
}

/// Stands still, whatever comes meanwhile, until there is this file.
fn stand_still(until: &Path) {
    println!("stands still");
    let began = Instant::now();
    while !until.exists() && began.elapsed() < LONGEST {
        #[expect(clippy::disallowed_methods, reason = "it is to block its thread")]
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn answer(mut connection: Connection, slot: u32, header: bool) -> std::io::Result<()> {
    let client = match header {
        true => connection.read_proxy_header().await?.source,
        false => None,
    };
    let client = client.map_or_else(|| "nobody".into(), |client| client.ip().to_string());
    let mut said = Vec::new();
    connection.read_to_end(&mut said).await?;
    let line = format!("{slot} for {client}\n");
    connection.write_all(line.as_bytes()).await?;
    connection.write_all(&said).await?;
    connection.shutdown().await
}
