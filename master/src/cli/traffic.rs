//! Rates: what two snapshots of a bus say about the time between them. Pure.

use std::collections::HashMap;

use ostler_bus::hub::{ConnectionStats, HubStats, SubscriptionStats};

/// A bus now, and how fast it goes.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    pub(super) now: HubStats,
    /// Seconds between the two; `None`: there is nothing to compare with.
    seconds: Option<f64>,
    totals: Counted,
    conns: HashMap<u64, Counted>,
    subs: HashMap<(u64, u32), u64>,
}

/// What counters said before.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    published: u64,
    delivered: u64,
}

/// Events a second of a whole bus; `None`: not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TotalRates {
    pub(super) events: Option<f64>,
    pub(super) delivered: Option<f64>,
}

/// Events a second of a connection; `None`: not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    pub(super) published: Option<f64>,
    pub(super) delivered: Option<f64>,
}

fn delivered(peer: &ConnectionStats) -> u64 {
    peer.subscriptions.iter().map(|s| s.counts.delivered).sum()
}

impl Traffic {
    /// What changed from `before` to `now`. A hub that began anew in between can't be compared.
    pub(super) fn between(before: Option<&HubStats>, now: HubStats) -> Self {
        let before = before.filter(|before| before.uptime_ms < now.uptime_ms);
        let mut traffic = Self {
            seconds: before.map(|before| (now.uptime_ms - before.uptime_ms) as f64 / 1e3),
            now,
            totals: Counted::default(),
            conns: HashMap::new(),
            subs: HashMap::new(),
        };
        if let Some(before) = before {
            traffic.remember(before);
        }
        traffic
    }

    fn remember(&mut self, before: &HubStats) {
        self.totals = Counted {
            published: before.totals.events,
            delivered: before.totals.to_subscribers.delivered,
        };
        for peer in &before.peers {
            let counted = Counted {
                published: peer.published,
                delivered: delivered(peer),
            };
            self.conns.insert(peer.conn, counted);
            for sub in &peer.subscriptions {
                self.subs.insert((peer.conn, sub.sub), sub.counts.delivered);
            }
        }
    }

    fn rate(&self, before: u64, now: u64) -> Option<f64> {
        // A subscription's number can be used again, and counts anew then.
        let more = now.checked_sub(before).unwrap_or(now);
        self.seconds.map(|seconds| more as f64 / seconds)
    }

    /// Of the whole bus.
    pub(super) fn totals(&self) -> TotalRates {
        let totals = &self.now.totals;
        TotalRates {
            events: self.rate(self.totals.published, totals.events),
            delivered: self.rate(self.totals.delivered, totals.to_subscribers.delivered),
        }
    }

    /// Of a connection; one that came meanwhile counts from nothing.
    pub(super) fn of(&self, peer: &ConnectionStats) -> Rates {
        let before = self.conns.get(&peer.conn).copied().unwrap_or_default();
        Rates {
            published: self.rate(before.published, peer.published),
            delivered: self.rate(before.delivered, delivered(peer)),
        }
    }

    /// Deliveries a second of a subscription of connection `conn`.
    pub(super) fn of_sub(&self, conn: u64, sub: &SubscriptionStats) -> Option<f64> {
        let before = self.subs.get(&(conn, sub.sub)).copied().unwrap_or_default();
        self.rate(before, sub.counts.delivered)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ostler_bus::{
        Origin,
        hub::{Counts, HubTotals},
    };

    use super::*;

    pub(in crate::cli) fn subscription(
        sub: u32,
        pattern: &str,
        delivered: u64,
    ) -> SubscriptionStats {
        SubscriptionStats {
            sub,
            pattern: pattern.into(),
            serves: false,
            group: None,
            policy: "drop-oldest".into(),
            queued: 0,
            queue_limit: 65_536,
            queued_bytes: 0,
            queue_limit_bytes: 8 << 20,
            counts: Counts {
                delivered,
                ..Counts::default()
            },
        }
    }

    pub(in crate::cli) fn client(
        conn: u64,
        published: u64,
        subscriptions: &[SubscriptionStats],
    ) -> ConnectionStats {
        ConnectionStats {
            conn,
            origin: Origin::Client {
                name: "shop".into(),
                conn,
            },
            role: "client".into(),
            up_ms: 5_000,
            codec: "postcard".into(),
            published,
            published_bytes: published * 80,
            asking: 0,
            answering: 0,
            unread_answers: 0,
            memory: 0,
            subscriptions: subscriptions.to_vec(),
        }
    }

    pub(in crate::cli) fn stats(uptime_ms: u64, peers: Vec<ConnectionStats>) -> HubStats {
        HubStats {
            hub: "house".into(),
            uptime_ms,
            connections: peers.len() as u64,
            silent: 0,
            subscriptions: peers.iter().map(|p| p.subscriptions.len() as u64).sum(),
            pending_requests: 0,
            retained: 0,
            retained_bytes: 0,
            memory: 0,
            memory_limit: 512 << 20,
            totals: HubTotals {
                events: peers.iter().map(|p| p.published).sum(),
                to_subscribers: Counts {
                    delivered: peers.iter().map(delivered).sum(),
                    ..Counts::default()
                },
                ..HubTotals::default()
            },
            peers,
            more: false,
        }
    }

    #[test]
    fn rates_are_what_changed_by_the_time_between() {
        let before = stats(1_000, vec![client(3, 100, &[subscription(1, "t", 40)])]);
        let old = client(
            3,
            350,
            &[subscription(1, "t", 40), subscription(2, "u", 10)],
        );
        let new = client(4, 50, &[]);
        let traffic = Traffic::between(Some(&before), stats(1_500, vec![old.clone(), new.clone()]));
        assert_eq!(traffic.totals().events, Some(600.0));
        assert_eq!(traffic.totals().delivered, Some(20.0));
        assert_eq!(traffic.of(&old).published, Some(500.0));
        assert_eq!(traffic.of(&old).delivered, Some(20.0));
        assert_eq!(traffic.of(&new).published, Some(100.0), "it came meanwhile");
        let subs = &old.subscriptions;
        assert_eq!(traffic.of_sub(3, &subs[0]), Some(0.0));
        assert_eq!(traffic.of_sub(3, &subs[1]), Some(20.0));
    }

    #[test]
    fn a_subscription_that_began_anew_counts_from_nothing() {
        let before = stats(0, vec![client(3, 0, &[subscription(1, "t", 40)])]);
        let now = subscription(1, "u", 4);
        let traffic = Traffic::between(
            Some(&before),
            stats(2_000, vec![client(3, 0, std::slice::from_ref(&now))]),
        );
        assert_eq!(traffic.of_sub(3, &now), Some(2.0));
    }

    #[test]
    fn without_a_time_between_there_are_no_rates() {
        let peer = client(3, 100, &[subscription(1, "t", 40)]);
        let once = Traffic::between(None, stats(1_000, vec![peer.clone()]));
        // The hub began anew.
        let anew = Traffic::between(Some(&stats(9_000, vec![])), stats(100, vec![peer.clone()]));
        for traffic in [once, anew] {
            assert_eq!(traffic.totals().events, None);
            assert_eq!(traffic.of(&peer).published, None);
            assert_eq!(traffic.of_sub(3, &peer.subscriptions[0]), None);
        }
    }
}
