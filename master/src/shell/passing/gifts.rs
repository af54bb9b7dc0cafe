//! Connections on their way from one worker to another: whose each is, at every moment.
//!
//! ```text
//!  give ──► held ── take ──► lent ── took ──► taken ── take back: "taken" ──► forgotten
//!            ▲ │               │
//!            │ └── take back: "back" ──► forgotten
//!            └────── refused, or the taker ends
//! ```
//! One that is taken back while it is lent is answered when that is over. No I/O here: `C` is a connection, `W` somebody who
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
mod tests {
    use super::*;

    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    type Simple = Gifts<&'static str, &'static str>;

    fn given() -> (Simple, String) {
        let mut gifts = Simple::default();
        let token = gifts.give(A, 7, "c", 42).expect("held");
        (gifts, token)
    }

    fn is_empty(gifts: &Simple) -> bool {
        gifts.gifts.is_empty() && gifts.lent.is_empty()
    }

    #[test]
    fn what_is_taken_is_taken_once_and_its_giver_is_told() {
        let (mut gifts, token) = given();
        assert_eq!(gifts.take(B, 1, &token), Some(&"c"));
        assert_eq!(gifts.take(B, 2, &token), None, "lent");
        assert_eq!(gifts.took(B, 1), None);
        assert_eq!(gifts.take(B, 3, &token), None, "taken");
        let told = gifts.take_back(A, 7, "a");
        assert_eq!(told, Some(("a", 7, Fate::Taken)));
        assert!(is_empty(&gifts));
    }

    #[test]
    fn what_nobody_took_is_its_givers_and_nobody_can_take_it_any_more() {
        let (mut gifts, token) = given();
        assert_eq!(gifts.take_back(A, 7, "a"), Some(("a", 7, Fate::Back)));
        assert_eq!(gifts.take(B, 1, &token), None);
        let told = gifts.take_back(A, 7, "again");
        assert_eq!(told, Some(("again", 7, Fate::Back)));
        assert!(is_empty(&gifts));
    }

    #[test]
    fn while_it_is_lent_its_giver_waits_for_how_that_ends() {
        for (end, fate) in [
            (Simple::took as fn(&mut Simple, _, _) -> _, Fate::Taken),
            (Simple::refused, Fate::Back),
            (|gifts, taker, _| gifts.gone(taker).pop(), Fate::Back),
        ] {
            let (mut gifts, token) = given();
            assert!(gifts.take(B, 1, &token).is_some());
            assert_eq!(gifts.take_back(A, 7, "a"), None);
            assert_eq!(end(&mut gifts, B, 1), Some(("a", 7, fate)));
            assert!(is_empty(&gifts));
        }
    }

    #[test]
    fn what_was_refused_can_be_taken_by_another() {
        let (mut gifts, token) = given();
        assert!(gifts.take(B, 1, &token).is_some());
        assert_eq!(gifts.refused(B, 1), None);
        assert!(gifts.take(A, 1, &token).is_some(), "its giver may, too");
    }

    #[test]
    fn whoever_ends_leaves_nothing_behind() {
        let (mut gifts, token) = given();
        assert!(gifts.take(B, 1, &token).is_some());
        assert!(gifts.gone(A).is_empty());
        assert_eq!(gifts.took(B, 1), None);
        assert!(is_empty(&gifts));
    }

    #[test]
    fn tokens_can_t_be_guessed_and_gifts_are_bounded() {
        let (mut gifts, _) = given();
        for token in ["", "1-7", "1-7-0", "2-7-x", "1-7-2a", "x"] {
            assert_eq!(gifts.take(B, 1, token), None, "{token:?}");
        }
        assert_ne!(secret().expect("random"), secret().expect("random"));
        assert!(gifts.give(A, 7, "again", 1).is_err(), "the number is used");
        for number in 100..100 + MOST as u64 - 1 {
            gifts.give(A, number, "c", 1).expect("room");
        }
        assert!(gifts.give(A, 1, "one too many", 1).is_err());
        assert!(gifts.give(B, 1, "another's", 1).is_ok());
    }
}
