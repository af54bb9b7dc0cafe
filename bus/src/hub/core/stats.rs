//! Counting, where something happens anyway, and a snapshot of it all when somebody asks.
//!
//! A subscription counts for itself, a connection adds up those it had, and the hub those of connections that have gone:
//! nothing on the way of an event touches more than the queue it goes into.

use std::time::Instant;

use super::{
    Core,
    conn::{Conn, Peer, Phase, Sub},
    queue::Outbox,
};
use crate::{
    hub::stats::{
        ConnectionStats, Counts, HubStats, HubTotals, PAGE, StatsPage, SubscriptionStats,
    },
    wire::{control::OverflowPolicy, hello::Codec},
};

/// What the hub counts itself.
#[derive(Debug)]
pub(super) struct Ledger {
    began: Instant,
    pub(super) connected: u64,
    pub(super) turned_away: u64,
    pub(super) event_bytes: u64,
    pub(super) refused: u64,
    /// Of subscriptions of connections that have gone.
    gone: Counts,
}

impl Ledger {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            connected: 0,
            turned_away: 0,
            event_bytes: 0,
            refused: 0,
            gone: Counts::default(),
        }
    }

    /// Keeps what a connection that goes has counted.
    pub(super) fn bury(&mut self, outbox: &Outbox) {
        self.gone.add(outbox.counted());
    }
}

/// What waits for a subscription, of how much that may.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueState {
    pub(super) messages: (usize, usize),
    pub(super) bytes: (usize, usize),
    pub(super) counts: Counts,
}

impl Core {
    /// Counts what a connection published.
    pub(super) fn published(&mut self, peer: &Peer, events: u32, bytes: usize) {
        let (all, all_bytes) = peer.card.published.get();
        let bytes = if events > 0 { bytes as u64 } else { 0 };
        let published = &peer.card.published;
        published.set((all + u64::from(events), all_bytes + bytes));
        self.ledger.event_bytes += bytes;
    }

    /// Everything as it is at `now`, with a part of the connections.
    pub(in crate::hub) fn stats(&self, now: Instant, page: StatsPage) -> HubStats {
        let mut open: Vec<(u64, &Conn, &Peer)> = Vec::new();
        let (mut to_subscribers, mut subscriptions) = (self.ledger.gone, 0);
        for (id, conn) in &self.conns {
            to_subscribers.add(conn.outbox.counted());
            subscriptions += conn.subs.len() as u64;
            open.extend(conn.peer().map(|peer| (*id, &**conn, peer)));
        }
        let silent = |c: &Conn| matches!(c.phase, Phase::Greeting { .. } | Phase::Vouching { .. });
        let (connections, silent) = (
            open.len(),
            self.conns.values().filter(|c| silent(c)).count(),
        );
        open.retain(|(id, ..)| *id > page.after);
        open.sort_unstable_by_key(|(id, ..)| *id);
        let left = open.len();
        let peers = leaf(&open, page.most.min(PAGE), now);
        let (retained, retained_bytes) = self.retained.size();
        HubStats {
            hub: self.name.clone(),
            uptime_ms: millis(self.ledger.began, now),
            connections: connections as u64,
            silent: silent as u64,
            subscriptions,
            pending_requests: self.requests.waiting() as u64,
            retained: retained as u64,
            retained_bytes: retained_bytes as u64,
            memory: self.tally.total() as u64,
            memory_limit: self.limits.memory_bytes as u64,
            totals: HubTotals {
                connected: self.ledger.connected,
                turned_away: self.ledger.turned_away,
                events: self.seq.iter().sum(),
                event_bytes: self.ledger.event_bytes,
                requests: self.requests.begun(),
                refused: self.ledger.refused,
                to_subscribers,
                notices_missed: 0,
            },
            more: peers.len() < left,
            peers,
        }
    }
}

/// The first connections that have at most so many subscriptions, counting themselves; one at least.
fn leaf(open: &[(u64, &Conn, &Peer)], most: u32, now: Instant) -> Vec<ConnectionStats> {
    let mut room = most as usize;
    let mut peers = Vec::new();
    for (id, conn, peer) in open {
        let takes = 1 + conn.subs.len();
        if takes > room && !peers.is_empty() {
            break;
        }
        room = room.saturating_sub(takes);
        peers.push(connection(*id, conn, peer, now));
    }
    peers
}

fn connection(id: u64, conn: &Conn, peer: &Peer, now: Instant) -> ConnectionStats {
    let mut subs: Vec<_> = conn.subs.iter().collect();
    subs.sort_unstable_by_key(|(sub, _)| **sub);
    ConnectionStats {
        conn: id,
        origin: peer.card.origin.clone(),
        role: peer.principal.role().to_string(),
        up_ms: millis(conn.since, now),
        codec: match conn.codec {
            Codec::Postcard => "postcard".into(),
            Codec::Json => "json".into(),
        },
        published: peer.card.published.get().0,
        published_bytes: peer.card.published.get().1,
        asking: conn.asks.len() as u64,
        answering: conn.serves.len() as u64,
        unread_answers: conn.outbox.unread_answers().0 as u64,
        memory: conn.outbox.held() as u64,
        subscriptions: subs
            .into_iter()
            .filter_map(|(sub, state)| Some(subscription(*sub, state, conn.outbox.queue(*sub)?)))
            .collect(),
    }
}

fn subscription(sub: u32, state: &Sub, queue: QueueState) -> SubscriptionStats {
    SubscriptionStats {
        sub,
        pattern: state.pattern.to_string(),
        serves: state.serve,
        group: state.group.as_deref().map(str::to_owned),
        policy: policy(state.policy).into(),
        queued: queue.messages.0 as u64,
        queue_limit: queue.messages.1 as u64,
        queued_bytes: queue.bytes.0 as u64,
        queue_limit_bytes: queue.bytes.1 as u64,
        counts: queue.counts,
    }
}

fn policy(policy: OverflowPolicy) -> &'static str {
    match policy {
        OverflowPolicy::DropOldest => "drop-oldest",
        OverflowPolicy::DropNewest => "drop-newest",
        OverflowPolicy::KeepLatest => "keep-latest",
        OverflowPolicy::Backpressure { .. } => "backpressure",
        OverflowPolicy::Disconnect => "disconnect",
    }
}

fn millis(since: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX)
}
