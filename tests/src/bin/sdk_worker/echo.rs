//! Gives back all that a connection says, behind a line that says who answers, and for whom.

use ostler_worker_sdk::{Connection, Listener, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Until it is to drain. With `header`, each connection begins with one of the PROXY protocol, which is read.
pub(super) async fn live(
    worker: &Worker,
    mut listener: Listener,
    header: bool,
) -> Result<(), super::Failure> {
    let slot = worker.identity().slot.0;
    let mut draining = worker.draining();
    let mut open = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = draining.begun() => break,
        };
        open.spawn(async move {
            if let Err(error) = answer(accepted, slot, header).await {
                eprintln!("sdk_worker: a connection has failed: {error}");
            }
        });
    }
    while open.join_next().await.is_some() {}
    Ok(())
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
