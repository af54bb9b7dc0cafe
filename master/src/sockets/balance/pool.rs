//! Who gets which connection of one socket: all decisions, and nothing else.
//!
//! ```text
//!  accepted ──► waiting ── deal: the ready member with the fewest open, of those the one whose turn it is ──► handed
//!                  ▲                                                                                           │
//!                  └── refused, or its member left (died, drains) ◄────────────────────────────────────────────┤
//!                                                                                                    taken ──► open ──► closed
//! ```
//! No I/O and no clock. A connection is this pool's from [`Pool::accepted`] until a member says that it has taken it;
//! whatever happens to members meanwhile, it comes to one of them. As many are accepted as members have room for, so
//! that others wait in the kernel, where they cost nothing and survive everybody.
//!
//! Connections and members may be at [home](homed) somewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ostler_bus::WorkerId;
use ostler_worker_sdk::handover::{Account, UNLIMITED, WINDOW};

/// So many turns that a member missed, because it was busy, it may have later, while it is idle.
const CATCH_UP: u64 = 64;

/// The members that share a socket's connections, and the connections that none of them has taken yet.
#[derive(Debug)]
pub(super) struct Pool<C> {
    members: Vec<Member<C>>,
    /// Accepted, and nobody's: a line for each home, the oldest first.
    waiting: BTreeMap<Option<u32>, VecDeque<Homed<C>>>,
    /// Homes to which members are to come: what is at home there waits for them.
    awaited: BTreeSet<u32>,
    /// The most that any member may have open.
    pub(super) limit: u32,
    /// The most turns that any member has had.
    turns: u64,
    /// Connections accepted so far.
    pub(super) accepted: u64,
    /// Connections dealt more than once: their first member died, drained or refused.
    pub(super) given_again: u64,
    /// Those of them that were refused.
    pub(super) refused: u64,
}

/// A connection, and where it is at home; `None`: with any member.
#[derive(Debug)]
struct Homed<C> {
    home: Option<u32>,
    connection: C,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Member<C> {
    pub(super) id: WorkerId,
    home: Option<u32>,
    ready: bool,
    stay: Stay,
    /// The most it wants open; 0 until it has said so.
    limit: u32,
    /// It has asked for connections, and has not merely said that it will.
    asked: bool,
    /// It refused what it was handed, and has not said since that anything changed.
    refuses: bool,
    /// Handed to it, and not taken: the oldest first.
    handed: VecDeque<Homed<C>>,
    /// So many of those, the newest, are not sent yet.
    unsent: usize,
    /// Taken, and not closed.
    pub(super) open: u32,
    /// Taken so far.
    pub(super) taken: u64,
    /// Refused so far.
    pub(super) refused: u64,
    /// How many turns it has had, those that it has missed for good among them.
    turns: u64,
}

/// Whether a member is to go. Who is gets nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    /// It stays.
    Stays,
    /// It goes; what it has not taken, others get, if there are any. If not, it gets what waits.
    Drains,
    /// It runs on as nobody's: what it was handed it takes.
    Released,
}

/// A worker gave account of connections that it doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misreckoned;

impl<C> Pool<C> {
    /// A pool whose members have at most so many connections open each.
    pub(super) fn new(limit: u32) -> Self {
        Self {
            members: Vec::new(),
            waiting: BTreeMap::new(),
            awaited: BTreeSet::new(),
            limit,
            turns: 0,
            accepted: 0,
            given_again: 0,
            refused: 0,
        }
    }

    /// A worker has a channel. It is dealt nothing before it is ready and has said how much it takes.
    pub(super) fn join(&mut self, id: WorkerId, ready: bool) {
        self.members.push(Member {
            id,
            home: None,
            ready,
            stay: Stay::Stays,
            limit: 0,
            asked: false,
            refuses: false,
            handed: VecDeque::with_capacity(WINDOW),
            unsent: 0,
            open: 0,
            taken: 0,
            refused: 0,
            turns: self.turns,
        });
    }

    /// A worker is ready.
    pub(super) fn ready(&mut self, id: WorkerId) {
        if let Some(member) = self.member(id) {
            member.ready = true;
        }
    }

    /// A worker says how many it wants open at most.
    pub(super) fn takes(&mut self, id: WorkerId, limit: u32) {
        if let Some(member) = self.member(id) {
            member.limit = limit;
            member.asked |= limit > 0;
            member.refuses = false;
        }
    }

