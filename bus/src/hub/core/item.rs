//! What may wait in a queue.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use bytes::{Buf, Bytes};

use super::{later::Later, memory::Charge, types::SharedType};
use crate::{Origin, Topic, TypeSchema, hub::numbered::NumberSet, wire::frame};

/// A publisher, for those who must know of it before they get its events.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) conn: u64,
    pub(super) origin: Origin,
    /// Nothing new will come from it.
    pub(super) gone: Cell<bool>,
    /// Connections that were told its origin and are to be told when it has gone.
    pub(super) known_to: RefCell<NumberSet>,
    /// Events it published, and their bytes.
    pub(super) published: Cell<(u64, u64)>,
}

/// A type announced by a publisher. Lives as long as the publisher or something queued or retained that needs it.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) index: u32,
    pub(super) topic: Option<Topic>,
    pub(super) schema: TypeSchema,
    /// Keeps the type in use.
    pub(super) shared: Rc<SharedType>,
    /// Its share of the hub's memory.
    pub(super) _charge: Charge,
}

/// Types that a run refers to.
pub(super) const TYPES_PER_RUN: usize = 4;

/// The types a run refers to; a run ends where one more would be needed.
#[derive(Clone, Debug, Default)]
pub(super) struct RunTypes([Option<Rc<Announced>>; TYPES_PER_RUN]);

impl RunTypes {
    /// Whether `ty` is among them, or was added.
    pub(super) fn hold(&mut self, ty: Option<&Rc<Announced>>) -> bool {
        let Some(ty) = ty else { return true };
        for place in &mut self.0 {
            match place {
                Some(held) if held.index == ty.index => return true,
                Some(_) => {}
                None => {
                    *place = Some(Rc::clone(ty));
                    return true;
                }
            }
        }
        false
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<Announced>> {
        self.0.iter().flatten()
    }
}

impl From<Option<Rc<Announced>>> for RunTypes {
    fn from(ty: Option<Rc<Announced>>) -> Self {
        Self([ty, None, None, None])
    }
}

/// Consecutive events of one publisher, as they came.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) card: Rc<Card>,
    pub(super) first_seq: u64,
    pub(super) count: u32,
    /// Flags of the RUN frame.
    pub(super) flags: u8,
    pub(super) frames: Bytes,
    pub(super) types: RunTypes,
    /// The read buffer that `frames` keeps alive, if it isn't a copy.
    pub(super) pins: Option<u64>,
    /// When nobody wants them any more.
    pub(super) until: Option<Instant>,
    /// How they change their form when they are written, if they do.
    pub(super) later: Option<Rc<Later>>,
}

impl Run {
    /// The newest event's sequence number.
    pub(super) fn last_seq(&self) -> u64 {
        self.first_seq + u64::from(self.count.max(1)) - 1
    }

    /// Whether nobody wants them any more.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Takes off the `n` oldest events, of which there must be more.
    pub(super) fn shorten(&mut self, n: u32) {
        let size = self.size_of(n);
        self.frames.advance(size);
        self.first_seq += u64::from(n);
        self.count -= n;
    }

    /// How many of the oldest events are at least so many messages and bytes together; all, if that is not enough.
    fn count_off(&self, messages: usize, bytes: usize) -> u32 {
        let count = self.count as usize;
        if messages >= count || bytes >= self.frames.len() {
            return self.count;
        }
        let (mut n, mut size) = (0, 0);
        while n < count && (n < messages || size < bytes) {
            size += first_frame(&self.frames[size..]);
            n += 1;
        }
        n as u32
    }

    /// Bytes of the `n` oldest events.
    fn size_of(&self, n: u32) -> usize {
        (0..n).fold(0, |size, _| size + first_frame(&self.frames[size..]))
    }

    /// Takes off the `n` oldest events, of which there must be more, as a run of their own.
    pub(super) fn split(&mut self, n: u32) -> Self {
        let size = self.size_of(n);
        let front = Self {
            count: n,
            frames: self.frames.split_to(size),
            ..self.clone()
        };
        self.first_seq += u64::from(n);
        self.count -= n;
        front
    }

    /// How many of the oldest events fit into so many messages and bytes.
    pub(super) fn fitting(&self, messages: usize, bytes: usize) -> u32 {
        let most = messages.min(self.count as usize) as u32;
        if self.frames.len() <= bytes {
            return most;
        }
        let mut size = 0;
        (0..most)
            .find(|_| {
                size += first_frame(&self.frames[size..]);
                size > bytes
            })
            .unwrap_or(most)
    }
}

/// The size of the first of some whole frames.
fn first_frame(frames: &[u8]) -> usize {
    frame::peek(frames, usize::MAX >> 1)
        .ok()
        .flatten()
        .unwrap_or(frames.len())
        .min(frames.len())
}

