//! Finds out whether what peers claim at HELLO is true: that they are a worker, or hold a token. The core asks; this looks
//! at tokens and processes, and answers.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    core::{PeerClaim, Whose},
    principal::Role,
    stream::Stream,
    thread::Life,
    tokens::{Tokens, Wrong},
};
use crate::wire::control::CloseKind;

/// Those who have come over a network.
#[derive(Debug, Default)]
pub(super) struct Guests {
    /// Not vouched for yet: each holds one of a bounded number of places.
    greeting: RefCell<HashMap<u64, OwnedSemaphorePermit>>,
    /// Vouched for, with the mark of the token they came by.
    known: RefCell<HashMap<u64, (blake3::Hash, Role)>>,
}

impl Guests {
    pub(super) fn greet(&self, id: u64, place: OwnedSemaphorePermit) {
        self.greeting.borrow_mut().insert(id, place);
    }

    pub(super) fn left(&self, id: u64) {
        self.greeting.borrow_mut().remove(&id);
        self.known.borrow_mut().remove(&id);
    }

    fn welcomed(&self, id: u64, mark: blake3::Hash, role: Role) {
        // Who has gone meanwhile is not there to be welcomed.
        if self.greeting.borrow_mut().remove(&id).is_some() {
            self.known.borrow_mut().insert(id, (mark, role));
        }
    }

    /// Those whose token is good no longer.
    fn outdated(&self, tokens: &Tokens) -> Vec<u64> {
        let known = self.known.borrow();
        let outdated = known
            .iter()
            .filter(|(_, (mark, role))| !tokens.holds(mark, *role));
        outdated.map(|(id, _)| *id).collect()
    }
}

/// Answers claims for as long as the hub lives.
pub(super) async fn vouch(life: Rc<Life>) {
    loop {
        life.shell.claimed.rung().await;
        let claims = life.shell.claims.take();
        // A token that was taken back before it was shown is good no longer.
        life.obeyed().await;
        for claim in claims {
            answer(&life, claim);
        }
    }
}

fn answer(life: &Rc<Life>, claim: PeerClaim) {
    let id = claim.conn;
    let Some(link) = life.shell.link(id) else {
        return;
    };
    let pid = match &link.stream {
        Stream::Unix(socket) => socket.peer().ok().map(|(_, pid)| pid),
        Stream::Tcp(_) => return network(life, claim),
        #[cfg(feature = "tls")]
        Stream::Tls { .. } => return network(life, claim),
        Stream::Memory { .. } => None,
    };
    let outcome = life.passes.check(&claim.token, pid);
    life.shell
        .step(|core| core.vouched(Instant::now(), id, outcome));
}

fn network(life: &Rc<Life>, claim: PeerClaim) {
    let id = claim.conn;
    let checked = life
        .tokens
        .borrow()
        .check(&claim.token, claim.kind, &claim.name);
    match checked {
        Ok((principal, mark)) => {
            life.guests.welcomed(id, mark, principal.role());
            let owner = life.tokens.borrow().name_of(&mark).map(str::to_owned);
            let outcome = Ok((principal, None));
            life.shell.step(|core| {
                if let Some(name) = owner {
                    core.vouch(id, Whose::Token(name));
                }
                core.vouched(Instant::now(), id, outcome);
            });
        }
        Err(wrong) => {
            let reason = match wrong {
                Wrong::Unknown => {
                    let count = life.wrong_tokens.get() + 1;
                    life.wrong_tokens.set(count);
                    format!("{wrong} ({count} wrong ones so far)")
                }
                Wrong::TooMuch { .. } | Wrong::Worker => wrong.to_string(),
            };
            let shell = Rc::clone(&life.shell);
            let delay = life.limits.denial_delay;
            life.spawn(async move {
                tokio::time::sleep(delay).await;
                shell.step(|core| core.vouched(Instant::now(), id, Err(reason)));
            });
        }
    }
}

/// Takes other tokens: those who came by one that is good no longer have to go.
pub(super) fn exchange(life: &Life, tokens: Tokens) {
    for id in life.guests.outdated(&tokens) {
        let reason = "the token it came with is good no longer".to_owned();
        life.shell
            .step(|core| core.dismiss(Instant::now(), id, CloseKind::Denied, reason));
    }
    life.tokens.replace(tokens);
}