    /// A worker gives account. Our copies of what it has taken are dropped; what it refused waits for others.
    ///
    /// # Errors
    /// If it can't be: nothing was changed then.
    pub(super) fn account(&mut self, id: WorkerId, account: Account) -> Result<(), Misreckoned> {
        let Some(member) = self.members.iter_mut().find(|member| member.id == id) else {
            return Ok(());
        };
        let sent = (member.handed.len() - member.unsent) as u64;
        if u64::from(account.taken) + u64::from(account.refused) > sent
            || u64::from(account.closed) > u64::from(member.open) + u64::from(account.taken)
        {
            return Err(Misreckoned);
        }
        member.handed.drain(..account.taken as usize);
        member.taken += u64::from(account.taken);
        member.open = member.open + account.taken - account.closed;
        if account.closed > 0 {
            member.refuses = false;
        }
        if account.refused > 0 {
            // What has closed since it refused is told with that, and won't be again.
            member.refuses = account.closed == 0;
            member.refused += u64::from(account.refused);
            self.refused += u64::from(account.refused);
            let refused: Vec<_> = member.handed.drain(..account.refused as usize).collect();
            self.take_back(refused);
        }
        Ok(())
    }

    /// A worker drains: it is dealt nothing more.
    pub(super) fn drain(&mut self, id: WorkerId) {
        if let Some(member) = self.member(id) {
            member.stay = Stay::Drains;
        }
    }

    /// A worker was let go of: it is dealt nothing more, and takes what it was handed.
    pub(super) fn release(&mut self, id: WorkerId) {
        if let Some(member) = self.member(id) {
            member.stay = Stay::Released;
        }
    }

    /// The members whose time to go has come: those that drain at once while others stay that have asked for connections. Where nobody
    /// does there may be nobody who could have what they were handed and what waits (all may stop, also those that only listen yet, or
    /// workers that accept for themselves may follow), so they stand by for that. Those that were let go of take what they were handed.
    pub(super) fn parting(&self) -> Vec<WorkerId> {
        let others = self.members.iter().any(|m| m.asked && m.stays());
        let waits = self.waiting() > 0;
        let done = |member: &&Member<C>| match member.stay {
            Stay::Stays => false,
            Stay::Drains => {
                let gets_more = waits && member.takes_any(self.limit);
                others || (member.handed.is_empty() && !gets_more)
            }
            Stay::Released => member.handed.is_empty(),
        };
        self.members.iter().filter(done).map(|m| m.id).collect()
    }

    /// Whether what waits will be somebody's who stays, be it that it only listens yet. One that isn't ready may never be.
    fn anybody_stays(&self) -> bool {
        self.members.iter().any(Member::stays)
    }

    /// A worker gets no more: it died, its time to part has come, its channel broke. What it has not taken waits for others.
    pub(super) fn leave(&mut self, id: WorkerId) {
        if let Some(at) = self.members.iter().position(|member| member.id == id) {
            let member = self.members.remove(at);
            self.take_back(member.handed);
        }
    }

    /// Older than all that wait, as a rule: first in their lines.
    fn take_back(
        &mut self,
        back: impl IntoIterator<Item = Homed<C>, IntoIter: DoubleEndedIterator>,
    ) {
        for connection in back.into_iter().rev() {
            self.given_again += 1;
            self.waits_first(connection);
        }
    }

    fn waits_first(&mut self, it: Homed<C>) {
        self.waiting.entry(it.home).or_default().push_front(it);
    }

    /// How many connections to accept now.
    pub(super) fn room(&self) -> usize {
        let room: usize = self.members.iter().map(|m| m.room(self.limit)).sum();
        room.saturating_sub(self.waiting())
    }

    /// How many were accepted and are nobody's.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    /// A connection was accepted.
    pub(super) fn accepted(&mut self, connection: C, home: Option<u32>) {
        self.accepted += 1;
        let it = Homed { home, connection };
        self.waiting.entry(home).or_default().push_back(it);
    }

