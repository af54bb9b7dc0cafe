//! The tokens that workers come back with when they have lost the socket they inherited.
//!
//! Each worker is given one of its own, at random, in the WELCOME on that socket. It opens the door only to a process of the
//! worker's own session or process group: what leaks into a log helps nobody else. Held beside the hub's lives, so that
//! it is good after a panic too.

use std::{cell::RefCell, collections::HashMap, fs, rc::Rc};

use super::{core::WorkerToken, principal::Principal, random};
use crate::WorkerId;

/// Every token there is, by worker.
#[derive(Debug, Default)]
pub(super) struct Passes(RefCell<HashMap<WorkerId, Pass>>);

#[derive(Debug)]
struct Pass {
    principal: Principal,
    token: WorkerToken,
}

impl Passes {
    /// A token for this worker, instead of any it had. `None` for others, and where the system has no random bits.
    pub(super) fn issue(&self, principal: &Principal) -> Option<WorkerToken> {
        let Principal::Worker { id, .. } = principal else {
            return None;
        };
        let token: WorkerToken = random_hex()?.into();
        let pass = Pass {
            principal: principal.clone(),
            token: Rc::clone(&token),
        };
        self.0.borrow_mut().insert(*id, pass);
        Some(token)
    }

    /// The worker is no more.
    pub(super) fn revoke(&self, worker: WorkerId) {
        self.0.borrow_mut().remove(&worker);
    }

    /// Which worker a process is that shows this token; `pid` as the kernel tells it of the peer.
    pub(super) fn check(
        &self,
        token: &str,
        pid: Option<i32>,
    ) -> Result<(Principal, Option<WorkerToken>), String> {
        let shown = blake3::hash(token.as_bytes());
        let passes = self.0.borrow();
        // Compared as hashes, in constant time, and with all of them.
        let found = passes.values().fold(None, |found, pass| {
            match blake3::hash(pass.token.as_bytes()) == shown {
                true => Some(pass),
                false => found,
            }
        });
        let pass = found.ok_or("no worker that lives has this token")?;
        let Principal::Worker {
            id, pid: leader, ..
        } = &pass.principal
        else {
            return Err("this token is no worker's".into());
        };
        let peer = pid.filter(|pid| *pid > 0).ok_or(
            "the kernel doesn't say which process this is: a worker's token is good in the master's own container only",
        )?;
        if !belongs(peer, *leader) {
            return Err(format!(
                "this is the token of worker {id}, and process {peer} belongs to neither its session nor its process group"
            ));
        }
        Ok((pass.principal.clone(), Some(Rc::clone(&pass.token))))
    }
}

/// Whether process `peer` is of the session or the process group that `leader` leads.
fn belongs(peer: i32, leader: u32) -> bool {
    leader != 0 && group_and_session(peer).is_some_and(|ids| ids.contains(&leader))
}

/// A process's group and session; 0 is one that began outside of this process's pid namespace.
fn group_and_session(pid: i32) -> Option<[u32; 2]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything: what follows the last one counts. State, parent, group, session.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(2);
    let mut next = || fields.next()?.parse().ok();
    Some([next()?, next()?])
}

/// 128 random bits, as 32 hexadecimal digits.
fn random_hex() -> Option<String> {
    random::bits().ok().map(|bits| format!("{bits:032x}"))
}

/// The process group of this very process. Where that began outside of its pid namespace (a container that was entered) it
/// has no number here; then this process begins a group of its own.
#[cfg(test)]
pub(super) fn own_group() -> u32 {
    let pid = std::process::id();
    match group_and_session(pid.cast_signed()) {
        Some([group, _]) if group != 0 => group,
        _ => {
            rustix::process::setpgid(None, None).expect("a group of its own");
            pid
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Generation, Slot};

    fn worker(id: u64, pid: u32) -> Principal {
        Principal::Worker {
            app: "web".into(),
            id: WorkerId(id),
            slot: Slot(0),
            generation: Generation(1),
            pid,
        }
    }

    #[test]
    fn a_token_is_good_for_its_workers_processes_alone() {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let group = own_group();
        let passes = Passes::default();
        let (ours, others) = (worker(1, group), worker(2, 1));
        let token = passes.issue(&ours).expect("random bits");
        let foreign = passes.issue(&others).expect("random bits");
        assert_eq!(token.len(), 32);
        assert_ne!(token, foreign);
        let (principal, again) = passes.check(&token, Some(pid)).expect("it is ours");
        assert_eq!((principal, again), (ours, Some(Rc::clone(&token))));
        for (token, pid, word) in [
            (&*foreign, Some(pid), "neither its session"),
            (&*token, Some(1), "neither its session"),
            (&*token, Some(0), "doesn't say which process"),
            (&*token, None, "doesn't say which process"),
            (&token[..31], Some(pid), "no worker"),
            ("", Some(pid), "no worker"),
        ] {
            let reason = passes.check(token, pid).unwrap_err();
            assert!(reason.contains(word), "{word:?} in {reason:?}");
        }
        let newer = passes.issue(&worker(1, group)).expect("random bits");
        assert!(passes.check(&token, Some(pid)).is_err(), "replaced");
        passes.revoke(WorkerId(1));
        assert!(passes.check(&newer, Some(pid)).is_err(), "revoked");
        assert_eq!(passes.issue(&Principal::Master), None);
    }
}
