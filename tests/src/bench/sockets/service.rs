//! The worker program: a small service with the SDK, the same whoever starts it.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use ostler_worker_sdk::{Worker, http};
use tokio::runtime::{Builder, Runtime};

/// No worker outlives this, supervised or not.
const LONGEST: Duration = Duration::from_secs(600);

/// How long the worker in slot 0 stands still at `/stall`.
const STALL: Duration = Duration::from_millis(20);

/// The socket of a thread; that of the first is the app's.
pub(super) fn socket_name(thread: usize) -> String {
    match thread {
        0 => "http".into(),
        other => format!("http-{other}"),
    }
}

/// A role: serves in so many threads, each with a socket of its own. Outside Ostler it is in the slot that it is told.
pub(super) fn play(args: &[String]) -> Result<(), String> {
    let [slot, threads] = args else {
        return Err("usage: SLOT THREADS".into());
    };
    let slot = slot.parse().map_err(|_| "SLOT is no number")?;
    let threads: usize = threads.parse().map_err(|_| "THREADS is no number")?;
    runtime()?.block_on(async {
        let served = tokio::time::timeout(LONGEST, serve(slot, threads));
        served.await.map_err(|_| "has lived long enough")?
    })
}

pub(super) fn runtime() -> Result<Runtime, String> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|e| e.to_string())
}

async fn serve(slot: u32, threads: usize) -> Result<(), String> {
    let worker = Arc::new(Worker::start().await.map_err(|e| e.to_string())?);
    let slot = match worker.is_managed() {
        true => worker.identity().slot.0,
        false => slot,
    };
    let router = router(slot);
    for thread in 1..threads {
        let (worker, router) = (Arc::clone(&worker), router.clone());
        std::thread::spawn(move || beside(&worker, thread, router));
    }
    let listener = worker.listen(&socket_name(0), "127.0.0.1:0");
    let listener = listener.map_err(|e| e.to_string())?;
    worker.ready().await.map_err(|e| e.to_string())?;
    let served = worker.serve(listener, router).await;
    served.map_err(|e| e.to_string())
}

/// Another thread, which ends with the process.
fn beside(worker: &Worker, thread: usize, router: Router) -> Result<(), String> {
    runtime()?.block_on(async {
        let listener = worker.listen(&socket_name(thread), "127.0.0.1:0");
        let listener = listener.map_err(|e| e.to_string())?;
        let served = http::serve(listener, router, worker.draining()).await;
        served.map_err(|e| e.to_string())
    })
}

pub(super) fn router(slot: u32) -> Router {
    let who = format!("{{\"pid\":{},\"slot\":{slot}}}", std::process::id());
    let who: &'static str = who.leak();
    let answer = move || std::future::ready(([(CONTENT_TYPE, "application/json")], who));
    let stalled = move || {
        if slot == 0 {
            #[expect(clippy::disallowed_methods, reason = "it is to block its thread")]
            std::thread::sleep(STALL);
        }
        answer()
    };
    Router::new()
        .route("/", get(answer))
        .route("/stall", get(stalled))
}
