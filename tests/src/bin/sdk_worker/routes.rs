//! What can be asked of the worker by HTTP: each route makes it do one thing that a test wants to see done by a worker.

use std::{process::Stdio, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use ostler_tests::words::Note;
use ostler_worker_sdk::{
    Identity, Worker,
    bus::{
        client::Bus,
        vocab::{
            status::MasterStatus,
            update::{SystemRestartNeeded, WorkerRestartNeeded},
        },
    },
};
use serde::Serialize;
use serde_json::Value;

#[derive(Clone)]
struct Known {
    bus: Bus,
    identity: Identity,
    version: String,
}

/// The longest that `/slow` takes.
const SLOWEST: Duration = Duration::from_secs(10);

pub(super) fn router(worker: &Worker, version: String) -> Router {
    let known = Known {
        bus: worker.bus().clone(),
        identity: worker.identity().clone(),
        version,
    };
    Router::new()
        .route("/", get(who))
        .route("/slow/{ms}", get(slow))
        .route("/stall/{slot}/{ms}", get(stall))
        .route("/note/{text}", get(note))
        .route("/clones", get(clones))
        .route("/emit/{topic}", get(emit))
        .route("/restart", get(restart))
        .route("/restart/{app}", get(restart_other))
        .route("/system/{reason}", get(system))
        .route("/status", get(status))
        .route("/helper", get(helper))
        .route("/helper-of-the-same-kind", get(same_kind))
        .route("/leave", get(leave))
        .route("/crash", get(crash))
        .with_state(known)
}

/// Any value as JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

/// What came of something, for the test to look at.
fn told<T: Serialize>(result: Result<T, impl std::fmt::Display>) -> Json<Value> {
    Json(match result {
        Ok(value) => serde_json::json!({ "ok": value }),
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    })
}

async fn who(State(known): State<Known>) -> Json<Value> {
    let Identity {
        app,
        id,
        slot,
        generation,
    } = known.identity;
    Json(serde_json::json!({
        "pid": std::process::id(), "version": known.version,
        "app": app, "id": id, "slot": slot, "generation": generation,
    }))
}

async fn slow(state: State<Known>, Path(ms): Path<u64>) -> Json<Value> {
    println!("slow");
    tokio::time::sleep(Duration::from_millis(ms).min(SLOWEST)).await;
    who(state).await
}

/// The worker in this slot stands still, and all that it serves with it.
async fn stall(state: State<Known>, Path((slot, ms)): Path<(u32, u64)>) -> Json<Value> {
    if state.identity.slot.0 == slot {
        if ms >= 1000 {
            println!("stalls");
        }
        #[expect(clippy::disallowed_methods, reason = "it is to block its thread")]
        std::thread::sleep(Duration::from_millis(ms).min(SLOWEST));
    }
    who(state).await
}

async fn note(State(known): State<Known>, Path(text): Path<String>) -> Json<Value> {
    let note = Note::new(&text, u64::from(known.identity.slot.0));
    told(known.bus.emit_acked(&note).await)
}

/// Two clones of one handle emit one note each; the second after the first is dropped.
async fn clones(State(known): State<Known>) -> Json<Value> {
    let (one, other) = (known.bus.clone(), known.bus.clone());
    let first = one.emit_acked(&Note::new("one", one.conn())).await;
    drop(one);
    let second = other.emit_acked(&Note::new("other", other.conn())).await;
    told(first.and(second))
}

async fn emit(State(known): State<Known>, Path(topic): Path<String>) -> Json<Value> {
    let emission = known.bus.json(&topic, &serde_json::json!({}));
    told(emission.acked().await)
}

async fn restart(State(known): State<Known>) -> Json<Value> {
    let reason = Some("asked by a worker".into());
    let wish = WorkerRestartNeeded { app: None, reason };
    told(known.bus.emit_acked(&wish).await)
}

async fn restart_other(State(known): State<Known>, Path(app): Path<String>) -> Json<Value> {
    let wish = WorkerRestartNeeded {
        app: Some(app),
        reason: None,
    };
    told(known.bus.emit_acked(&wish).await)
}

async fn system(State(known): State<Known>, Path(reason): Path<String>) -> Json<Value> {
    let reason = Some(reason);
    told(known.bus.emit_acked(&SystemRestartNeeded { reason }).await)
}

async fn status(State(known): State<Known>) -> Json<Value> {
    told(known.bus.request(&MasterStatus::default()).await)
}

/// Starts a helper in the worker's process group that lives on, and shows what it inherited: descriptors, environment.
async fn helper() -> Json<Value> {
    let script = "ls -l /proc/self/fd; env; echo pid $$; exec sleep 60 >/dev/null 2>&1";
    let helper = tokio::process::Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    told(match helper {
        Ok(mut helper) => {
            let mut text = String::new();
            let mut stdout = helper.stdout.take().expect("piped");
            let read = tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut text).await;
            // It goes on by itself; what it holds is what the test looks at.
            read.map(|_| text)
        }
        Err(error) => Err(error),
    })
}

/// Starts its own program as a helper, with the environment it has itself, and shows how it ends.
async fn same_kind() -> Json<Value> {
    let helper = tokio::process::Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .status();
    told(helper.await.map(|status| status.to_string()))
}

/// Says that it goes of its own accord, and goes.
async fn leave(State(known): State<Known>) -> Json<Value> {
    let noted = known
        .bus
        .request(&ostler_worker_sdk::bus::vocab::worker::Disconnect {})
        .await;
    println!("leaving: {noted:?}");
    std::process::exit(7)
}

async fn crash() -> Json<Value> {
    std::process::abort()
}
