//! Sockets that workers ask for at run time: bound when the first worker of an app asks, shared by all that ask for the
//! same, closed when the last one has gone.
//!
//! The n-th question of a worker for port 0 at an address shares its socket with the n-th of every other. A worker that
//! ends leaves what it held to its slot, as long as that waits for another worker: so neither a crash nor an update closes
//! it in between.

use std::collections::BTreeSet;

use ostler_bus::{Slot, WorkerId, vocab::status::SocketStatus};

use rustix::process::{Resource, getrlimit};

use super::{Held, SocketId, Sockets};
use crate::{
    config::app::{AppName, SocketAddress, SocketDeclaration},
    sockets::{
        BindError, BoundSocket, Problem,
        bind::{Whose, bind_for},
    },
    sys::FdTable,
};

/// Sockets that one worker may hold.
const MOST: usize = 256;

/// Sockets that all workers together may hold: an eighth of the descriptors that the master may have open, as it needs up to
/// four for each.
fn most_of_all() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let most = limit.map(|limit| usize::try_from(limit / 8));
    most.and_then(Result::ok).unwrap_or(usize::MAX)
}

/// A socket that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// As it was asked for.
    address: SocketAddress,
    /// How many for the same address a worker had when it asked for this one: only for port 0 it may be any.
    number: u32,
    held: Held,
    /// Who has it, and by which question.
    by: BTreeSet<(WorkerId, u64)>,
    /// Slots whose worker had it.
    heirs: BTreeSet<Slot>,
    /// A worker that was let go of has it: it goes on.
    shared_with_others: bool,
}

impl Asked {
    pub(super) fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    fn has(&self, worker: WorkerId) -> bool {
        self.by.iter().any(|(holder, _)| *holder == worker)
    }

    fn part_with(&mut self, worker: WorkerId) -> bool {
        let before = self.by.len();
        self.by.retain(|(holder, _)| *holder != worker);
        self.by.len() < before
    }

    fn is_nobodys(&self) -> bool {
        self.by.is_empty() && self.heirs.is_empty()
    }

    fn status(&self, table: &FdTable) -> SocketStatus {
        let mut workers: Vec<WorkerId> = self.by.iter().map(|(worker, _)| *worker).collect();
        workers.dedup();
        SocketStatus {
            asked_by: Some(workers),
            ..self.held.socket.status(table)
        }
    }
}

/// What was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Got {
    /// The socket.
    pub id: SocketId,
    /// It was bound just now.
    pub is_new: bool,
}

/// What a worker has given back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// The socket that it no longer has; `None` if it had none by that question.
    pub left: Option<SocketId>,
    /// What was closed, as nobody has it any more.
    pub closed: Vec<SocketId>,
}

/// Whether it is another port each time that it is bound.
pub(super) fn any_port(address: &SocketAddress) -> bool {
    match address {
        SocketAddress::Tcp(ip) | SocketAddress::Udp(ip) => ip.port() == 0,
        SocketAddress::Unix(_) | SocketAddress::Starter(_) => false,
    }
}

impl Sockets {
    /// A worker asks for a socket, by its question of this number. The declaration's name is given here.
    ///
    /// # Errors
    /// If it can't be bound, or the worker has it already. Nothing of that is remembered.
    pub fn ask(
        &mut self,
        app: &AppName,
        (worker, question): (WorkerId, u64),
        mut declaration: SocketDeclaration,
    ) -> Result<Got, BindError> {
        let address = declaration.address.clone();
        let failed = |problem| {
            Err(BindError {
                name: address.to_string(),
                address: address.clone(),
                problem,
            })
        };
        let sockets: usize = self.asked.values().map(Vec::len).sum();
        let there = self.asked.entry(app.clone()).or_default();
        let its = || there.iter().filter(|asked| asked.has(worker));
        if its().count() >= MOST {
            return failed(Problem::TooMany(MOST));
        }
        let same = || its().filter(|asked| asked.address == address);
        if !any_port(&address) && same().next().is_some() {
            return failed(Problem::ItsOwn);
        }
        let number = (0..).find(|number| same().all(|asked| asked.number != *number));
        let number = number.unwrap_or_default();
        let mut shared = there.iter_mut();
        let shared = shared.find(|asked| asked.address == address && asked.number == number);
        if let Some(asked) = shared {
            asked.by.insert((worker, question));
            return Ok(Got {
                id: asked.held.id,
                is_new: false,
            });
        }
        if sockets >= most_of_all() {
            return failed(Problem::NoRoom);
        }
        declaration.name = match number {
            0 => address.to_string(),
            more => format!("{address}#{}", more + 1),
        };
        let whose = Whose {
            slot: None,
            beside: None,
            asked: true,
        };
        let socket = bind_for(app, &declaration, whose, &self.starter, &mut self.table)?;
        self.last += 1;
        let id = SocketId(self.last);
        there.push(Asked {
            address,
            number,
            held: Held { id, socket },
            by: [(worker, question)].into(),
            heirs: BTreeSet::new(),
            shared_with_others: false,
        });
        Ok(Got { id, is_new: true })
    }

