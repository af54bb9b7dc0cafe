//! Bringing a batch to its subscriptions.

use std::rc::Rc;

use super::{
    Core,
    conn::Peer,
    edge::How,
    emit::Batch,
    item::{Item, Run},
    mailbox,
    parcel::Parcel,
    path::Target,
    queue::{Urgent, copied},
};
use crate::{
    Topic,
    wire::{control::CloseKind, data, flags},
};

impl Core {
    /// Brings what `batch` holds to its subscriptions, and empties it; it still knows its path.
    pub(super) fn bring(&mut self, id: u64, peer: &Peer, batch: &mut Batch<'_>) {
        let count = std::mem::take(&mut batch.count);
        self.published(peer, count, batch.end - batch.start);
        let Some(path) = batch
            .path
            .clone()
            .filter(|p| count > 0 && !p.leads_nowhere())
        else {
            return;
        };
        let frames = batch.input.slice(batch.start..batch.end);
        let run = Run {
            card: Rc::clone(&peer.card),
            first_seq: batch.first_seq,
            count,
            flags: if path.urgent { flags::CONTROL_LANE } else { 0 },
            // Events of the control lane are few and small.
            frames: if path.urgent { copied(&frames) } else { frames },
            types: batch.types.clone(),
            pins: (!path.urgent).then_some(self.input),
            until: batch.until,
            later: None,
        };
        let mut parcel = Parcel::new(run, &path, self.limits.payload_bytes);
        if path.urgent {
            parcel.stands_for = self.stands_for(peer, &mut parcel);
        }
        for target in &path.targets {
            self.hand_over(id, target, &mut parcel);
            // After each: as JSON, an event takes memory once for each subscription.
            self.relieve();
        }
        for group in &path.groups {
            self.share_out(id, group, &mut parcel);
        }
    }

    fn stands_for(&self, peer: &Peer, parcel: &mut Parcel) -> Option<(Topic, Vec<u8>)> {
        let conflate = self.rules.conflate?;
        let (flags, body) = data::frames(parcel.run.frames.clone()).next()?;
        let head = data::emit(&body, flags).ok()?;
        let payload = &body[head.payload_at..];
        let name = conflate(&parcel.topic, &peer.card.origin, head.kind, payload)?;
        Some((parcel.topic.clone(), name))
    }

    /// Queues a parcel's events for one subscription.
    pub(super) fn hand_over(&mut self, from: u64, target: &Target, parcel: &mut Parcel) {
        let Some(conn) = self
            .conns
            .get_mut(&target.conn)
            .filter(|c| c.peer().is_some())
        else {
            return self.keep_for_absent(target, parcel);
        };
        let outbox = &mut conn.outbox;
        let copy = parcel
            .run
            .pins
            .is_some_and(|input| outbox.wants_copy(input, parcel.run.frames.len()));
        if !parcel.urgent && !outbox.is_plain(target.sub) {
            let items = parcel.items(target, copy);
            return self.offer(from, target, parcel, items);
        }
        if !parcel.urgent {
            // The common case, without a list of items.
            let lost = match &target.how {
                How::AsIs => outbox.push(target.sub, Item::Run(parcel.run(copy))),
                how @ (How::Typed(_) | How::Text(_) | How::Misfit(_)) => {
                    match parcel.later(how, copy) {
                        Some(run) => outbox.push(target.sub, Item::Run(run)),
                        None => parcel
                            .items(target, copy)
                            .into_iter()
                            .map(|item| outbox.push(target.sub, item))
                            .sum(),
                    }
                }
            };
            if lost > 0 {
                self.lagged(target.conn, target.sub, lost);
            }
            return self.mark(target.conn);
        }
        for item in parcel.items(target, copy) {
            outbox.push_urgent(Urgent {
                item,
                sub: Some(target.sub),
                from: Some(from),
                stands_for: parcel.stands_for.clone(),
            });
        }
        self.mark(target.conn);
        self.blame(from, target.conn);
    }

