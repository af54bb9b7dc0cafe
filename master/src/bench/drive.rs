//! What this process does in each step: publish, ask, connect.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use ostler_bus::client::Bus;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    Echo, PACE, PATIENCE, SIZES, TOPIC,
    credit::{Credits, STRIDE},
    report::Percentiles,
    role::{Player, Role, connect},
};

/// Starts a hub on `socket`, alone there.
async fn hub(socket: &Path) -> Result<Player, String> {
    // The one before was killed.
    let _none = std::fs::remove_file(socket);
    ready(Role::Hub, socket).await
}

/// Starts a part, and waits until it says that it is ready.
async fn ready(role: Role, socket: &Path) -> Result<Player, String> {
    let mut player = Player::start(role, socket)?;
    player.line().await?;
    Ok(player)
}

/// Events of so many bytes to so many subscribers, for as long as said: deliveries a second.
pub(super) async fn deliveries(
    socket: &Path,
    subscribers: usize,
    bytes: usize,
    lasts: Duration,
) -> Result<f64, String> {
    let _hub = hub(socket).await?;
    let (mut players, mut outputs) = (Vec::new(), Vec::new());
    for _ in 0..subscribers {
        let (player, output) = Player::start(Role::Reader, socket)?.split();
        players.push(player);
        outputs.push(output);
    }
    let mut credits = timeout(PATIENCE, Credits::hear(outputs, bytes))
        .await
        .map_err(|_| "the subscribers were not ready in time")??;
    let bus = connect(socket, "publisher").await?;
    let payload = Bytes::from(vec![b'x'; bytes]);
    let begun = Instant::now();
    let mut published = 0;
    while begun.elapsed() < lasts {
        credits.for_more(published).await?;
        for _ in 0..STRIDE {
            emit(&bus, &payload).await?;
        }
        published += STRIDE;
        // As in a program that does other things too.
        tokio::task::yield_now().await;
    }
    timeout(PATIENCE, credits.read(published))
        .await
        .map_err(|_| "the last events did not arrive")??;
    let deliveries = published * subscribers as u64;
    Ok(deliveries as f64 / begun.elapsed().as_secs_f64())
}

async fn emit(bus: &Bus, payload: &Bytes) -> Result<(), String> {
    let emitted = bus.emit_bytes(TOPIC, payload.clone()).await;
    emitted.map_err(|e| e.to_string())
}

/// Events that carry the time, at an even pace: how old they were when they were read.
pub(super) async fn latency(socket: &Path, lasts: Duration) -> Result<Percentiles, String> {
    let _hub = hub(socket).await?;
    let mut clock = ready(Role::Clock, socket).await?;
    let bus = connect(socket, "publisher").await?;
    let mut payload = vec![b'x'; SIZES[0]];
    let mut pace = interval(Duration::from_secs(1) / PACE as u32);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun = Instant::now();
    while begun.elapsed() < lasts {
        pace.tick().await;
        payload[..8].copy_from_slice(&super::now().to_be_bytes());
        emit(&bus, &Bytes::copy_from_slice(&payload)).await?;
    }
    payload[..8].fill(0);
    emit(&bus, &payload.into()).await?;
    let told = clock.line().await?;
    serde_json::from_str(&told).map_err(|e| e.to_string())
}

/// Requests one after the other: how long each took.
pub(super) async fn requests(socket: &Path, lasts: Duration) -> Result<Percentiles, String> {
    let _hub = hub(socket).await?;
    let _answerer = ready(Role::Answerer, socket).await?;
    let bus = connect(socket, "asker").await?;
    let mut took = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < lasts {
        let question = Echo {
            values: [took.len() as f64; 8],
        };
        let asked = super::now();
        let answer = bus.request(&question).await.map_err(|e| e.to_string())?;
        took.push(super::now() - asked);
        if answer.values != question.values {
            return Err("an answer is not that to its question".into());
        }
    }
    Percentiles::of(took).ok_or_else(|| "no request was answered".into())
}

/// Connections one after the other, each with its handshake: how many a second.
pub(super) async fn connects(socket: &Path, lasts: Duration) -> Result<f64, String> {
    let _hub = hub(socket).await?;
    let begun = Instant::now();
    let mut connected = 0_u64;
    while begun.elapsed() < lasts {
        drop(connect(socket, "comer").await?);
        connected += 1;
    }
    Ok(connected as f64 / begun.elapsed().as_secs_f64())
}
