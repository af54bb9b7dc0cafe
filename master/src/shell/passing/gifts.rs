//! Connections on their way from one worker to another: whose each is, at every moment.
//!
//! ```text
//!  give ──► held ── take ──► lent ── took ──► taken ── take back: "taken" ──► forgotten
//!            ▲ │               │
//!            │ └── take back: "back" ──► forgotten
//!            └────── refused, or the taker ends
//! ```
//! One that is taken back while it is lent is answered when that is over, or has taken too long: its taker has had it then. No I/O here: `C` is a connection, `W` somebody who
//! waits for an answer.

use std::{collections::BTreeMap, io};

use ostler_bus::WorkerId;
use rustix::rand::{GetRandomFlags, getrandom};

/// Connections that one worker may have on their way, those whose fate it has not asked for among them.
const MOST: usize = 64;

/// What became of a gift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is its giver's.
    Back,
    /// It is somebody else's.
    Taken,
}

/// Who gave it, and the giver's number for it.
type GiftId = (WorkerId, u64);

/// All of them.
#[derive(Debug)]
pub(crate) struct Gifts<C, W> {
    gifts: BTreeMap<GiftId, Gift<C, W>>,
    /// By who has it lent, and the taker's number for it.
    lent: BTreeMap<(WorkerId, u64), GiftId>,
}

#[derive(Debug)]
struct Gift<C, W> {
    token: String,
    state: State<C, W>,
}

#[derive(Debug)]
enum State<C, W> {
    Held(C),
    Lent { connection: C, asks: Option<W> },
    Taken,
}

/// What nobody can guess.
///
/// # Errors
/// If the system has no randomness.
pub(super) fn secret() -> io::Result<u128> {
    let mut bits = [0; 16];
    // So few bytes come at once, or not at all.
    getrandom(&mut bits, GetRandomFlags::empty())?;
    Ok(u128::from_ne_bytes(bits))
}

impl<C, W> Default for Gifts<C, W> {
    fn default() -> Self {
        Self {
            gifts: BTreeMap::new(),
            lent: BTreeMap::new(),
        }
    }
}

impl<C, W> Gifts<C, W> {
    /// Holds a connection; gives the token by which it can be taken.
    ///
    /// # Errors
    /// If its giver has too many on their way, or one of this number.
    pub(super) fn give(
        &mut self,
        giver: WorkerId,
        number: u64,
        connection: C,
        secret: u128,
    ) -> io::Result<String> {
        let its = self.gifts.range((giver, 0)..=(giver, u64::MAX));
        if its.count() >= MOST {
            return Err(io::Error::other(format!(
                "{MOST} connections of this worker are on their way already"
            )));
        }
        if self.gifts.contains_key(&(giver, number)) {
            return Err(io::Error::other("the number was used before"));
        }
        let token = format!("{giver}-{number}-{secret:032x}");
        let gift = Gift {
            token: token.clone(),
            state: State::Held(connection),
        };
        self.gifts.insert((giver, number), gift);
        Ok(token)
    }

    /// Lends a connection to whoever has its token, until it says that it took it, or not.
    pub(super) fn take(&mut self, taker: WorkerId, number: u64, token: &str) -> Option<&C> {
        let id = gift_of(token)?;
        let gift = self.gifts.get_mut(&id).filter(|gift| gift.token == token)?;
        if self.lent.contains_key(&(taker, number)) {
            return None;
        }
        match std::mem::replace(&mut gift.state, State::Taken) {
            State::Held(connection) => {
                self.lent.insert((taker, number), id);
                let asks = None;
                gift.state = State::Lent { connection, asks };
                match &gift.state {
                    State::Lent { connection, .. } => Some(connection),
                    State::Held(_) | State::Taken => None,
                }
            }
            other => {
                gift.state = other;
                None
            }
        }
    }

    /// What was lent is its taker's now. Gives who is to be told what.
    pub(super) fn took(&mut self, taker: WorkerId, number: u64) -> Option<(W, u64, Fate)> {
        let id = self.lent.remove(&(taker, number))?;
        let gift = self.gifts.get_mut(&id)?;
        let before = std::mem::replace(&mut gift.state, State::Taken);
        self.tell(id, before, Fate::Taken)
    }

    /// What was lent is not wanted.
    pub(super) fn refused(&mut self, taker: WorkerId, number: u64) -> Option<(W, u64, Fate)> {
        let id = self.lent.remove(&(taker, number))?;
        let gift = self.gifts.get_mut(&id)?;
        match std::mem::replace(&mut gift.state, State::Taken) {
            State::Lent {
                connection,
                asks: None,
            } => {
                gift.state = State::Held(connection);
                None
            }
            before => self.tell(id, before, Fate::Back),
        }
    }

    fn tell(&mut self, id: GiftId, before: State<C, W>, fate: Fate) -> Option<(W, u64, Fate)> {
        match before {
            State::Lent {
                asks: Some(asker), ..
            } => {
                self.gifts.remove(&id);
                Some((asker, id.1, fate))
            }
            State::Lent { asks: None, .. } | State::Held(_) | State::Taken => None,
        }
    }

    /// Its giver wants it back, or to know that it is taken.
    pub(super) fn take_back(
        &mut self,
        giver: WorkerId,
        number: u64,
        asker: W,
    ) -> Option<(W, u64, Fate)> {
        let Some(gift) = self.gifts.get_mut(&(giver, number)) else {
            return Some((asker, number, Fate::Back));
        };
        let fate = match &mut gift.state {
            State::Lent { asks, .. } => {
                *asks = Some(asker);
                return None;
            }
            State::Held(_) => Fate::Back,
            State::Taken => Fate::Taken,
        };
        self.gifts.remove(&(giver, number));
        Some((asker, number, fate))
    }

    /// Its giver has waited long enough for how its being lent ends: whoever has it may use it any moment.
    pub(super) fn overdue(&mut self, giver: WorkerId, number: u64) -> Option<(W, u64, Fate)> {
        let id = (giver, number);
        let gift = self.gifts.get_mut(&id)?;
        match std::mem::replace(&mut gift.state, State::Taken) {
            before @ State::Lent { asks: Some(_), .. } => {
                self.lent.retain(|_, lent| *lent != id);
                self.tell(id, before, Fate::Taken)
            }
            // Another one of this number.
            before => {
                gift.state = before;
                None
            }
        }
    }

    /// A worker has ended: what it gave is closed, what was lent to it is held again.
    pub(super) fn gone(&mut self, worker: WorkerId) -> Vec<(W, u64, Fate)> {
        let of_it = |(whose, _): &(WorkerId, u64)| *whose == worker;
        let lent: Vec<_> = self.lent.keys().copied().filter(of_it).collect();
        let told = lent
            .into_iter()
            .filter_map(|(taker, number)| self.refused(taker, number));
        let told = told.collect();
        self.gifts.retain(|id, _| !of_it(id));
        self.lent.retain(|_, id| !of_it(id));
        told
    }
}

/// Which gift a token is of.
fn gift_of(token: &str) -> Option<GiftId> {
    let mut parts = token.split('-');
    let giver = parts.next()?.parse().ok()?;
    Some((WorkerId(giver), parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests;
