//! What may wait in a queue.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    rc::Rc,
};

use bytes::{Buf, Bytes};

use super::{memory::Charge, types::SharedType};
use crate::{Origin, Topic, TypeSchema, wire::frame};

/// A publisher, for those who must know of it before they get its events.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) conn: u64,
    pub(super) origin: Origin,
    /// Nothing new will come from it.
    pub(super) gone: Cell<bool>,
    /// Connections that were told its origin and are to be told when it has gone.
    pub(super) known_to: RefCell<HashSet<u64>>,
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
}

impl Run {
    /// Takes off the oldest event.
    fn shorten(&mut self) {
        let size = frame::peek(&self.frames, usize::MAX >> 1)
            .ok()
            .flatten()
            .unwrap_or(self.frames.len());
        self.frames.advance(size.min(self.frames.len()));
        self.first_seq += 1;
        self.count -= 1;
    }
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

    /// Takes off the oldest event, and says how many the subscriber misses by it.
    pub(super) fn lose_oldest(&mut self) -> u64 {
        match self {
            Self::Run(run) if run.count > 1 => {
                run.shorten();
                1
            }
            Self::Run(_) | Self::Whole(_) => {
                *self = Self::Gap;
                1
            }
            Self::Misfit { missed, .. } => {
                let missed = *missed;
                *self = Self::Gap;
                missed
            }
            Self::Gap => 0,
        }
    }
}
