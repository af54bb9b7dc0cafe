//! The listeners of one socket, one for each slot: which of them the kernel is to choose from. All decisions, and nothing
//! else: no I/O and no clock.
//!
//! | | `slot` | `sticky` |
//! |---|---|---|
//! | who is chosen | each as likely | that of the bucket of the client's address |
//! | a slot without a ready worker | left out: others serve | its clients wait for the successor |
//! | given up (failed, ended, stopped) | left out | its buckets are dealt to the others, until it is back |
//! | with a queue longer than others' | left out until it is not longer any more | |
//! | beyond the app's size | left out, so that it runs dry | left out: what it had before it came is where it was again |
//!
//! If that leaves nobody, fewer reasons count: connections wait for whoever may come, and none is refused.
//!
//! **Positions.** The kernel names listeners by their positions in the group, in the order in which they began to listen. When
//! one leaves (it is closed, or a worker calls `shutdown` on it), the last takes its place; one that listens again comes last.

use std::collections::HashMap;

use crate::{fleet::Service, sockets::SocketId};

use super::{program::Choice, table};

/// How connections are spread over slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Evenly.
    Evenly,
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
    /// How many slots the app has.
    size: u32,
    /// How slots stand that have said so.
    services: Vec<Service>,
}

/// The listener of one slot.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: SocketId,
    pub(super) slot: u32,
    /// It came to slots that were serving already, and hasn't served yet: no client is its own.
    new: bool,
    /// How many connections waited when it was last looked at.
    pub(super) queue: u32,
    /// The most that ever did.
    pub(super) longest: u32,
    /// Its queue is longer than others', or was and is not empty yet.
    long: bool,
    /// How often it was left out for that.
    pub(super) times_long: u64,
}

/// Why a slot gets no connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// The app has fewer slots now.
    Retired,
    /// It is not tried any more, or not before long.
    GivenUp,
    /// None of its workers is ready.
    NobodyReady,
    /// Connections wait longer there than elsewhere.
    LongQueue,
    /// There are more slots than buckets.
    NoBuckets,
    /// A worker has called `shutdown` on it.
    Shut,
}

impl LeftOut {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Retired => "the app has fewer workers now",
            Self::GivenUp => "its worker has ended or failed",
            Self::NobodyReady => "its worker is not ready",
            Self::LongQueue => "its queue is long",
            Self::NoBuckets => "there are more slots than buckets of clients",
            Self::Shut => "it was shut down",
        }
    }
}

impl Group {
    pub(super) fn new(spread: Spread) -> Self {
        Self {
            spread,
            members: Vec::new(),
            shut: Vec::new(),
            size: u32::MAX,
            services: Vec::new(),
        }
    }

    /// A slot's listener has begun to listen, after all others.
    pub(super) fn join(&mut self, id: SocketId, slot: u32) {
        let serving = |member: &Member| self.service(member.slot) == Service::Serves;
        let new = self.members.iter().any(serving);
        self.members.push(Member {
            id,
            slot,
            new,
            queue: 0,
            longest: 0,
            long: false,
            times_long: 0,
        });
    }

    /// A listener is closed, or about to be.
    pub(super) fn part(&mut self, id: SocketId) {
        self.leave(id);
        self.shut.retain(|member| member.id != id);
    }

    /// A worker has shut this listener down.
    pub(super) fn shut_down(&mut self, id: SocketId) {
        if let Some(member) = self.leave(id) {
            self.shut.push(member);
        }
    }

    /// It listens again.
    pub(super) fn listens_again(&mut self, id: SocketId) {
        // One that was not known to be shut has left the group all the same, and come again.
        self.shut_down(id);
        if let Some(at) = self.shut.iter().position(|member| member.id == id) {
            let member = self.shut.remove(at);
            self.members.push(member);
        }
    }

    fn leave(&mut self, id: SocketId) -> Option<Member> {
        let at = self.members.iter().position(|member| member.id == id)?;
        Some(self.members.swap_remove(at))
    }

    /// So the app's slots stand now.
    pub(super) fn stand(&mut self, size: u32, services: &[Service]) {
        self.size = size.max(1);
        self.services = services.to_vec();
        for at in 0..self.members.len() {
            if self.service(self.members[at].slot) == Service::Serves {
                self.members[at].new = false;
            }
        }
    }

    fn service(&self, slot: u32) -> Service {
        let known = self.services.get(slot as usize);
        known.copied().unwrap_or(Service::Awaited)
    }

    /// Whether there is anything to learn from queues.
    pub(super) fn looks_at_queues(&self) -> bool {
        let serving = self.members.iter().filter(|member| self.serves(member));
        self.spread == Spread::Evenly && serving.count() > 1
    }

