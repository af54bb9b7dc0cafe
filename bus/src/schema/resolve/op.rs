//! What a plan consists of: what becomes of each part of a value.

use crate::schema::{
    error::{Failure, Segment},
    scalar::ScalarKind,
    tree::{Block, NodeId, Tree},
};

/// What becomes of a value. Nodes are the writer's.
#[derive(Debug)]
pub(super) enum Op {
    /// It keeps its bytes.
    Copy(NodeId),
    /// Text or bytes that keep them, if there are no more than `max`.
    Limited { node: NodeId, max: u64 },
    /// Another kind of number.
    Widen {
        node: NodeId,
        from: ScalarKind,
        to: ScalarKind,
    },
    /// It becomes `Some` of what becomes of it.
    Some(Box<Self>),
    /// An option: what becomes of what it holds.
    Option { node: NodeId, inner: Box<Self> },
    Seq {
        node: NodeId,
        element: Box<Self>,
        limit: Limit,
    },
    Map {
        node: NodeId,
        key: Box<Self>,
        value: Box<Self>,
        limit: Limit,
    },
    /// Fields or elements.
    Parts(Parts),
    /// For each of the writer's variants what becomes of it.
    Enum {
        node: NodeId,
        variants: Block,
        choices: Box<[Choice]>,
    },
}

/// What the reader's type says of the number of elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// The reader's node.
    pub(super) node: NodeId,
    pub(super) max: Option<u64>,
    /// Its elements are without a size.
    pub(super) zero_sized: bool,
}

/// What becomes of several values in a row.
#[derive(Debug)]
pub(super) struct Parts {
    /// In the writer's order.
    pub(super) steps: Box<[Step]>,
    /// Which of the values written each of the reader's fields is, if the reader has them in another order.
    pub(super) order: Option<Box<[u32]>>,
}

/// One value of several in a row.
#[derive(Debug)]
pub(super) enum Step {
    /// It becomes one of the reader's.
    Take { op: Op, at: Place },
    /// The reader doesn't know it.
    Skip { node: NodeId, at: Place },
    /// The reader has an `Option` here that the writer doesn't know.
    None,
}

/// Which value of several.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The only one.
    Only,
    Index(u32),
    /// The name of a field of the writer's.
    Field(u32),
}

/// What becomes of a variant.
#[derive(Debug)]
pub(super) enum Choice {
    /// It is the reader's variant with this number.
    Known { number: u32, parts: Parts },
    /// The reader has none of that name.
    Unknown,
    /// The reader's variant of that name holds something else.
    Misfit(Box<Failure>),
}

impl Parts {
    /// Whether all of them keep their bytes, and nothing comes or goes.
    pub(super) fn keep_bytes(&self) -> bool {
        let copied = |step: &Step| {
            matches!(
                step,
                Step::Take {
                    op: Op::Copy(_),
                    ..
                }
            )
        };
        self.order.is_none() && self.steps.iter().all(copied)
    }
}

/// Adds a step to a failure's path. Names are the writer's.
pub(super) fn under(failure: Box<Failure>, at: Place, tree: &Tree) -> Box<Failure> {
    match at {
        Place::Only => failure,
        Place::Index(at) => failure.under(Segment::Index(at as usize)),
        Place::Field(name) => failure.under(Segment::Key(tree.name(name).text.to_string())),
    }
}