/// A whole frame, in two parts so that a large payload need not be copied.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    /// The frame up to its payload.
    pub(super) head: Bytes,
    pub(super) payload: Bytes,
    /// Who must be known before it.
    pub(super) card: Option<Rc<Card>>,
    /// What must be known before it.
    pub(super) ty: Option<Rc<Announced>>,
    /// The call, if it is one.
    pub(super) call: Option<u64>,
    /// The event, if it is one.
    pub(super) event: Option<Mark>,
}

/// What the hub must know of an event that is an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) seq: u64,
    /// Flags of its RUN frame.
    pub(super) flags: u8,
    /// When nobody wants it any more.
    pub(super) until: Option<Instant>,
}

impl Whole {
    /// A frame that needs nothing to be known.
    pub(super) fn plain(head: Bytes) -> Self {
        Self {
            head,
            payload: Bytes::new(),
            card: None,
            ty: None,
            call: None,
            event: None,
        }
    }
}

/// What may wait in a queue.
#[derive(Debug)]
pub(super) enum Item {
    Run(Run),
    Whole(Whole),
    /// Events of a type that the subscription's reader can't read.
    Misfit {
        missed: u64,
        /// The last one's sequence number.
        last_seq: u64,
        topic: Topic,
        reason: Rc<str>,
    },
    /// Nothing but the place where events were lost.
    Gap,
}

/// What the hub needs for each item, beside its bytes: list node, types, origin.
pub(super) const ITEM_BYTES: usize = 256;

impl Item {
    /// Messages it counts as.
    pub(super) fn messages(&self) -> usize {
        match self {
            Self::Run(run) => run.count as usize,
            Self::Whole(_) | Self::Misfit { .. } => 1,
            Self::Gap => 0,
        }
    }

    /// Bytes it counts as, toward its subscription's bound.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Run(run) => run.frames.len(),
            Self::Whole(whole) => whole.head.len() + whole.payload.len(),
            Self::Misfit { reason, .. } => reason.len(),
            Self::Gap => 0,
        }
    }

    /// Events it stands for: those of a misfit too, though it counts as one message.
    pub(super) fn events(&self) -> u64 {
        match self {
            Self::Run(run) => u64::from(run.count),
            Self::Whole(_) => 1,
            Self::Misfit { missed, .. } => *missed,
            Self::Gap => 0,
        }
    }

    /// When nobody wants it any more.
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Run(run) => run.until,
            Self::Whole(whole) => whole.event.and_then(|event| event.until),
            Self::Misfit { .. } | Self::Gap => None,
        }
    }

    /// Whether nobody wants it any more.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    /// The newest event's sequence number; 0 for what is no event.
    pub(super) fn newest_seq(&self) -> u64 {
        match self {
            Self::Run(run) => run.last_seq(),
            Self::Whole(_) | Self::Misfit { .. } | Self::Gap => self.oldest_seq(),
        }
    }

    /// The sequence number up to which [`lose_oldest`](Self::lose_oldest) takes off; 0 for what is no event.
    pub(super) fn oldest_seq(&self) -> u64 {
        match self {
            Self::Run(run) => run.first_seq,
            Self::Whole(whole) => whole.event.map_or(0, |event| event.seq),
            Self::Misfit { last_seq, .. } => *last_seq,
            Self::Gap => 0,
        }
    }

    /// Events that the reader has to confirm if its subscription has a window: those of the control lane don't count, nor
    /// does what is no event.
    pub(super) fn to_confirm(&self) -> u64 {
        let counts = |flags: u8| u64::from(flags & frame::flags::CONTROL_LANE == 0);
        match self {
            Self::Run(run) => counts(run.flags) * u64::from(run.count),
            Self::Whole(whole) => whole.event.map_or(0, |event| counts(event.flags)),
            Self::Misfit { .. } | Self::Gap => 0,
        }
    }

    /// Takes off the oldest events until at least so many messages and bytes are gone, one at least, or nothing is left;
    /// and says how many the subscriber misses by it, and the last one's number.
    pub(super) fn lose_oldest(&mut self, messages: usize, bytes: usize) -> (u64, u64) {
        let oldest = self.oldest_seq();
        match self {
            Self::Run(run) => {
                let n = run.count_off(messages.max(1), bytes);
                match n < run.count {
                    true => run.shorten(n),
                    false => *self = Self::Gap,
                }
                (n.into(), oldest + u64::from(n.max(1)) - 1)
            }
            Self::Whole(_) => {
                *self = Self::Gap;
                (1, oldest)
            }
            Self::Misfit { missed, .. } => {
                let missed = *missed;
                *self = Self::Gap;
                (missed, oldest)
            }
            Self::Gap => (0, 0),
        }
    }
}
