//! The least that an SDK worker can be: ready at once, gone as soon as it is told to drain.

use ostler_worker_sdk::Worker;

pub(super) fn play(_: &[String]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let worker = Worker::start().await.map_err(|e| e.to_string())?;
        worker.ready().await.map_err(|e| e.to_string())?;
        worker.draining().begun().await;
        Ok(())
    })
}
