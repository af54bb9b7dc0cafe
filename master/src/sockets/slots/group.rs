//! The listeners of one socket, one for each slot: which of them the kernel is to choose from. All decisions, and nothing
//! else: no I/O and no clock.
//!
//! | | `slot` of TCP | `slot` of UDP | `sticky` |
//! |---|---|---|---|
//! | who is chosen | each as likely | that of the bucket of the client's address and port | that of the bucket of the client's address |
//! | a slot without a ready worker | left out: others serve | its buckets are dealt to the others, until it is back | its clients wait for the successor |
//! | given up (failed, ended, stopped) | left out | the same | its buckets are dealt to the others, until it is back |
//! | with a queue longer than others' | left out until it is not longer any more | the same, if it takes half of the room | |
//! | beyond the app's size | left out, so that it runs dry | left out: what it had before it came is where it was again | the same |
//! | kept for its slot, which has gone | | left out, whatever befalls the others | the same |
//!
//! If that leaves nobody, fewer reasons count: connections wait for whoever may come, and none is refused.
//!
//! **Flows.** Datagrams of one client belong together where there is more than question and answer. So those of UDP are not
//! drawn lots for: they stay with a slot as long as it serves, whoever else comes and goes.
//!
//! **Positions.** The kernel names listeners by their positions in the group, in the order in which they began to listen. When
//! one leaves (it is closed, or a worker calls `shutdown` on it), the last takes its place; one that listens again comes last.
//! One of UDP leaves only when nobody holds it any more, which nobody can know: so it is kept, in its place.

mod places;
mod report;

use std::collections::{BTreeSet, HashMap};

use crate::{
    fleet::Service,
    sockets::{SocketId, queue::Queue},
};

use super::{
    program::{Choice, Client},
    shares::Shares,
    table,
};

/// How connections are spread over slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Evenly.
    Evenly,
    /// By the client's address and port, while a slot can serve.
    ByFlow,
    /// By the client's address.
    ByAddress,
}

/// The listeners of one socket.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) spread: Spread,
    /// Those that listen, by their positions in the kernel's group.
    members: Vec<Member>,
    /// Those that a worker has shut down.
    shut: Vec<Member>,
    /// Each of these has the place of one of them, and which is not known.
    unsure: BTreeSet<SocketId>,
    /// How many slots the app has.
    size: u32,
    /// How slots stand that have said so.
    services: Vec<Service>,
    /// Whose clients are whose.
    shares: Shares,
}

/// The listener of one slot.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: SocketId,
    pub(super) slot: u32,
    /// Its slot has gone, and takes it up again if it comes back.
    kept: bool,
    /// What waited when it was last looked at.
    pub(super) queue: Queue,
    /// The most that ever waited.
    pub(super) longest: u32,
    /// Its queue is longer than others', or was and is not empty yet.
    long: bool,
    /// How often it was left out for that.
    pub(super) times_long: u64,
}

impl Group {
    pub(super) fn new(spread: Spread) -> Self {
        Self {
            spread,
            members: Vec::new(),
            shut: Vec::new(),
            unsure: BTreeSet::new(),
            size: u32::MAX,
            services: Vec::new(),
            shares: Shares::default(),
        }
    }

    /// A slot's listener has begun to listen, after all others; or the one that was kept for it is its own again, in its old
    /// place. What that was called before.
    pub(super) fn join(&mut self, id: SocketId, slot: u32) -> Option<SocketId> {
        let member = Member {
            id,
            slot,
            kept: false,
            queue: Queue::default(),
            longest: 0,
            long: false,
            times_long: 0,
        };
        let mut there = self.members.iter_mut();
        match there.find(|there| there.kept && there.slot == slot) {
            Some(there) => Some(std::mem::replace(there, member).id),
            None => {
                self.members.push(member);
                None
            }
        }
    }

    /// A listener's slot has gone, and it stays in its place until the slot comes back.
    pub(super) fn keep(&mut self, id: SocketId) {
        for member in self.members.iter_mut().filter(|member| member.id == id) {
            member.kept = true;
        }
    }

    /// So the app's slots stand now.
    pub(super) fn stand(&mut self, size: u32, services: &[Service]) {
        self.size = size.max(1);
        self.services = services.to_vec();
        let there = self.members.iter().chain(&self.shut);
        let there = there.filter(|member| self.counts(member));
        let there: Vec<u32> = there.map(|member| member.slot).collect();
        self.shares.stand(there, &self.services);
    }

    fn service(&self, slot: u32) -> Service {
        let known = self.services.get(slot as usize);
        known.copied().unwrap_or(Service::Awaited)
    }

    /// Whether there is anything to learn from queues.
    pub(super) fn looks_at_queues(&self) -> bool {
        let serving = self.members.iter().filter(|member| self.serves(member));
        match self.spread {
            Spread::Evenly | Spread::ByFlow => serving.count() > 1,
            Spread::ByAddress => false,
        }
    }