    /// A worker has closed what it got for a question, or doesn't want it any more.
    pub fn give_back(&mut self, app: &AppName, worker: WorkerId, question: u64) -> GivenBack {
        let mut left = None;
        for asked in self.asked.get_mut(app).into_iter().flatten() {
            if asked.by.remove(&(worker, question)) {
                left = Some(asked.held.id);
            }
        }
        GivenBack {
            left,
            closed: self.close_asked(app),
        }
    }

    /// Whether a worker still has what it got for a question.
    #[must_use]
    pub fn still_has(&self, socket: SocketId, worker: WorkerId, question: u64) -> bool {
        let mut all = self.asked.values().flatten();
        let its = all.find(|asked| asked.held.id == socket);
        its.is_some_and(|asked| asked.by.contains(&(worker, question)))
    }

    /// A worker has ended: what it held is its slot's until [`Sockets::settle`] finds that nobody comes. What the slot had
    /// of one before it is not, unless this one has asked for nothing yet. Gives what was closed.
    pub fn leave_to_slot(&mut self, app: &AppName, worker: WorkerId, slot: Slot) -> Vec<SocketId> {
        let there = self
            .asked
            .get_mut(app)
            .map_or(&mut [][..], Vec::as_mut_slice);
        let asked_any = there.iter().any(|asked| asked.has(worker));
        for asked in there {
            if asked.part_with(worker) {
                asked.heirs.insert(slot);
            } else if asked_any {
                asked.heirs.remove(&slot);
            }
        }
        self.close_asked(app)
    }

    /// A worker runs on as nobody's: what it held alone is closed here, and stays with it. Gives what was closed.
    pub fn leave_with(&mut self, app: &AppName, worker: WorkerId) -> Vec<SocketId> {
        for asked in self.asked.get_mut(app).into_iter().flatten() {
            asked.shared_with_others |= asked.part_with(worker);
        }
        self.close_asked(app)
    }

    /// Whether a slot has anything.
    #[must_use]
    pub fn is_left_to_slots(&self) -> bool {
        let mut all = self.asked.values().flatten();
        all.any(|asked| !asked.heirs.is_empty())
    }

    /// Takes from slots what they have, unless another worker is awaited there. Gives what was closed.
    pub fn settle(&mut self, awaits: impl Fn(&AppName, Slot) -> bool) -> Vec<(AppName, SocketId)> {
        let apps: Vec<AppName> = self.asked.keys().cloned().collect();
        let mut closed = Vec::new();
        for app in apps {
            for asked in self.asked.get_mut(&app).into_iter().flatten() {
                asked.heirs.retain(|slot| awaits(&app, *slot));
            }
            let gone = self.close_asked(&app).into_iter();
            closed.extend(gone.map(|id| (app.clone(), id)));
        }
        closed
    }

    /// Closes what nobody has any more.
    fn close_asked(&mut self, app: &AppName) -> Vec<SocketId> {
        let mut there = self.asked.remove(app).unwrap_or_default();
        let gone: Vec<Asked> = there.extract_if(.., |asked| asked.is_nobodys()).collect();
        if !there.is_empty() {
            self.asked.insert(app.clone(), there);
        }
        let closed = gone.iter().map(|asked| asked.held.id).collect();
        for asked in gone {
            self.part_with_asked(app, asked);
        }
        closed
    }

    fn part_with_asked(&mut self, app: &AppName, asked: Asked) {
        match asked.shared_with_others {
            true => asked.held.socket.leave(&mut self.table),
            false => self.close(app, vec![asked.held]),
        }
    }

    /// An app has gone.
    pub(super) fn forget_asked(&mut self, app: &AppName) {
        for asked in self.asked.remove(app).unwrap_or_default() {
            self.part_with_asked(app, asked);
        }
    }

    /// The same, but whoever has them goes on.
    pub(super) fn leave_asked(&mut self, app: &AppName) {
        for asked in self.asked.get_mut(app).into_iter().flatten() {
            asked.shared_with_others = true;
        }
        self.forget_asked(app);
    }

    pub(super) fn asked_for(&self, id: SocketId) -> Option<(&AppName, &BoundSocket)> {
        self.asked.iter().find_map(|(app, asked)| {
            let mut held = asked.iter().map(|asked| &asked.held);
            Some((app, &held.find(|held| held.id == id)?.socket))
        })
    }

    pub(in crate::sockets) fn status_of_asked(
        &self,
        app: &str,
    ) -> impl Iterator<Item = (SocketId, SocketStatus)> {
        let found = self.asked.iter().find(|(name, _)| name.as_str() == app);
        let asked = found.into_iter().flat_map(|(_, asked)| asked);
        asked.map(|asked| (asked.held.id, asked.status(&self.table)))
    }
}

#[cfg(test)]
mod tests;