    /// So many connections wait at each listener, by its position. Whether that differs from before.
    pub(super) fn measured(&mut self, queues: &[u32]) -> bool {
        let mut changed = false;
        for (member, queue) in self.members.iter_mut().zip(queues) {
            changed |= member.queue != *queue;
            member.queue = *queue;
            member.longest = member.longest.max(*queue);
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
        serving.all(|member| member.queue == 0)
    }

    /// Which queues are long: longer than half as much again as that in the middle, and by two at least. So half of those that
    /// serve are never left out, and what comes next is not heaped on the one that happened to be idle. A queue that was long
    /// is so until it is no longer than that in the middle: what is stuck there gets out first.
    fn find_long(&self) -> Vec<bool> {
        let serving = self.members.iter().filter(|member| self.serves(member));
        let mut queues: Vec<u32> = serving.map(|member| member.queue).collect();
        queues.sort_unstable();
        let middle = queues.get(queues.len().saturating_sub(1) / 2);
        let middle = middle.copied().unwrap_or(0);
        let bound = middle.saturating_add((middle / 2).max(1));
        let long = |member: &Member| {
            let limit = if member.long { middle } else { bound };
            self.serves(member) && member.queue > limit
        };
        self.members.iter().map(long).collect()
    }

    fn serves(&self, member: &Member) -> bool {
        self.counts(member) && self.service(member.slot) == Service::Serves
    }

    /// Whether the app has this slot.
    fn counts(&self, member: &Member) -> bool {
        member.slot < self.size
    }

    /// Whom the kernel is to choose from; `None` if nobody listens.
    pub(super) fn choice(&self) -> Option<Choice> {
        if self.members.is_empty() {
            return None;
        }
        Some(match self.spread {
            Spread::Evenly => Choice::AtRandom(self.best()),
            Spread::ByAddress => Choice::ByAddress(self.by_address()),
        })
    }

    fn positions(&self, which: impl Fn(&Member) -> bool) -> Vec<usize> {
        let chosen = self.members.iter().enumerate();
        let chosen = chosen.filter(|(_, member)| which(member));
        chosen.map(|(at, _)| at).collect()
    }

    /// The first of these that are any.
    fn best(&self) -> Vec<usize> {
        let given_up = |member: &Member| self.service(member.slot) == Service::GivenUp;
        let levels: [&dyn Fn(&Member) -> bool; 5] = [
            &|member| self.serves(member) && !member.long,
            &|member| self.serves(member),
            &|member| self.counts(member) && !given_up(member),
            &|member| self.counts(member),
            &|_| true,
        ];
        let mut found = levels.into_iter().map(|level| self.positions(level));
        found.find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Each bucket's listener: its slot's; or, where that has none or is given up, one of the others' in turns.
    fn by_address(&self) -> Vec<usize> {
        let owns = |member: &Member| self.counts(member) && !member.new;
        let slots = self.members.iter().chain(&self.shut).filter(|m| owns(m));
        let slots = slots.map(|member| member.slot as usize + 1).max();
        let stays = |m: &Member| owns(m) && self.service(m.slot) != Service::GivenUp;
        let mut others = self.positions(stays);
        if others.is_empty() {
            others = self.positions(owns);
        }
        if others.is_empty() {
            others = self.best();
        }
        let slot = |at: &usize| self.members[*at].slot as usize;
        let staying: Vec<usize> = others.iter().map(slot).collect();
        let places: HashMap<usize, usize> = staying.iter().copied().zip(others).collect();
        table::dealt(slots.unwrap_or(1), &staying)
            .into_iter()
            .map(|slot| places.get(&slot).copied().unwrap_or_default())
            .collect()
    }

    /// The listeners by their positions.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// All listeners, how many buckets each has, and why those get nothing that don't.
    pub(super) fn report(&self) -> Vec<(&Member, Option<u32>, Option<LeftOut>)> {
        let chosen = self.choice();
        let listed = self.members.iter().enumerate().map(|(at, member)| {
            let (buckets, gets) = match &chosen {
                Some(Choice::ByAddress(buckets)) => {
                    let its = buckets.iter().filter(|to| **to == at).count();
                    (u32::try_from(its).ok(), its > 0)
                }
                Some(Choice::AtRandom(positions)) => (None, positions.contains(&at)),
                None => (None, false),
            };
            (member, buckets, (!gets).then(|| self.why_not(member)))
        });
        let shut = self.shut.iter().map(|m| (m, None, Some(LeftOut::Shut)));
        listed.chain(shut).collect()
    }

    fn why_not(&self, member: &Member) -> LeftOut {
        match self.service(member.slot) {
            _ if !self.counts(member) => LeftOut::Retired,
            Service::GivenUp => LeftOut::GivenUp,
            Service::Awaited => LeftOut::NobodyReady,
            Service::Serves => match self.spread {
                Spread::Evenly => LeftOut::LongQueue,
                Spread::ByAddress => LeftOut::NoBuckets,
            },
        }
    }
}

#[cfg(test)]
mod tests;
