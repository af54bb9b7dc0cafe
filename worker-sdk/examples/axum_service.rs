//! A web service of several workers: one port, one bus, one typed event in and out.
//!
//! ```sh
//! cargo build -p ostler-worker-sdk --examples
//! ostler run -n shop -i 4 -l http=127.0.0.1:8080 -- target/debug/examples/axum_service
//!
//! curl -X POST localhost:8080/orders      # one worker takes the order …
//! curl localhost:8080/orders              # … and every worker knows of it
//! curl localhost:8080/status              # the state of the fleet, as JSON
//! curl -X POST localhost:8080/restart     # a worker asks for a rolling update; nobody notices
//! ```
//!
//! Started by itself, it serves the same on the same port; its events then stay with it, and there is no fleet to ask for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use ostler_worker_sdk::{
    Event, Worker,
    bus::{
        client::{Bus, Subscription},
        vocab::{
            status::{MasterStatus, StatusReport},
            update::WorkerRestartNeeded,
        },
    },
};
use serde::{Deserialize, Serialize};

/// Somebody has ordered something.
#[derive(Clone, Debug, Serialize, Deserialize, Event)]
#[event(topic = "orders.created")]
struct OrderCreated {
    /// Which slot took the order.
    taken_by: u32,
    /// Its price, in cents.
    total: u64,
}

/// What every request may use.
#[derive(Clone)]
struct Shop {
    bus: Bus,
    slot: u32,
    /// Orders heard of, whoever took them.
    orders: Arc<AtomicU64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let worker = Worker::start().await?;
    let listener = worker.listen("http", "127.0.0.1:8080")?;
    let shop = Shop {
        bus: worker.bus().clone(),
        slot: worker.identity().slot.0,
        orders: Arc::default(),
    };
    // Before saying ready: from here on no order is missed.
    let orders = worker.bus().subscribe::<OrderCreated>().await?;
    tokio::spawn(count(orders, Arc::clone(&shop.orders)));
    let routes = Router::new()
        .route("/orders", get(orders_so_far).post(order))
        .route("/status", get(status))
        .route("/restart", post(restart))
        .with_state(shop);
    println!("serving on {}", listener.address());
    worker.ready().await?;
    worker.serve(listener, routes).await?; // until told to drain, and done with that
    worker.finish().await?;
    Ok(())
}

/// Orders come in from all workers, this one too.
async fn count(mut created: Subscription<OrderCreated>, orders: Arc<AtomicU64>) {
    while let Some(order) = created.next_event().await {
        orders.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("{} cents, says {:?}", order.event.total, order.origin);
    }
}

async fn orders_so_far(State(shop): State<Shop>) -> String {
    let orders = shop.orders.load(Ordering::Relaxed);
    format!("slot {} knows of {orders} orders\n", shop.slot)
}

async fn order(State(shop): State<Shop>) -> Result<String, Failed> {
    let order = OrderCreated {
        taken_by: shop.slot,
        total: 995,
    };
    // Answered when the hub has it: the customer's next question finds it known.
    let heard_by = shop.bus.emit_acked(&order).await.map_err(failed)?;
    Ok(format!(
        "slot {} took it, {heard_by} heard of it\n",
        shop.slot
    ))
}

async fn status(State(shop): State<Shop>) -> Result<Json<StatusReport>, Failed> {
    let report = shop.bus.request(&MasterStatus { id: None }).await;
    report.map(Json).map_err(failed)
}

async fn restart(State(shop): State<Shop>) -> Result<&'static str, Failed> {
    let wish = WorkerRestartNeeded {
        app: None, // this worker's own
        reason: Some("asked for over HTTP".into()),
    };
    shop.bus.emit(&wish).await.map_err(failed)?;
    Ok("asked for\n")
}

type Failed = (StatusCode, String);

/// The bus's errors say what to do about them.
fn failed(error: impl std::fmt::Display) -> Failed {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
}
