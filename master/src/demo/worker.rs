//! The demo's worker: a small web service as an app would write it, with the SDK and nothing else.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | which worker answered |
//! | `POST /greet` | emits `demo.greeting`, which every worker hears and confirms with `demo.heard` |
//! | `GET /status` | the state of the whole fleet, asked over the bus |
//! | `POST /restart` | this worker asks for a rolling update of its own app |

use std::process::ExitCode;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use ostler_bus::{
    client::{Bus, Delivery, Subscription},
    vocab::{
        status::{MasterStatus, StatusReport},
        update::WorkerRestartNeeded,
    },
};
use ostler_worker_sdk::{Identity, Worker};
use serde_json::{Value, json};

use super::{
    SOCKET,
    events::{Greeting, Heard, now_us},
};

/// The worker's process, from its start to its exit code.
pub(crate) fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(serve()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Debug)]
struct App {
    bus: Bus,
    identity: Identity,
}

type Failed = (StatusCode, String);

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let worker = Worker::start().await?;
    let listener = worker.listen(SOCKET, "127.0.0.1:0")?;
    let app = App {
        bus: worker.bus().clone(),
        identity: worker.identity().clone(),
    };
    let greetings = app.bus.subscribe::<Greeting>().await?;
    tokio::spawn(hear(greetings, app.clone()));
    let router = Router::new()
        .route("/", get(who))
        .route("/greet", post(greet))
        .route("/status", get(status))
        .route("/restart", post(restart))
        .with_state(app);
    worker.ready().await?;
    worker.serve(listener, router).await?;
    worker.finish().await?;
    Ok(())
}

/// Every worker hears every greeting, its own too.
async fn hear(mut greetings: Subscription<Greeting>, app: App) {
    while let Some(delivery) = futures::StreamExt::next(&mut greetings).await {
        let Delivery::Event(greeting) = delivery else {
            continue;
        };
        let heard = Heard {
            slot: app.identity.slot.0,
            from_slot: greeting.event.from_slot,
            after_us: now_us().saturating_sub(greeting.event.at_us),
        };
        if let Err(error) = app.bus.emit(&heard).await {
            eprintln!("{error}");
        }
    }
}

async fn who(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "slot": app.identity.slot.0,
        "worker": app.identity.id.0,
        "generation": app.identity.generation.0,
        "pid": std::process::id(),
    }))
}

async fn greet(State(app): State<App>) -> Result<Json<Value>, Failed> {
    let greeting = Greeting {
        from_slot: app.identity.slot.0,
        text: "hello from one of us".into(),
        at_us: now_us(),
    };
    let subscribers = app.bus.emit_acked(&greeting).await.map_err(failed)?;
    Ok(Json(json!({
        "greeted_by_slot": greeting.from_slot,
        "subscribers": subscribers,
    })))
}

async fn status(State(app): State<App>) -> Result<Json<StatusReport>, Failed> {
    let report = app.bus.request(&MasterStatus { id: None }).await;
    report.map(Json).map_err(failed)
}

async fn restart(State(app): State<App>) -> Result<Json<Value>, Failed> {
    let wish = WorkerRestartNeeded {
        app: None,
        reason: Some(format!("slot {} was asked to", app.identity.slot)),
    };
    app.bus.emit(&wish).await.map_err(failed)?;
    Ok(Json(json!({ "asked_by_slot": app.identity.slot.0 })))
}

fn failed(error: impl std::fmt::Display) -> Failed {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
}
