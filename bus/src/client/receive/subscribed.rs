//! A subscription over all connections of its client: what was asked for, and how far it has come.

use crate::{
    client::{
        error::Disconnected,
        queue::{Item, Sink},
    },
    wire::{
        control::{ClientOp, Resume, SubscribeOptions},
        data, flags,
    },
};

/// Whether the hub is the one that the last connection was to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Life {
    /// It is: what was had of it is known there.
    Same,
    /// It isn't, or not surely: its sequence numbers begin anew.
    Other,
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The hub has not answered yet, on no connection.
    Asked,
    /// Events come.
    Live,
    /// It is asked for on another connection.
    Again,
    /// The hub has it again, and hasn't said yet what is missing.
    Resuming,
}

/// A subscription.
#[derive(Debug)]
pub(in crate::client) struct Subscribed {
    pub(in crate::client) sink: Sink,
    pattern: String,
    reader: Option<Vec<u8>>,
    options: SubscribeOptions,
    stage: Stage,
    /// The last sequence number of the data lane.
    since: u64,
    /// Events that came, or were told as lost, as the hub counts them.
    taken: u64,
    /// Whether events from the history count: they do once it goes on where it ended on another connection.
    replay_counts: bool,
}

impl Subscribed {
    pub(in crate::client) fn new(
        sink: Sink,
        pattern: &str,
        reader: Option<&[u8]>,
        options: SubscribeOptions,
    ) -> Self {
        Self {
            sink,
            pattern: pattern.into(),
            reader: reader.map(<[u8]>::to_vec),
            options,
            stage: Stage::Asked,
            since: 0,
            taken: 0,
            replay_counts: false,
        }
    }

    /// How it is asked for.
    pub(in crate::client) fn ask(&self, sub: u32) -> ClientOp {
        ClientOp::Subscribe {
            sub,
            pattern: self.pattern.clone(),
            reader: self.reader.clone(),
            options: self.options.clone(),
        }
    }

    /// How it is asked for on another connection.
    pub(in crate::client) fn ask_again(&mut self, sub: u32, life: Life) -> ClientOp {
        if life == Life::Other {
            self.since = 0;
        }
        match self.stage {
            Stage::Asked => return self.ask(sub),
            Stage::Live | Stage::Again | Stage::Resuming => self.stage = Stage::Again,
        }
        self.replay_counts = false;
        let resume = (!self.options.serve).then_some(Resume {
            sub,
            since: self.since,
            taken: self.taken,
        });
        ClientOp::Subscribe {
            sub,
            pattern: self.pattern.clone(),
            reader: self.reader.clone(),
            options: SubscribeOptions {
                resume,
                history: 0,
                ..self.options.clone()
            },
        }
    }

    /// The hub has it.
    pub(in crate::client) fn accepted(&mut self) {
        match self.stage {
            Stage::Asked => self.stage = Stage::Live,
            // Calls of a lost connection are nobody's: there is nothing to go on with.
            Stage::Again if self.options.serve => self.stage = Stage::Live,
            Stage::Again => self.stage = Stage::Resuming,
            Stage::Live | Stage::Resuming => {}
        }
    }

    /// The hub has said what is missing; or shows by going on that it can't say.
    pub(in crate::client) fn resumed(&mut self, missed: Option<u64>) {
        match self.stage {
            Stage::Again | Stage::Resuming => self.stage = Stage::Live,
            Stage::Asked | Stage::Live => return,
        }
        match missed {
            Some(missed) => self.taken = self.taken.saturating_add(missed),
            None => self.taken = 0,
        }
        self.replay_counts = true;
        self.give(Item::Reconnected(missed));
    }

    /// Events have come.
    pub(in crate::client) fn got(&mut self, run: data::Run, run_flags: u8) {
        let has = |flag| run_flags & flag != 0;
        if self.stage == Stage::Resuming && !has(flags::CONTROL_LANE) {
            self.resumed(None);
        }
        let counts = if has(flags::HISTORY) {
            self.replay_counts
        } else {
            !has(flags::RETAINED)
        };
        if counts {
            self.taken = self.taken.saturating_add(run.count.into());
        }
        if !has(flags::CONTROL_LANE) {
            let last = run.first_seq.saturating_add(run.count.into());
            self.since = self.since.max(last.saturating_sub(1));
        }
    }

    /// Events are lost.
    pub(in crate::client) fn missed(&mut self, missed: u64) {
        if self.stage == Stage::Resuming {
            self.resumed(None);
        }
        self.taken = self.taken.saturating_add(missed);
    }

    /// Nothing will come any more.
    pub(in crate::client) fn end(self, why: &Disconnected) {
        match self.sink {
            Sink::Events(queue) => queue.end(why.clone()),
            Sink::Calls(calls) => drop(calls),
        }
    }

    /// Gives its reader something.
    pub(in crate::client) fn give(&self, item: Item) {
        match &self.sink {
            Sink::Events(queue) => queue.push(item),
            Sink::Calls(_) => {}
        }
    }
}