    /// Nobody is there, but somebody may come back, or is still to subscribe.
    fn keep_for_absent(&mut self, target: &Target, parcel: &Parcel) {
        match mailbox::owner(target.conn) {
            Some(conn) => self.put_mail(conn, &parcel.run),
            None => {
                let route = (target.conn, target.sub);
                self.sessions.count(route, &parcel.run, self.now);
            }
        }
    }

    /// If the control lane of `to` overflows, whoever is to blame goes: who fills most of it; the reader, if it is
    /// nobody in particular. The master never goes for being flooded or for flooding.
    ///
    /// The oldest of whoever is to blame is dropped as well, and of the master's many senders those that have gone are
    /// blamed first: else one that leaves and comes back would fill the lane anew each time, or have others blamed.
    pub(super) fn blame(&mut self, from: u64, to: u64) {
        let bound = self.limits.control_frames;
        let Some(conn) = self.conn(to).filter(|c| c.outbox.foreign_urgent() > bound) else {
            return;
        };
        let senders = conn.outbox.senders();
        let (most, n) = senders
            .iter()
            .max_by_key(|(_, n)| **n)
            .map_or((from, 1), |(id, n)| (*id, *n));
        let is_flood = n * 2 > bound;
        match (is_flood, self.is_master(most), self.is_master(to)) {
            (true, false, _) => self.end_flooder(most, n, to),
            (_, _, false) => {
                let reason = format!("{bound} control frames were waiting for it to read");
                self.close(to, CloseKind::Limit, reason);
            }
            (false, false, true) => {
                let gone = senders.keys().find(|id| self.is_closing(**id));
                match gone.copied() {
                    Some(gone) => self.drop_oldest_urgent(to, gone),
                    None => self.end_flooder(most, n, to),
                }
            }
            // The master floods itself.
            (_, true, true) => self.drop_oldest_urgent(to, most),
        }
    }

    fn end_flooder(&mut self, id: u64, n: usize, to: u64) {
        let reason = format!(
            "{n} control frames of its own were waiting for a reader, of {} that may: it sends faster than they can be taken",
            self.limits.control_frames
        );
        self.close(id, CloseKind::Limit, reason);
        self.drop_oldest_urgent(to, id);
    }

    fn drop_oldest_urgent(&mut self, to: u64, sender: u64) {
        let dropped = self
            .conns
            .get_mut(&to)
            .and_then(|conn| conn.outbox.drop_oldest_urgent(sender));
        if let Some(sub) = dropped {
            self.lagged(to, sub, 1);
        }
    }

    /// Keeps all queues together within their bound: whoever holds most loses its oldest, and goes if there is nothing to
    /// lose. Ends within the bound, or when nobody holds anything more that can be freed.
    pub(super) fn relieve(&mut self) {
        // The master's own, that hold nothing but what it needs: they are never closed.
        let mut spared = Vec::new();
        while self.tally.total() > self.limits.memory_bytes {
            // What can be asked again goes first; then those who are there come before those who may come back.
            if self.forget_all_answers() || self.end_oldest_session() {
                continue;
            }
            let largest = self
                .conns
                .iter()
                .filter(|(id, c)| c.peer().is_some() && !spared.contains(*id))
                .max_by_key(|(id, c)| (c.outbox.held(), **id))
                .map(|(id, c)| (*id, c.outbox.held()));
            let Some((id, held)) = largest.filter(|(_, held)| *held > 0) else {
                return;
            };
            let over = self.tally.total() - self.limits.memory_bytes;
            // A little more than needed, or each next event would look for the largest again.
            let goal = over.max(held / 16);
            let Some(conn) = self.conns.get_mut(&id) else {
                return;
            };
            let lost = conn.outbox.lose(goal);
            if lost.is_empty() && self.is_master(id) {
                spared.push(id);
                continue;
            }
            if lost.is_empty() {
                let reason = format!(
                    "the hub's {} bytes are used up, and this connection holds most of them in answers and calls it doesn't read",
                    self.limits.memory_bytes
                );
                self.close(id, CloseKind::Limit, reason);
                continue;
            }
            for (sub, n) in lost {
                self.lagged(id, sub, n);
                self.ease(id, sub);
            }
        }
    }
}
