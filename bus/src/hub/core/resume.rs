//! What a new subscription gets of what was: retained values, history, mail; and where another one ended, exactly what came
//! since.

use std::{collections::HashMap, rc::Rc};

use super::{Core, conn::Peer, edge::how, kept::Kept, parcel::Parcel, path::Target, queue::Told};
use crate::{
    Pattern, Topic,
    wire::{
        control::{HubOp, Resume, SubscribeOptions},
        flags,
    },
};

/// Something kept, and the flags with which it is sent.
pub(super) type Sent = (Rc<Kept>, u8);

/// Which retained values and which history somebody wants.
struct Wanted {
    /// Retained values later than that.
    retained_since: u64,
    /// Of history, events later than that.
    since: u64,
    /// Of each topic's history.
    most: usize,
    /// A retained value later than that is an event that was missed, as those of a history are.
    missed_since: u64,
}

/// Leaves of each topic the newest event.
fn keep_newest(past: &mut Vec<Sent>) {
    let newest: HashMap<Topic, u64> = past
        .iter()
        .map(|(kept, _)| (kept.topic.clone(), kept.seq))
        .collect();
    past.retain(|(kept, _)| newest.get(&kept.topic) == Some(&kept.seq));
}

/// What was, with its mail, each lane in its order. What is both came as mail.
fn in_order(mut past: Vec<Sent>, mut mail: Vec<Sent>) -> Vec<Sent> {
    let is_urgent = |flags: u8| flags & flags::CONTROL_LANE != 0;
    let place = |(kept, flags): &Sent| (!is_urgent(*flags), kept.seq);
    mail.sort_unstable_by_key(place);
    past.retain(|sent| mail.binary_search_by_key(&place(sent), place).is_err());
    past.append(&mut mail);
    past.sort_unstable_by_key(place);
    past
}

impl Core {
    /// A subscription is active from here on: it gets what it asked for of what was.
    pub(super) fn bring_past(&mut self, id: u64, sub: u32, options: &SubscribeOptions) {
        let mail = self.take_mail(id, sub);
        let past = match options.resume {
            // What it hadn't read went to the group's others.
            Some(_) if options.group.is_some() => {
                self.answer(id, 0, HubOp::Resumed { sub, missed: None });
                Vec::new()
            }
            // A group has had its events: a new member gets none of them again.
            None if options.group.is_some() => Vec::new(),
            Some(resume) => self.resume(id, sub, resume),
            None => {
                let wanted = Wanted {
                    retained_since: 0,
                    since: 0,
                    most: options.history as usize,
                    missed_since: u64::MAX,
                };
                self.past(id, sub, &wanted)
            }
        };
        if mail.lost > 0
            && let Some(conn) = self.conns.get_mut(&id)
        {
            conn.outbox.push_lag(sub, mail.lost);
        }
        self.send_past(id, sub, in_order(past, mail.events));
    }

    /// Goes on where another subscription of the same client ended; gives what is to be brought of what came since.
    fn resume(&mut self, id: u64, sub: u32, resume: Resume) -> Vec<Sent> {
        let Some((pattern, _, reader)) = self.subscriber(id, sub) else {
            return Vec::new();
        };
        let session = self.conn(id).and_then(|c| c.session);
        let key = reader.as_ref().map(|r| r.schema.key());
        let before = session.and_then(|session| {
            self.sessions.take_absent(session, resume.sub, |absent| {
                absent.pattern == pattern && absent.reader.as_ref().map(|r| r.schema.key()) == key
            })
        });
        let Some(((conn, number), before)) = before else {
            return self.resume_unknown(id, sub, resume.since);
        };
        self.routes.remove(&pattern, conn, number);
        let noticed = resume.since.max(before.told.last_noticed(resume.taken));
        let since = noticed.max(before.told.floor);
        let mut past = self.past(
            id,
            sub,
            &Wanted {
                retained_since: noticed,
                since,
                most: usize::MAX,
                missed_since: since,
            },
        );
        if self.conn(id).is_some_and(|c| c.outbox.keeps_latest(sub)) {
            keep_newest(&mut past);
        }
        let is_found = |(_, flags): &&Sent| flags & flags::HISTORY != 0;
        let found = past.iter().filter(is_found).count() as u64;
        let missed = before
            .matched(self.now)
            .saturating_sub(before.told.past_after(resume.taken))
            .saturating_sub(resume.taken)
            .saturating_sub(found);
        let told = Told::resumed(since, resume.taken, noticed, missed);
        if let Some(state) = self.conns.get_mut(&id).and_then(|c| c.subs.get_mut(&sub)) {
            state.resumes = Some(resume.sub);
        }
        self.begin_resumed(id, sub, told);
        let missed = Some(missed);
        self.answer(id, 0, HubOp::Resumed { sub, missed });
        past
    }

