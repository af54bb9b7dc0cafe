//! What each slot gets, and why those get nothing that don't.

use super::{Group, Member};
use crate::{fleet::Service, sockets::slots::program::Choice};

/// Why a slot gets no connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sockets::slots) enum LeftOut {
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
    /// It may have the place of one that is left out.
    Unsure,
    /// A worker has called `shutdown` on it.
    Shut,
}

impl LeftOut {
    pub(in crate::sockets::slots) fn in_words(self) -> &'static str {
        match self {
            Self::Retired => "the app has fewer workers now",
            Self::GivenUp => "its worker has ended or failed",
            Self::NobodyReady => "its worker is not ready",
            Self::LongQueue => "its queue is long",
            Self::NoBuckets => "there are more slots than buckets of clients",
            Self::Unsure => "the kernel may have it in the place of one that is left out",
            Self::Shut => "it was shut down",
        }
    }
}

impl Group {
    /// All listeners that are in use, how many buckets each has, and why those get nothing that don't.
    pub(in crate::sockets::slots) fn report(&self) -> Vec<(&Member, Option<u32>, Option<LeftOut>)> {
        let chosen = self.choice();
        let shown = self.members.iter().enumerate();
        let shown = shown.filter(|(_, member)| !member.kept);
        let listed = shown.map(|(at, member)| {
            let (buckets, gets) = match &chosen {
                Some(Choice::ByClient(_, buckets)) => {
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
            Service::Serves if member.long => LeftOut::LongQueue,
            Service::Serves if self.is_unsure(member) => LeftOut::Unsure,
            Service::Serves => LeftOut::NoBuckets,
        }
    }
}
