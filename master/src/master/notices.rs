//! What the hub notices of its connections.

use ostler_bus::{
    client::Bus,
    hub::{HubNotice, Notices, Principal},
};
use tokio::sync::watch;

use crate::{
    escape,
    features::{
        bus_lagged,
        logs::{Lines, Listeners},
    },
    fleet::WorkerNews,
    shell::ShellHandle,
};

/// It is news for the fleet, or a line for the log.
pub(super) async fn pass_on(
    mut notices: Notices,
    shell: ShellHandle,
    voice: watch::Receiver<Bus>,
    lines: Lines,
) {
    let mut missed_before = 0;
    let mut listeners = Listeners::default();
    while let Some(notice) = notices.recv().await {
        let missed = notices.missed();
        if missed > missed_before {
            tracing::warn!(
                "{} notices of the hub were lost: it makes more than this process can take",
                missed - missed_before
            );
            missed_before = missed;
            // Among them may have been the first who listens.
            lines.heard.set_wanted(true);
        }
        match notice {
            HubNotice::Connected {
                principal: Principal::Worker { id, .. },
                ..
            } => shell.news(id, WorkerNews::BusConnected).await,
            HubNotice::Disconnected {
                principal: Principal::Worker { id, .. },
                reason,
                ..
            } => {
                tracing::debug!("worker {id} left the bus: {}", escape::line(&reason));
                shell.news(id, WorkerNews::BusClosed).await;
            }
            HubNotice::Connected { conn, principal } => {
                tracing::debug!("connection {conn}: {principal}");
            }
            HubNotice::Disconnected {
                conn,
                principal,
                reason,
            } => tracing::debug!(
                "connection {conn} ended: {principal}: {}",
                escape::line(&reason)
            ),
            HubNotice::TurnedAway { reason } => {
                tracing::warn!("turned away from the bus: {}", escape::line(&reason));
            }
            HubNotice::Lagged {
                conn,
                principal,
                pattern,
                missed,
            } => {
                tracing::warn!(
                    "{principal} reads {pattern} too slowly: {missed} events were dropped for it"
                );
                bus_lagged::tell(&voice.borrow(), conn, &principal, &pattern, missed);
            }
            HubNotice::Listening { pattern, begun } => {
                lines.heard.set_wanted(listeners.note(&pattern, begun));
            }
            HubNotice::Restarted { panic } => {
                listeners = Listeners::default();
                lines.heard.set_wanted(false);
                tracing::error!(
                    "the hub began anew after a fault of its own, all its connections were closed: {}",
                    escape::line(&panic)
                );
                // They are told to go by signal from now on.
                shell.hub_restarted().await;
            }
        }
    }
}
