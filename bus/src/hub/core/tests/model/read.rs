//! What a connection gets, held against what the naive hub owes it.

use super::{Model, queue};
use crate::{
    hub::core::tests::support::{Event, Got},
    wire::control::{CloseKind, HubOp},
};

impl Model {
    /// Whoever was cut off is told so, and nothing else; then it comes again.
    pub(super) fn notice_end(&mut self, place: usize) {
        let id = self.ids[place];
        if !self.naive.peer(id).closed {
            return;
        }
        let (kind, _) = self.world.closing(id).expect("it is told");
        assert_eq!(kind, CloseKind::Limit);
        self.rejoin(place);
    }

    pub(super) fn read(&mut self, place: usize, all: bool) {
        self.notice_end(place);
        let id = self.ids[place];
        let got = match all {
            true => self.world.take(id),
            false => self.world.take_once(id).unwrap_or_default(),
        };
        for got in got {
            match got {
                Got::Event(event) => self.got(id, &event),
                Got::Control(0, HubOp::Lagged { sub, missed }) => {
                    let now = self.naive.now;
                    self.naive.sub((id, sub)).told_lost(now, missed);
                    self.naive.ease((id, sub));
                }
                Got::Control(0, HubOp::Hold { topic }) => self.told_hold(id, &topic, true),
                Got::Control(0, HubOp::Release { topic }) => self.told_hold(id, &topic, false),
                Got::Control(77, HubOp::Done { count }) => {
                    let owed = &mut self.naive.peer(id).answers;
                    assert_eq!(owed.remove(0), count, "matches");
                }
                Got::Control(_, HubOp::Refused(why)) => panic!("{why:?}"),
                Got::Control(..) => {}
                other => panic!("{other:?}"),
            }
        }
        if all {
            self.assert_all_read(id);
        }
    }

    fn got(&mut self, id: u64, event: &Event) {
        let now = self.naive.now;
        let owed = self.naive.sub((id, event.sub)).sent(now, event.seq);
        let is = (event.seq, event.conn, &event.topic, event.flags);
        assert_eq!(is, (owed.seq, owed.from, &owed.topic, owed.flags));
        assert!(event.payload.is_empty() || event.payload.starts_with(&owed.seq.to_be_bytes()));
        self.naive.ease((id, event.sub));
    }

    fn told_hold(&mut self, id: u64, topic: &str, hold: bool) {
        let owed = &mut self.naive.peer(id).holds;
        let at = owed.iter().position(|(t, h)| t == topic && *h == hold);
        owed.remove(at.unwrap_or_else(|| panic!("{topic} held: {hold}, of {owed:?}")));
    }

    fn assert_all_read(&mut self, id: u64) {
        let now = self.naive.now;
        let numbers: Vec<u32> = self.naive.peer(id).subs.iter().map(|s| s.number).collect();
        for number in numbers {
            self.naive.sub((id, number)).assert_all_sent(now);
            self.naive.ease((id, number));
            let counts = *self.world.core.conns[&id]
                .outbox
                .counts(number)
                .expect("it is there");
            let is = queue::Counts {
                matched: counts.matched,
                delivered: counts.delivered,
                lagged: counts.lagged,
                conflated: counts.conflated,
                expired: counts.expired,
                redelivered: counts.redelivered,
            };
            assert_eq!(is, self.naive.sub((id, number)).counts);
        }
        let peer = self.naive.peer(id);
        assert_eq!((&peer.holds[..], &peer.answers[..]), (&[][..], &[][..]));
    }
}
