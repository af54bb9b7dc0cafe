//! Keeps the [chronicle](crate::chronicle): what the master tells of its fleet is written down as it comes, by a thread that
//! is there only while there is something to write. A disk that doesn't take it delays nobody: what then comes too fast is
//! dropped, counted and noted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream::SelectAll};
use ostler_bus::client::{Bus, Delivery, Payload, SubscribeError};
use tokio::sync::watch;

use super::Settling;
use crate::{
    chronicle::{Entry, TOPICS, Writer},
    home::{MasterName, StateDir},
};

/// Events written at once, when many are there.
const AT_ONCE: usize = 64;

/// A chronicle being written. Cheap to clone: the feature may begin anew.
#[derive(Clone, Debug)]
pub struct Pen(Arc<Mutex<Writer>>);

impl Pen {
    /// Begins one; `None`, and why in the log, if there is no place for it.
    #[must_use]
    pub fn take_up(master: &MasterName) -> Option<Self> {
        let begun = StateDir::of_this_process().and_then(|state| Writer::begin(&state, master));
        begun
            .map(|writer| Self(Arc::new(Mutex::new(writer))))
            .map_err(|error| {
                tracing::warn!("no chronicle is kept, and `ostler why` will know nothing: {error}");
            })
            .ok()
    }

    /// Does something with the writer where the disk may be waited for.
    async fn write(&self, what: impl FnOnce(&mut Writer) + Send + 'static) {
        let writer = Arc::clone(&self.0);
        let write = move || what(&mut writer.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = tokio::task::spawn_blocking(write).await {
            tracing::error!("the chronicle was not written: {error}");
        }
    }

    /// The last word, once the `feature` has heard all there was; within this time, or never.
    pub async fn put_down(self, code: u8, mut feature: watch::Receiver<Bus>, at_most: Duration) {
        let ended = async {
            while feature.changed().await.is_ok() {}
            self.write(move |writer| writer.end(code)).await;
        };
        if tokio::time::timeout(at_most, ended).await.is_err() {
            tracing::warn!("the end of the chronicle was not written: the disk doesn't answer");
        }
    }
}

/// Runs until the bus goes.
///
/// # Errors
/// If the hub refuses a subscription.
pub async fn run(bus: Bus, pen: Pen, settling: Option<Settling>) -> Result<(), SubscribeError> {
    let mut events = SelectAll::new();
    for topic in TOPICS {
        events.push(bus.subscribe_raw(topic).await?);
    }
    drop(settling);
    let mut batches = events.ready_chunks(AT_ONCE);
    while let Some(mut batch) = batches.next().await {
        // They come by several ways, and belong in the order in which they happened.
        batch.sort_by_key(number);
        let entries: Vec<Entry> = batch.iter().filter_map(entry).collect();
        if !entries.is_empty() {
            pen.write(move |writer| writer.write(&entries)).await;
        }
    }
    Ok(())
}

fn number(delivery: &Delivery<Payload>) -> Option<u64> {
    match delivery {
        Delivery::Event(event) => Some(event.seq),
        Delivery::Lagged { .. }
        | Delivery::Misfit { .. }
        | Delivery::Reconnected { .. }
        | Delivery::Disconnected(_) => None,
    }
}

fn entry(delivery: &Delivery<Payload>) -> Option<Entry> {
    match delivery {
        Delivery::Event(event) => Some(match event.event.to_json() {
            Ok(json) => Entry::Event {
                topic: event.topic.to_string(),
                json,
            },
            Err(error) => {
                tracing::debug!("{} was not written down: {error}", event.topic);
                Entry::Lost(1)
            }
        }),
        Delivery::Lagged { missed } => Some(Entry::Lost(*missed)),
        Delivery::Misfit { .. } => Some(Entry::Lost(1)),
        Delivery::Reconnected { .. } | Delivery::Disconnected(_) => None,
    }
}
