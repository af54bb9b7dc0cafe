//! A worker that answers datagrams: with its slot, its id, and what was asked.

use ostler_worker_sdk::Worker;

use super::Failure;

/// Answers until it is told to drain. What it has taken it answers; what it hasn't is its successor's.
pub(super) async fn live(worker: Worker) -> Result<(), Failure> {
    let socket = worker.udp("dns", "127.0.0.1:0")?;
    let (slot, id) = (worker.identity().slot, worker.identity().id);
    worker.ready().await?;
    let mut signal = worker.draining();
    let mut bytes = [0; 2048];
    loop {
        let (length, from) = tokio::select! {
            biased;
            _ = signal.begun() => break,
            received = socket.recv_from(&mut bytes) => received?,
        };
        let asked = String::from_utf8_lossy(&bytes[..length]);
        let answer = format!("{slot} {id} {asked}");
        // Who asked may be gone.
        let _gone = socket.send_to(answer.as_bytes(), from).await;
    }
    worker.finish().await?;
    println!("bye");
    Ok(())
}
