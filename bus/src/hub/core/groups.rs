//! Queue groups: of all members that an event matches, one gets it, and what one leaves behind the others get.
//!
//! The least busy member is given the next event: the one for which fewest wait and are not confirmed, of several the one
//! whose turn was longest ago. What came as one run is shared out in as few runs as there are members that get some.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    rc::Rc,
};

use super::{
    Core,
    edge::How,
    holds::SubId,
    item::{Item, Run},
    parcel::Parcel,
    path::{Group, Target},
    queue::Load,
};
use crate::{
    Topic,
    hub::Action,
    wire::{
        data::{self, Payload},
        flags,
    },
};

/// What a member of a group left behind.
#[derive(Debug)]
pub(super) struct Left {
    group: Rc<str>,
    runs: Vec<Run>,
}

impl Core {
    /// Gives each event of a parcel to one member of a group.
    pub(super) fn share_out(&mut self, from: u64, group: &Group, parcel: &mut Parcel) {
        let members = &group.members;
        let readers = members.iter().filter(|t| !matches!(t.how, How::Misfit(_)));
        let mut able: Vec<&Target> = readers.collect();
        if able.is_empty() {
            // All are told alike that it fits none of them: the least busy stands for all.
            able.extend(members);
        }
        let loads = able.iter().map(|t| {
            let conn = self.conn(t.conn).filter(|c| c.peer().is_some())?;
            conn.outbox.load(t.sub)
        });
        let loads: Vec<Option<Load>> = loads.collect();
        let shares = shares(loads, parcel.run.count, &mut self.turn);
        let mut rest = parcel.run.clone();
        for share in shares {
            let target = able[share.member];
            if let Some(conn) = self.conns.get_mut(&target.conn) {
                conn.outbox.take_turn(target.sub, share.turn);
            }
            let run = match share.count < rest.count {
                true => rest.split(share.count),
                false => rest.clone(),
            };
            let mut share = parcel.part(run);
            match parcel.urgent {
                true => self.hand_over(from, target, &mut share),
                false => self.give(from, &group.name, target, &mut share),
            }
            self.relieve();
        }
    }

    /// Queues a member's share, with what another would need if it left.
    fn give(&mut self, from: u64, group: &Rc<str>, target: &Target, share: &mut Parcel) {
        let Some(conn) = self
            .conns
            .get_mut(&target.conn)
            .filter(|c| c.peer().is_some())
        else {
            return self.leave_run(group, share.run.clone());
        };
        if share.run.flags & flags::REDELIVERED != 0 {
            let events = u64::from(share.run.count);
            conn.outbox.count_redelivered(target.sub, events);
        }
        let from = Some(from);
        match &target.how {
            How::AsIs => {
                let length = share.run.frames.len();
                let pins = share.run.pins;
                let copy = pins.is_some_and(|input| conn.outbox.wants_copy(input, length));
                let item = Item::Run(share.run(copy));
                self.offer_one(from, target, &share.topic, item, None);
            }
            How::Misfit(_) => {
                for item in share.items(target, false) {
                    self.offer_one(from, target, &share.topic, item, None);
                }
            }
            How::Typed(_) | How::Text(_) => {
                let mut rest = share.run.clone();
                for item in share.items(target, false) {
                    let mut source = match rest.count {
                        0 | 1 => rest.clone(),
                        _ => rest.split(1),
                    };
                    source.frames = super::queue::copied(&source.frames);
                    source.pins = None;
                    if self.is_closing(target.conn) {
                        self.leave_run(group, source);
                        continue;
                    }
                    let source = match item {
                        Item::Run(_) | Item::Whole(_) => Some(source),
                        // It was told; nobody need be given it again.
                        Item::Misfit { .. } | Item::Gap => None,
                    };
                    self.offer_one(from, target, &share.topic, item, source);
                }
            }
        }
    }

    /// Whoever was to get this has gone meanwhile.
    fn leave_run(&mut self, group: &Rc<str>, run: Run) {
        let (group, runs) = (Rc::clone(group), vec![run]);
        self.left.push_back(Left { group, runs });
    }

