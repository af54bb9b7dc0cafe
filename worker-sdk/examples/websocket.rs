//! A chat by WebSocket, and HTTP/1.1 and HTTP/2 beside it on one port: an update loses no request, and tells each client to connect again.
//!
//! ```sh
//! cargo build -p ostler-worker-sdk --features ws --example websocket
//! ostler run -n chat -i 4 -l http=127.0.0.1:8080 -- target/debug/examples/websocket
//!
//! curl localhost:8080/                                    # HTTP/1.1
//! curl --http2-prior-knowledge localhost:8080/slow/5000   # HTTP/2; an update waits for the answer
//! websocat ws://localhost:8080/chat                       # what one says, all hear, whichever worker they are at …
//! ostler reload                                           # … and 1012 (service restart) when theirs is replaced
//! ```

use std::time::Duration;

use axum::{
    Router,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes},
    },
    response::Response,
    routing::{any, get},
};
use ostler_worker_sdk::{
    Event, Worker,
    bus::client::Bus,
    http::ws::{Farewell, Socket},
};
use serde::{Deserialize, Serialize};

/// Somebody has said something.
#[derive(Clone, Debug, Serialize, Deserialize, Event)]
#[event(topic = "chat.said")]
struct Said {
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let worker = Worker::start().await?;
    let listener = worker.listen("http", "127.0.0.1:8080")?;
    let identity = worker.identity();
    let name = format!(
        "slot {}, generation {}\n",
        identity.slot, identity.generation
    );
    let slow = name.clone();
    let routes = Router::new()
        .route("/", get(async || name))
        // So that updates find something under way.
        .route(
            "/slow/{ms}",
            get(async |Path(ms): Path<u64>| {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                slow
            }),
        )
        .route("/chat", any(connect))
        .with_state(worker.bus().clone());
    println!("serving on {}", listener.address());
    worker.ready().await?;
    worker.serve(listener, routes).await?; // until told to drain, and done with that
    worker.finish().await?;
    Ok(())
}

/// With a farewell the client is told when this worker goes; without, its connection would just end.
async fn connect(upgrade: WebSocketUpgrade, farewell: Farewell, bus: State<Bus>) -> Response {
    upgrade.on_upgrade(|socket| farewell.serve(socket, |socket| chat(socket, bus.0)))
}

/// Ends when the client or this worker goes.
async fn chat(mut socket: Socket, bus: Bus) {
    let Ok(mut said) = bus.subscribe::<Said>().await else {
        return;
    };
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    let said = Said { text: text.to_string() };
                    if let Err(error) = bus.emit(&said).await {
                        tracing::warn!("nobody hears {text:?}: {error}");
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            Some(heard) = said.next_event() => {
                // Not taken any more: what the client still says is heard all the same.
                let _closing = socket.send(Message::Text(Utf8Bytes::from(heard.event.text))).await;
            }
        }
    }
}