    /// So much waits at each listener, by its position. Whether that differs from before.
    pub(super) fn measured(&mut self, queues: &[Queue]) -> bool {
        let mut changed = false;
        for (member, queue) in self.members.iter_mut().zip(queues) {
            changed |= member.queue != *queue;
            member.queue = *queue;
            member.longest = member.longest.max(queue.waiting);
        }
        self.find_long()
            .into_iter()
            .zip(&mut self.members)
            .for_each(|(long, member)| {
                member.times_long += u64::from(long && !member.long);
                member.long = long;
            });
        changed
    }

    /// Whether nothing waits where it would be served.
    pub(super) fn is_empty(&self) -> bool {
        let mut serving = self.members.iter().filter(|member| self.serves(member));
        serving.all(|member| member.queue.waiting == 0)
    }

    /// Which queues are long: longer than half as much again as that in the middle, and by two connections at least, or by half of
    /// the room for datagrams. So half of those that serve are never left out, and what comes next is not heaped on the one that
    /// happened to be idle; and flows stay together until datagrams are about to be lost. A queue that was long is so until it is
    /// no longer than that in the middle: what is stuck there gets out first.
    fn find_long(&self) -> Vec<bool> {
        let serving = self.members.iter().filter(|member| self.serves(member));
        let mut queues: Vec<u32> = serving.map(|member| member.queue.waiting).collect();
        queues.sort_unstable();
        let middle = queues.get(queues.len().saturating_sub(1) / 2);
        let middle = middle.copied().unwrap_or(0);
        let beyond = |member: &Member| match self.spread {
            Spread::Evenly => 1,
            Spread::ByFlow | Spread::ByAddress => member.queue.room / 2,
        };
        let long = |member: &Member| {
            let limit = match member.long {
                true => middle,
                false => middle.saturating_add((middle / 2).max(beyond(member))),
            };
            self.serves(member) && member.queue.waiting > limit
        };
        self.members.iter().map(long).collect()
    }

    fn serves(&self, member: &Member) -> bool {
        self.counts(member) && self.service(member.slot) == Service::Serves
    }

    /// Whether the app has this slot, and its listener is in use.
    fn counts(&self, member: &Member) -> bool {
        member.slot < self.size && !member.kept
    }

    /// Whom the kernel is to choose from; `None` if nobody listens whose slot is there.
    pub(super) fn choice(&self) -> Option<Choice> {
        if self.members.iter().all(|member| member.kept) {
            return None;
        }
        Some(match self.spread {
            Spread::Evenly => Choice::AtRandom(self.best()),
            Spread::ByFlow => Choice::ByClient(Client::Flow, self.by_flow()),
            Spread::ByAddress => Choice::ByClient(Client::Address, self.by_address()),
        })
    }

    /// The first of these that are any.
    fn best(&self) -> Vec<usize> {
        let given_up = |member: &Member| self.service(member.slot) == Service::GivenUp;
        let levels: [&dyn Fn(&Member) -> bool; 5] = [
            &|member| self.serves(member) && !member.long,
            &|member| self.serves(member),
            &|member| self.counts(member) && !given_up(member),
            &|member| self.counts(member),
            &|member| !member.kept,
        ];
        let mut found = levels.into_iter().map(|level| self.positions(level));
        found.find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Each bucket's listener, where clients wait for their slot unless it is given up.
    fn by_address(&self) -> Vec<usize> {
        let stays = |m: &Member| self.owns(m) && self.service(m.slot) != Service::GivenUp;
        let mut stay = self.positions(stays);
        if stay.is_empty() {
            stay = self.positions(|member| self.owns(member));
        }
        if stay.is_empty() {
            stay = self.best();
        }
        self.deal(&stay)
    }

    /// Each bucket's listener, where only slots that serve have any.
    fn by_flow(&self) -> Vec<usize> {
        self.deal(&self.best())
    }

    /// Whether clients are its own.
    fn owns(&self, member: &Member) -> bool {
        self.counts(member) && self.shares.has(member.slot)
    }

    /// Each bucket's listener: its slot's, if that is one of these; or else one of these in turns.
    fn deal(&self, among: &[usize]) -> Vec<usize> {
        let slots = self.members.iter().chain(&self.shut);
        let slots = slots.filter(|member| self.owns(member));
        let owners = slots.map(|member| member.slot as usize).collect();
        let slot = |at: &usize| self.members[*at].slot as usize;
        let staying: Vec<usize> = among.iter().map(slot).collect();
        let places: HashMap<usize, usize> =
            staying.iter().copied().zip(among.iter().copied()).collect();
        table::dealt(&owners, &staying)
            .into_iter()
            .map(|slot| places.get(&slot).copied().unwrap_or_default())
            .collect()
    }

    /// The listeners by their positions.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }
}

#[cfg(test)]
mod tests;
