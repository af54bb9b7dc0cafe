//! Who is where in the kernel's group, as far as that can be known.
//!
//! ```text
//!  0 1 2 3   0 leaves, and then 1:  3 1 2  ─►  3 2
//!            1 leaves, and then 0:  0 3 2  ─►  2 3
//! ```
//! Where several leave before anybody looks, their order is not known. Those behind which nobody is left any more stay where they
//! are; the others have come into the places that were left: one alone into the only one, several in an order that is not
//! known either. Of these it is known as a whole where they are, so they are chosen together or not at all.

use std::collections::BTreeSet;

use super::{Group, Member};
use crate::sockets::SocketId;

impl Group {
    /// A listener is closed, or about to be.
    pub(in crate::sockets::slots) fn part(&mut self, id: SocketId) {
        self.leave(&[id]);
        self.shut.retain(|member| member.id != id);
    }

    /// Workers have shut these listeners down, in whatever order.
    pub(in crate::sockets::slots) fn shut_down(&mut self, ids: &[SocketId]) {
        let gone = self.leave(ids);
        self.shut.extend(gone);
    }

    /// It listens again. Meanwhile these were shut down, and it is not known whether before it listened or after.
    pub(in crate::sockets::slots) fn listens_again(
        &mut self,
        id: SocketId,
        meanwhile: &[SocketId],
    ) {
        // One that was not known to be shut has left the group all the same, and come again.
        self.shut_down(&[id]);
        let moved = self.moved_by(meanwhile);
        self.shut_down(meanwhile);
        let Some(at) = self.shut.iter().position(|member| member.id == id) else {
            return;
        };
        let member = self.shut.remove(at);
        self.members.push(member);
        if let Some(moved) = moved {
            self.unsure.extend(moved.into_iter().chain([id]));
            self.forget_if_sure();
        }
    }

    /// Who comes into another place when these leave; `None` if none of these is there.
    fn moved_by(&self, ids: &[SocketId]) -> Option<Vec<SocketId>> {
        let all = self.members.iter().map(|member| member.id);
        let left = all.clone().filter(|id| !ids.contains(id)).count();
        let moved = all.skip(left).filter(|id| !ids.contains(id)).collect();
        (left < self.members.len()).then_some(moved)
    }

    fn leave(&mut self, ids: &[SocketId]) -> Vec<Member> {
        let moved = self.moved_by(ids).unwrap_or_default();
        let unsure = self.unsure.len();
        self.unsure.retain(|id| !ids.contains(id));
        if moved.len() > 1 || self.unsure.len() < unsure {
            self.unsure.extend(moved);
        }
        self.forget_if_sure();
        let mut gone = Vec::new();
        for id in ids {
            if let Some(at) = self.members.iter().position(|member| member.id == *id) {
                gone.push(self.members.swap_remove(at));
            }
        }
        gone
    }

    /// One alone is where nobody else is.
    fn forget_if_sure(&mut self) {
        if self.unsure.len() == 1 {
            self.unsure.clear();
        }
    }

    /// The slots that may be in each other's places.
    pub(in crate::sockets::slots) fn unsure(&self) -> BTreeSet<u32> {
        let unsure = self.members.iter().filter(|member| self.is_unsure(member));
        unsure.map(|member| member.slot).collect()
    }

    pub(super) fn is_unsure(&self, member: &Member) -> bool {
        self.unsure.contains(&member.id)
    }

    /// Where these are. Those that may be in each other's places are among them only if all of them are meant; or if nobody else is,
    /// and one of them: better somebody too many than nobody.
    pub(super) fn positions(&self, which: impl Fn(&Member) -> bool) -> Vec<usize> {
        let are = |which: &dyn Fn(&Member) -> bool| -> Vec<usize> {
            let all = self.members.iter().enumerate();
            all.filter(|(_, m)| which(m)).map(|(at, _)| at).collect()
        };
        let unsure = are(&|member| which(member) && self.is_unsure(member)).len();
        if unsure == 0 || unsure == self.unsure.len() {
            return are(&which);
        }
        match are(&|member| which(member) && !self.is_unsure(member)) {
            nobody if nobody.is_empty() => are(&|member| self.is_unsure(member)),
            sure => sure,
        }
    }
}
