//! What outlives a connection: what happens to all that was under way when one is lost, and what is said first on the next.
//!
//! | under way | when the connection is lost | on the next one |
//! |---|---|---|
//! | an event, not wholly written | waits | is sent, in its place |
//! | an event, written | is at the hub, or lost | |
//! | an acknowledged event | is kept | is sent again, before everything that waits, unless the hub has answered |
//! | a question, not wholly written | waits | is sent |
//! | a question, written | fails: it may have been answered, and is not asked twice | |
//! | a subscription, asked for or there | waits | is asked for again, before any event is sent |
//! | a call to be answered | is nobody's any more | |
//! | a drain | waits | is said last |

use std::collections::{HashMap, HashSet};

use bytes::BytesMut;

use super::{
    error::Disconnected,
    ledger::{Asker, Pending},
    outbox::{Frames, Waiting},
    receive::subscribed::{Life, Subscribed},
    state::State,
};
use crate::wire::control::ClientOp;

/// What of the references outlives its connection.
#[derive(Debug, Default)]
struct Survivors {
    /// Subscriptions whose first answer has not come.
    asked: HashMap<u32, Asker<u64>>,
    /// Subscriptions that ended meanwhile.
    gone: Vec<u32>,
    drains: Vec<Asker<u64>>,
}

impl State {
    /// The connection was lost, `unwritten` being what it hadn't taken. Gives back who waits in vain, to be dropped
    /// without the lock.
    #[must_use]
    pub(super) fn lose(&mut self, why: &Disconnected, unwritten: BytesMut) -> Vec<Pending> {
        self.lost = Some(why.clone());
        self.epoch = self.epoch.wrapping_add(1);
        self.holds.clear();
        self.outbox.put_back(unwritten);
        let waiting: HashSet<u64> = self
            .outbox
            .frames()
            .filter_map(|(_, what)| match what {
                Waiting::Request(r#ref) => Some(r#ref),
                Waiting::Event(_) | Waiting::Reliable(_) | Waiting::Bound => None,
            })
            .collect();
        self.ledger.lose_questions(|r#ref| waiting.contains(&r#ref))
    }

    /// Whether another connection would have something to send.
    pub(super) fn has_unsent(&self) -> bool {
        let unsent = |what| match what {
            Waiting::Event(_) | Waiting::Reliable(_) | Waiting::Request(_) => true,
            Waiting::Bound => false,
        };
        !self.reliable.is_empty() || self.outbox.frames().any(|(_, what)| unsent(what))
    }

    /// There is another connection: says what the hub must know, and then what waits. Gives back the subscriptions
    /// that have ended meanwhile.
    #[must_use]
    pub(super) fn resume(
        &mut self,
        subscriptions: &mut HashMap<u32, Subscribed>,
        life: Life,
    ) -> Vec<Subscribed> {
        let waiting = self.outbox.clear();
        let Survivors {
            mut asked,
            gone,
            drains,
        } = self.sort_ledger(&waiting);
        let ended = gone
            .iter()
            .filter_map(|sub| subscriptions.remove(sub))
            .collect();
        self.announce_anew();
        for (&sub, subscribed) in subscriptions.iter_mut() {
            let op = subscribed.ask_again(sub, life);
            let pending = match asked.remove(&sub) {
                Some(answer) => Pending::Subscribe { sub, answer },
                None => Pending::Resubscribe { sub },
            };
            self.control(op, Some(pending));
        }
        self.send_again(&waiting);
        for answer in drains {
            self.control(ClientOp::Drain, Some(Pending::Drain(answer)));
        }
        ended
    }

    /// Keeps the references of what waits, and sorts out the others.
    fn sort_ledger(&mut self, waiting: &[u8]) -> Survivors {
        let probes: HashSet<u64> = Frames(waiting)
            .filter_map(|(_, what)| match what {
                Waiting::Event(r#ref) => r#ref,
                Waiting::Reliable(_) | Waiting::Request(_) | Waiting::Bound => None,
            })
            .collect();
        let mut survivors = Survivors::default();
        for (r#ref, pending) in self.ledger.clear() {
            match pending {
                Pending::Announce(_) | Pending::Resubscribe { .. } => {}
                Pending::Subscribe { sub, answer } => {
                    survivors.asked.insert(sub, answer);
                }
                Pending::Unsubscribe { sub } => survivors.gone.push(sub),
                Pending::Drain(answer) => survivors.drains.push(answer),
                Pending::Probe(_) if !probes.contains(&r#ref) => {}
                kept @ (Pending::Probe(_)
                | Pending::Ack { .. }
                | Pending::Request(_)
                | Pending::Many(_)) => self.ledger.put_back(r#ref, kept),
            }
        }
        survivors
    }

    fn announce_anew(&mut self) {
        self.topics.clear();
        for anew in self.types.anew() {
            let op = ClientOp::Announce {
                index: anew.index,
                topic: anew.topic.into(),
                schema: anew.schema.encoded().to_vec(),
            };
            self.control(op, Some(Pending::Announce(anew.announcement)));
        }
    }

    /// First the acknowledged events that were written before, then what waits: so each stays in its order.
    fn send_again(&mut self, waiting: &[u8]) {
        let first_waiting = Frames(waiting).find_map(|(_, what)| match what {
            Waiting::Reliable(r#ref) => Some(r#ref),
            Waiting::Event(_) | Waiting::Request(_) | Waiting::Bound => None,
        });
        for frame in self.reliable.before(first_waiting.unwrap_or(u64::MAX)) {
            self.outbox.whole(frame);
        }
        for (whole, what) in Frames(waiting) {
            match what {
                Waiting::Event(_) | Waiting::Reliable(_) | Waiting::Request(_) => {
                    self.outbox.whole(whole);
                }
                Waiting::Bound => {}
            }
        }
    }
}