    /// What is still there, of a subscription that the hub doesn't know.
    fn resume_unknown(&mut self, id: u64, sub: u32, since: u64) -> Vec<Sent> {
        let past = self.past(
            id,
            sub,
            &Wanted {
                retained_since: since,
                since,
                most: usize::MAX,
                missed_since: since,
            },
        );
        self.begin_resumed(id, sub, Told::resumed(since, 0, since, 0));
        let missed = None;
        self.answer(id, 0, HubOp::Resumed { sub, missed });
        past
    }

    fn begin_resumed(&mut self, id: u64, sub: u32, told: Told) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.outbox.set_told(sub, told);
        }
    }

    fn subscriber(
        &self,
        id: u64,
        sub: u32,
    ) -> Option<(Pattern, Peer, Option<Rc<super::types::SharedType>>)> {
        let conn = self.conn(id)?;
        let state = conn.subs.get(&sub)?;
        let peer = conn.peer()?.clone();
        Some((state.pattern.clone(), peer, state.reader.clone()))
    }

    /// Retained values and history, in the order in which the hub took them; what is both, once.
    fn past(&self, id: u64, sub: u32, wanted: &Wanted) -> Vec<Sent> {
        let Some((pattern, peer, _)) = self.subscriber(id, sub) else {
            return Vec::new();
        };
        let history = match wanted.most {
            0 => Vec::new(),
            most => self
                .history
                .matching(&pattern, wanted.since, most, self.now),
        };
        let mut past: Vec<Sent> = history.into_iter().map(|e| (e, flags::HISTORY)).collect();
        past.sort_unstable_by_key(|(kept, _)| kept.seq);
        let mut values = Vec::new();
        for value in self.retained.matching(&pattern, self.now) {
            match past.binary_search_by_key(&value.seq, |(kept, _)| kept.seq) {
                Ok(at) => past[at].1 |= flags::RETAINED,
                Err(_) if value.seq > wanted.missed_since => {
                    values.push((value, flags::RETAINED | flags::HISTORY));
                }
                Err(_) if value.seq > wanted.retained_since => {
                    values.push((value, flags::RETAINED));
                }
                Err(_) => {}
            }
        }
        past.extend(values);
        past.sort_unstable_by_key(|(kept, _)| kept.seq);
        past.retain(|(kept, _)| self.may_have(&peer, false, &kept.topic));
        past
    }

    fn send_past(&mut self, id: u64, sub: u32, past: Vec<Sent>) {
        for (kept, flags) in past {
            let Some((conn, state)) = self.conn(id).and_then(|c| Some((c, c.subs.get(&sub)?)))
            else {
                // Cut off for what came before it.
                self.sessions.count((id, sub), &kept.run(flags), self.now);
                continue;
            };
            let (reader, most) = (state.reader.as_ref(), self.limits.payload_bytes);
            let reader = reader.map(|r| &r.schema);
            let target = Target {
                conn: id,
                sub,
                how: how(kept.kind, kept.ty.as_deref(), conn.codec, reader),
            };
            let run = kept.run(flags);
            // Behind one another in the data lane, but for mail of the other.
            let mut parcel = Parcel::of(run, kept.topic.clone(), kept.ty.clone(), most);
            self.hand_over(kept.card.conn, &target, &mut parcel);
            self.relieve();
        }
    }
}
