//! Tells whoever started the master, by sd_notify, how it is: `READY=1` once its apps have started (or failed to),
//! `RELOADING=1` and `READY=1` around updates, `STOPPING=1` when it begins to end, `WATCHDOG=1` as often as was asked for,
//! `STATUS=` when it changes, and `EXTEND_TIMEOUT_USEC=` while any of it takes its time.
//!
//! Nothing of it is there unless the master finds `NOTIFY_SOCKET` in its environment. Its workers never see that variable:
//! they have one of their own.

mod manager;

use std::{sync::atomic::Ordering, time::Duration};

use futures::{Stream, StreamExt as _, stream::SelectAll};
use ostler_bus::{
    OpId,
    client::{Bus, Delivery, SubscribeError, Subscription},
    vocab::{
        commands::AppAwait,
        control::{Answer, OperationFinished},
    },
};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

pub use manager::ServiceManager;

use super::Settling;
use crate::{
    fleet::{Command, Snapshot},
    shell::ShellHandle,
};

/// While its apps start, are updated or end, more time is asked for so often: a fleet of many takes its time, and each worker
/// has limits of its own (`start_timeout`, `kill_ladder`).
const PATIENCE_EVERY: Duration = Duration::from_secs(10);

/// What changes how things stand, besides updates.
const OTHERS: [&str; 4] = ["worker.ready", "worker.exited", "app.resized", "app.failed"];

/// How often at most it is told how things stand.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// So many events are taken for one.
const AT_ONCE: usize = 1024;

/// Runs until the bus goes, or the master ends.
///
/// # Errors
/// If the hub refuses a subscription.
pub async fn run(
    bus: Bus,
    shell: ShellHandle,
    manager: &ServiceManager,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let finished = bus.subscribe::<OperationFinished>().await?;
    let updates = bus.subscribe_raw("update.*").await?;
    let mut others = SelectAll::new();
    for topic in OTHERS {
        others.push(bus.subscribe_raw(topic).await?);
    }
    drop(settling);
    let mut ending = shell.ending();
    tokio::select! {
        biased;
        () = async { drop(ending.wait_for(|ending| *ending).await) } => {
            manager.stopping();
            tokio::select! {
                () = last_workers(&shell, manager) => {}
                () = pulse(&shell, manager) => {}
            }
        }
        () = tell(&shell, manager, finished, (updates, others.ready_chunks(AT_ONCE))) => {}
        () = pulse(&shell, manager) => {}
    }
    Ok(())
}

/// Asks for time while workers finish what they have, until the shell has ended.
async fn last_workers(shell: &ShellHandle, manager: &ServiceManager) {
    let mut tick = interval_at(Instant::now() + PATIENCE_EVERY, PATIENCE_EVERY);
    loop {
        tick.tick().await;
        let Some(snapshot) = shell.snapshot().await else {
            return;
        };
        if snapshot.workers.iter().any(|worker| worker.id.is_some()) {
            manager.ask_for_time();
        }
    }
}

/// Until the shell or the bus ends.
async fn tell(
    shell: &ShellHandle,
    manager: &ServiceManager,
    finished: Subscription<OperationFinished>,
    (mut updates, mut others): (impl Stream + Unpin, impl Stream + Unpin),
) {
    if !manager.ready.load(Ordering::Acquire) {
        tokio::select! {
            () = started(shell, finished) => {}
            () = keep_asking(manager) => {}
        }
        let Some(now) = shell.snapshot().await else {
            return;
        };
        let status = status(&now);
        manager.make_heard(&format!("READY=1\n{status}")).await;
        manager.says(status);
        manager.ready.store(true, Ordering::Release);
    }
    let mut patience = interval(PATIENCE_EVERY);
    // Whatever is heard, or was missed: what counts is how things stand now.
    while let Some(now) = shell.snapshot().await {
        let looked = Instant::now();
        let updating = is_updating(&now);
        match (manager.reloading.swap(updating, Ordering::AcqRel), updating) {
            (false, true) => {
                patience.reset();
                let micros = monotonic_micros();
                let status = "STATUS=workers are being replaced";
                let reloading = format!("RELOADING=1\nMONOTONIC_USEC={micros}\n{status}");
                manager.make_heard(&reloading).await;
                manager.says(status.into());
            }
            (true, false) => {
                let status = status(&now);
                manager.make_heard(&format!("READY=1\n{status}")).await;
                manager.says(status);
            }
            (false, false) => {
                let status = status(&now);
                if manager.says(status.clone()) {
                    manager.tell(&status);
                }
            }
            (true, true) => {}
        }
        let paced = async {
            let heard = others.next().await;
            tokio::time::sleep_until(looked + STATUS_EVERY).await;
            heard.is_some()
        };
        let goes_on = tokio::select! {
            heard = updates.next() => heard.is_some(),
            heard = paced => heard,
            // Whoever waits for the update has a limit of its own.
            _ = patience.tick(), if updating => {
                manager.ask_for_time();
                true
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Waits until each app that is to run has started, or has failed to.
async fn started(shell: &ShellHandle, mut finished: Subscription<OperationFinished>) {
    let wait = Command::Await(AppAwait { app: None });
    let Answer::Accepted { op } = shell.command(wait).await else {
        // There are none.
        return;
    };
    let ends = |delivery: &Delivery<OperationFinished>, op: OpId| match delivery {
        Delivery::Event(event) => event.event.op == op,
        // It may have been among them.
        Delivery::Lagged { .. } | Delivery::Disconnected(_) => true,
        Delivery::Misfit { .. } | Delivery::Reconnected { .. } => false,
    };
    while let Some(delivery) = finished.next().await {
        if ends(&delivery, op) {
            return;
        }
    }
}

async fn keep_asking(manager: &ServiceManager) {
    let mut tick = interval_at(Instant::now() + PATIENCE_EVERY, PATIENCE_EVERY);
    loop {
        tick.tick().await;
        manager.ask_for_time();
    }
}

/// Tells that the master lives: each time its main loop has answered. Nothing wakes a master of which this wasn't asked.
async fn pulse(shell: &ShellHandle, manager: &ServiceManager) {
    let Some(within) = manager.watchdog else {
        return std::future::pending().await;
    };
    let mut tick = interval(within / 2);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if shell.snapshot().await.is_some() && manager.ready.load(Ordering::Acquire) {
            manager.tell("WATCHDOG=1");
        }
    }
}

fn is_updating(now: &Snapshot) -> bool {
    let mut states = now.apps.iter().map(|app| app.state.as_str());
    states.any(|state| matches!(state, "updating" | "rolling back"))
}

/// How things stand, for `systemctl status`.
fn status(now: &Snapshot) -> String {
    let apps = &now.apps;
    let (ready, all) = apps.iter().fold((0, 0), |(ready, all), app| {
        (ready + app.ready, all + app.instances)
    });
    let s = if apps.len() == 1 { "" } else { "s" };
    format!(
        "STATUS={} app{s}, {ready} of {all} workers ready",
        apps.len()
    )
}

fn monotonic_micros() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}