    /// A connection ends: what its groups gave it is for others.
    pub(super) fn leave_all_to_others(&mut self, id: u64) {
        let Some(conn) = self.conn(id) else { return };
        let grouped = conn
            .subs
            .iter()
            .filter_map(|(sub, state)| Some((*sub, Rc::clone(state.group.as_ref()?))));
        let mut grouped: Vec<(u32, Rc<str>)> = grouped.collect();
        grouped.sort_unstable();
        for (sub, group) in grouped {
            self.leave_to_others(id, sub, &group);
        }
    }

    /// A member of a group ends: what it was given is for others. Whoever calls this sees to
    /// [`regroup`](Self::regroup) once nothing more goes to that member.
    pub(super) fn leave_to_others(&mut self, id: u64, sub: u32, group: &Rc<str>) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let runs = conn.outbox.leave_to_others(sub);
        if !runs.is_empty() {
            let group = Rc::clone(group);
            self.left.push_back(Left { group, runs });
        }
    }

    /// Gives what members left behind to others, who may be cut off for it and leave theirs in turn.
    pub(super) fn regroup(&mut self) {
        while let Some(left) = self.left.pop_front() {
            let mut given = BTreeSet::new();
            for run in left.runs {
                self.give_again(&left.group, run, &mut given);
            }
            for (id, sub) in given {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.outbox.sort(sub);
                    self.mark(id);
                }
            }
        }
    }

    fn give_again(&mut self, group: &Rc<str>, run: Run, given: &mut BTreeSet<SubId>) {
        let ty = run.types.iter().next().cloned();
        let Some((kind, topic)) = kind_and_topic(&run) else {
            return;
        };
        let mut found = self.targets(&topic, Action::Emit, kind, ty.as_deref());
        let members = found.groups.remove(group);
        let Some(group) = members.map(|members| Group {
            name: Rc::clone(group),
            members,
        }) else {
            self.ungrouped += u64::from(run.count);
            return;
        };
        given.extend(group.members.iter().map(|t| (t.conn, t.sub)));
        let from = run.card.conn;
        let mut parcel = Parcel::of(run, topic, ty, self.limits.payload_bytes);
        self.share_out(from, &group, &mut parcel);
    }
}

/// What the events of a run are: of one kind, type and topic, as all are that go to a group.
fn kind_and_topic(run: &Run) -> Option<(Payload, Topic)> {
    let (flags, body) = data::frames(run.frames.clone()).next()?;
    let head = data::emit(&body, flags).ok()?;
    let topic = match head.topic {
        [] => run.types.iter().next()?.topic.clone()?,
        sent => Topic::new(std::str::from_utf8(sent).ok()?).ok()?,
    };
    Some((head.kind, topic))
}

/// What one member is given of some events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    member: usize,
    count: u32,
    /// When it was given the last of them.
    turn: u64,
}

/// How many of `count` events each member is given, as if they were given one by one. In the order of their turns.
fn shares(loads: Vec<Option<Load>>, count: u32, turn: &mut u64) -> Vec<Share> {
    let loads = loads.into_iter().enumerate();
    let mut heap: BinaryHeap<Reverse<(Load, usize)>> = loads
        .filter_map(|(member, load)| Some(Reverse((load?, member))))
        .collect();
    let mut shares: Vec<Share> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for _ in 0..count {
        let Some(mut least) = heap.peek_mut() else {
            break;
        };
        let Reverse((load, member)) = &mut *least;
        *turn += 1;
        load.turn = *turn;
        load.events += 1;
        load.room = load.room.saturating_sub(1);
        load.is_full = load.room == 0;
        let index = *places.entry(*member).or_insert_with(|| {
            shares.push(Share {
                member: *member,
                count: 0,
                turn: 0,
            });
            shares.len() - 1
        });
        shares[index].count += 1;
        shares[index].turn = *turn;
    }
    shares
}