    /// Deals what waits, one of each line in turn, as far as members have room: each to a member at its
    /// home (or any, if it has none). Where nobody stays, [those that drain](homed) have it.
    pub(super) fn deal(&mut self) {
        let last = !self.anybody_stays();
        let mut dealt = true;
        while std::mem::take(&mut dealt) {
            for (home, line) in &mut self.waiting {
                if line.is_empty() {
                    continue;
                }
                let missed = self.turns.saturating_sub(CATCH_UP);
                let may = |m: &Member<C>| m.room(self.limit) > 0;
                let next = match last {
                    true => homed::last_of(&self.members, *home, &self.awaited, self.limit, missed),
                    false => fewest(&self.members, missed, |m| m.is_at(*home) && may(m)),
                };
                let Some(next) = next.map(|next| &mut self.members[next]) else {
                    continue;
                };
                next.turns = next.turns.max(missed) + 1;
                self.turns = self.turns.max(next.turns);
                next.unsent += 1;
                next.handed.extend(line.pop_front());
                dealt = true;
            }
        }
    }

    /// What was dealt to members and not sent to them yet.
    pub(super) fn unsent(&self) -> impl Iterator<Item = (WorkerId, impl Iterator<Item = &C>)> {
        let members = self.members.iter().filter(|member| member.unsent > 0);
        members.map(|m| {
            let unsent = m.handed.iter().skip(m.handed.len() - m.unsent);
            (m.id, unsent.map(|it| &it.connection))
        })
    }

    /// All that was dealt to this worker has been sent.
    pub(super) fn sent(&mut self, id: WorkerId) {
        if let Some(member) = self.member(id) {
            member.unsent = 0;
        }
    }

    /// What was dealt to this worker could not be sent just now: it waits again.
    pub(super) fn not_sent(&mut self, id: WorkerId) {
        if let Some(member) = self.member(id) {
            let first = member.handed.len() - std::mem::take(&mut member.unsent);
            let back = member.handed.split_off(first);
            for connection in back.into_iter().rev() {
                self.waits_first(connection);
            }
        }
    }

    /// All members.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member<C>> {
        self.members.iter()
    }

    fn member(&mut self, id: WorkerId) -> Option<&mut Member<C>> {
        self.members.iter_mut().find(|member| member.id == id)
    }
}

/// Of the members that may, the one with the fewest open; of several the one that has had the fewest turns.
fn fewest<C>(
    members: &[Member<C>],
    missed: u64,
    may: impl Fn(&Member<C>) -> bool,
) -> Option<usize> {
    let open = members.iter().enumerate().filter(|(_, m)| may(m));
    let fewest = open.min_by_key(|(_, m)| (m.load(), m.turns.max(missed)));
    fewest.map(|(at, _)| at)
}

impl<C> Member<C> {
    /// Whether it is at home where this is.
    fn is_at(&self, home: Option<u32>) -> bool {
        home.is_none() || self.home == home
    }

    /// How many were handed to it that it has not taken.
    pub(super) fn handed(&self) -> usize {
        self.handed.len()
    }

    /// The most it may have open, by its own word and by ours.
    pub(super) fn limit(&self, ours: u32) -> Option<u32> {
        Some(self.limit.min(ours)).filter(|limit| *limit != UNLIMITED)
    }

    /// What it has, and will have as soon as it looks.
    fn load(&self) -> u64 {
        u64::from(self.open) + self.handed.len() as u64
    }

    /// How many it is to be handed now, while others stay.
    fn room(&self, limit: u32) -> usize {
        match self.stay {
            Stay::Stays => self.space(limit),
            Stay::Drains | Stay::Released => 0,
        }
    }

    /// Whether it has asked for connections, and has not merely said that it will.
    pub(super) fn has_asked(&self) -> bool {
        self.asked
    }

    /// Whether it is ready, and isn't told to go.
    fn stays(&self) -> bool {
        self.ready && self.stay == Stay::Stays
    }

    /// Whether it takes connections, if not just now.
    fn takes_any(&self, limit: u32) -> bool {
        self.ready && !self.refuses && self.limit.min(limit) > 0
    }

    fn space(&self, limit: u32) -> usize {
        if !self.takes_any(limit) {
            return 0;
        }
        let within_limit = u64::from(self.limit.min(limit)).saturating_sub(self.load());
        let within_window = WINDOW.saturating_sub(self.handed.len());
        within_window.min(usize::try_from(within_limit).unwrap_or(usize::MAX))
    }
}

mod homed;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
