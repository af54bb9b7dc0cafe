//! Queue groups of the naive hub: who is given what, and what becomes of what one leaves.

use super::{
    naive::{Naive, SubId},
    queue::{Event, Sub},
};
use crate::wire::flags;

/// How busy a member is. Of the least busy ones the first in the order of routes is given the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    is_full: bool,
    events: usize,
    turn: u64,
    room: usize,
}

fn load(sub: &Sub) -> Load {
    let room = match sub.bytes() < sub.terms.bytes {
        true => sub.terms.messages.saturating_sub(sub.messages()),
        false => 0,
    };
    Load {
        is_full: room == 0,
        events: sub.messages() + sub.unconfirmed.len(),
        turn: sub.turn,
        room,
    }
}

impl Naive {
    /// Members of a topic's groups, group by group.
    fn groups_of(&self, topic: &str) -> Vec<(&'static str, Vec<SubId>)> {
        let mut groups: Vec<(&'static str, Vec<SubId>)> = Vec::new();
        for (id, terms) in self.subs_of(topic) {
            let Some(name) = terms.group else { continue };
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, members)) => members.push(id),
                None => groups.push((name, vec![id])),
            }
        }
        groups.sort();
        groups
    }

    /// Gives events that came together to one member each, of every group.
    pub(super) fn share(&mut self, events: &[Event]) {
        for (_, members) in self.groups_of(&events[0].topic) {
            self.share_among(&members, events);
        }
    }

    fn share_among(&mut self, members: &[SubId], events: &[Event]) {
        let mut loads: Vec<(Load, SubId)> = Vec::new();
        for id in members {
            loads.push((load(self.sub(*id)), *id));
        }
        // How many each is given, in the order of their first turns; then the events, one after the other.
        let mut shares: Vec<(SubId, usize, u64)> = Vec::new();
        for _ in events {
            let least = loads.iter().map(|(load, _)| *load).min().expect("a member");
            let at = loads.iter().position(|(load, _)| *load == least);
            let (load, id) = &mut loads[at.expect("the least")];
            self.turn += 1;
            load.turn = self.turn;
            load.events += 1;
            load.room = load.room.saturating_sub(1);
            load.is_full = load.room == 0;
            match shares.iter_mut().find(|(known, ..)| known == id) {
                Some((_, count, turn)) => (*count, *turn) = (*count + 1, self.turn),
                None => shares.push((*id, 1, self.turn)),
            }
        }
        let mut rest = events;
        for (id, count, turn) in shares {
            let (share, others) = rest.split_at(count);
            rest = others;
            self.sub(id).turn = turn;
            for event in share {
                if event.flags & flags::REDELIVERED != 0 {
                    self.sub(id).counts.redelivered += 1;
                }
            }
            self.push(id, share, Some(share[0].from));
        }
    }

    /// A member goes: what was sent and not confirmed is for others, and so is what waits.
    pub(super) fn leave(&mut self, sub: &Sub) {
        let Some(group) = sub.terms.group else { return };
        let sent = sub.unconfirmed.iter().map(|event| Event {
            flags: event.flags | flags::REDELIVERED,
            ..event.clone()
        });
        let waiting = sub.waiting.iter().filter_map(|place| place.event.clone());
        let events: Vec<Event> = sent.chain(waiting).collect();
        self.left.push((group, events));
    }

    /// Gives what was left to others, and puts it before what is newer.
    pub(super) fn regroup(&mut self) {
        while !self.left.is_empty() {
            let (group, events) = self.left.remove(0);
            let mut given: Vec<SubId> = Vec::new();
            for event in events {
                let groups = self.groups_of(&event.topic);
                let Some((_, members)) = groups.into_iter().find(|(name, _)| *name == group) else {
                    continue;
                };
                self.share_among(&members, &[event]);
                given.extend(members);
            }
            given.sort_unstable();
            given.dedup();
            for id in given {
                sort(self.sub(id));
            }
        }
    }
}

/// By sequence; what has none stays behind what it stands behind.
fn sort(sub: &mut Sub) {
    let mut seq = 0;
    let places = std::mem::take(&mut sub.waiting).into_iter();
    let mut keyed: Vec<_> = places
        .map(|place| {
            seq = place.event.as_ref().map_or(seq, |event| event.seq);
            (seq, place)
        })
        .collect();
    keyed.sort_by_key(|(seq, _)| *seq);
    sub.waiting = keyed.into_iter().map(|(_, place)| place).collect();
}
