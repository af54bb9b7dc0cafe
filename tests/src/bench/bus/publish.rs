//! Publishers.

use std::{path::Path, time::Duration};

use bytes::{BufMut, BytesMut};
use ostler_bus::{
    Bus, ConnectOptions, Event,
    transport::UnixTransport,
    wire::{
        FrameType,
        data::{self, Payload},
        frame,
    },
};

use super::{
    Sample,
    bare::{BUFFER, Bare},
    credit::Credits,
};
use crate::bench::roles;

/// An event loop turns over after so many emits: as an app's does that awaits something else now and then.
const TURN: u64 = 512;

/// How long the hub may take for what is left at the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls the bus client's `emit` once for each event.
pub(super) fn client(socket: &Path, events: u64, credits: &Credits) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let options = ConnectOptions::client("publisher").once();
        let bus = Bus::connect(UnixTransport::new(socket), options)
            .await
            .map_err(|e| e.to_string())?;
        for number in 0..events {
            if number % TURN == 0 {
                tokio::task::yield_now().await;
                credits.for_event(number + TURN).await?;
            }
            let emitted = bus.emit(&Sample::new(number)).await;
            emitted.map_err(|e| e.to_string())?;
        }
        bus.drain(PATIENCE).await.map_err(|e| e.to_string())
    })
}

/// Writes buffers of ready-made frames.
pub(super) fn bare(socket: &Path, events: u64, credits: &Credits) -> Result<(), String> {
    let mut bare = Bare::connect(socket, "publisher")?;
    let (frames, count) = buffer();
    let size = frames.len() / count;
    let mut number = 0;
    while number < events {
        let now = (events - number).min(count as u64);
        futures::executor::block_on(credits.for_event(number + now))?;
        bare.write(&frames[..now as usize * size])?;
        number += now;
    }
    Ok(())
}

/// A role: writes buffers of ready-made frames to the bus whose path is its argument, as fast as the hub takes them.
pub(super) fn flood(args: &[String]) -> Result<(), String> {
    let [socket] = args else {
        return Err("usage: SOCKET".into());
    };
    roles::end_with_stdin();
    let mut bare = Bare::connect(Path::new(socket), "flood")?;
    let (frames, _) = buffer();
    loop {
        bare.write(&frames)?;
    }
}

/// A buffer of frames with 64 bytes each, and how many there are.
fn buffer() -> (BytesMut, usize) {
    let mut frames = BytesMut::with_capacity(BUFFER);
    let mut count = 0;
    loop {
        let at = frame::begin(&mut frames, FrameType::Emit, 0);
        data::put_emit(&mut frames, Payload::Bytes, Sample::TOPIC, None);
        frames.put_bytes(b'x', super::PAYLOAD);
        frame::end(&mut frames, at);
        count += 1;
        if frames.len() + frames.len() / count > BUFFER {
            return (frames, count);
        }
    }
}
