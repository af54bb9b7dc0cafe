//! A worker as the checker believes it to be: where it is in its life, and what it was told and has told.

use std::sync::Arc;

use ostler_bus::{Generation, Slot};

use super::held::HeldModel;

use crate::{
    config::app::AppDefinition,
    fleet::{Moment, sim::script},
};

/// A worker as it should be.
#[derive(Debug)]
pub(in crate::fleet::sim) struct WorkerModel {
    pub(in crate::fleet::sim) app: String,
    pub(in crate::fleet::sim) slot: Slot,
    pub(in crate::fleet::sim) generation: Generation,
    pub(in crate::fleet::sim) definition: Arc<AppDefinition>,
    pub(in crate::fleet::sim) spawned: bool,
    /// Its start was called off.
    pub(in crate::fleet::sim) called_off: bool,
    pub(in crate::fleet::sim) online: bool,
    pub(in crate::fleet::sim) disconnected: bool,
    pub(in crate::fleet::sim) life: Life,
    /// It was ready when it was told to go.
    pub(in crate::fleet::sim) was_ready: bool,
    /// The question it has not answered.
    pub(in crate::fleet::sim) asked: Option<u64>,
    /// It has answered well.
    pub(in crate::fleet::sim) answered: bool,
    /// How many answers in a row, since it has been ready, were bad.
    pub(in crate::fleet::sim) bad: u32,
    /// When it last said that it lives.
    pub(in crate::fleet::sim) beat: Moment,
    /// When its process began.
    pub(in crate::fleet::sim) born: Moment,
    /// The most memory it was found to have.
    pub(in crate::fleet::sim) memory: u64,
    /// How many requests it has served, how many of them have not ended, and when that last changed.
    pub(in crate::fleet::sim) served: Option<(u64, u64, Moment)>,
    /// It had been idle for too long once, or its hour has come.
    pub(in crate::fleet::sim) worn: bool,
    /// It was started by an update, and has not taken over yet.
    pub(in crate::fleet::sim) on_trial: bool,
    /// It was started to take over from one that is to be recycled.
    pub(in crate::fleet::sim) recycles: bool,
    /// It took over from one that was recycled.
    pub(in crate::fleet::sim) relieves: bool,
    /// It told that more of its requests failed than may.
    pub(in crate::fleet::sim) fails: bool,
    /// Until when the master stood still last.
    pub(in crate::fleet::sim) deaf_until: Moment,
    /// What it still has to finish.
    pub(in crate::fleet::sim) held: HeldModel,
    /// Signals it got, and 0 for a drain message.
    pub(in crate::fleet::sim) told: Vec<i32>,
}

/// Where a worker is in its life.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::fleet::sim) enum Life {
    Starting,
    Ready { since: Moment, assumed: bool },
    Leaving { since: Moment, reason: String },
}

impl WorkerModel {
    pub(in crate::fleet::sim) fn leaving(&self) -> bool {
        matches!(self.life, Life::Leaving { .. })
    }

    /// Whether it is ready, but was not heard of in time, or did not answer well too often.
    pub(in crate::fleet::sim) fn is_hung(&self, now: Moment) -> bool {
        let Life::Ready { since, .. } = self.life else {
            return false;
        };
        let life = &self.definition.life;
        let silent = now - self.beat.max(since);
        life.watchdog.is_some_and(|limit| silent >= limit)
            || life
                .health
                .as_ref()
                .is_some_and(|health| self.bad >= health.failures)
    }

    pub(in crate::fleet::sim) fn serves(&mut self, requests: u64, under_way: u64, now: Moment) {
        if self
            .served
            .is_none_or(|(r, u, _)| (r, u) != (requests, under_way))
        {
            self.worn |= self.is_idle(now);
            self.served = Some((requests, under_way, now));
        }
    }

    fn is_idle(&self, now: Moment) -> bool {
        let idle = |time| matches!(self.served, Some((1.., 0, at)) if now - at >= time);
        self.definition.recycle.idle_timeout.is_some_and(idle)
    }

    /// Whether it is too old, was too large, has served enough, is or was idle, or its hour has come.
    pub(in crate::fleet::sim) fn may_be_recycled(&self, now: Moment) -> bool {
        let recycle = &self.definition.recycle;
        let requests = self.served.map_or(0, |(requests, ..)| requests);
        self.worn
            || self.is_idle(now)
            || recycle.max_requests.is_some_and(|most| requests >= most)
            || recycle.max_age.is_some_and(|age| now - self.born >= age)
            || recycle
                .max_memory
                .is_some_and(|limit| self.memory > limit.soft)
    }

    /// Whether it was found to have more memory than it may ever have.
    pub(in crate::fleet::sim) fn is_far_too_large(&self) -> bool {
        let hard = self.definition.recycle.max_memory.and_then(|it| it.hard);
        hard.is_some_and(|hard| self.memory > hard)
    }

    /// The master stood still: it was not heard, and could not be.
    pub(in crate::fleet::sim) fn paused(&mut self, now: Moment) {
        (self.beat, self.deaf_until) = (now, now);
    }

    /// Whether it has had all its time to become ready, and was listened to.
    pub(in crate::fleet::sim) fn is_late(&self, now: Moment) -> bool {
        now - self.born.max(self.deaf_until) >= self.definition.start_timeout
    }

    /// Whether it has served more than any worker of its app may.
    pub(in crate::fleet::sim) fn is_spent(&self) -> bool {
        let requests = self.served.map_or(0, |(requests, ..)| requests);
        let limit = self.definition.recycle.max_requests;
        limit.is_some_and(|limit| requests > limit + limit / 5)
    }

    pub(in crate::fleet::sim) fn version(&self) -> u64 {
        script::version(&self.definition)
    }
}
