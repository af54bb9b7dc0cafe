//! Fields and variants of two types, matched by name.

use super::op::{Parts, Place, Step};
use crate::schema::tree::{Block, NodeId, Tree};

/// Steps in the making.
pub(super) struct StepList<'c> {
    counterparts: &'c Counterparts,
    steps: Vec<Step>,
    /// The reader's fields that were written so far, in the order of writing.
    written: Vec<u32>,
    /// The reader has the fields in the writer's order.
    in_order: bool,
}

impl<'c> StepList<'c> {
    pub(super) fn new(counterparts: &'c Counterparts) -> Self {
        Self {
            counterparts,
            steps: Vec::new(),
            written: Vec::new(),
            in_order: counterparts.of_ours.iter().flatten().is_sorted(),
        }
    }

    /// Where the order is one, missing fields are written in their place: up to `position` by now.
    pub(super) fn none_up_to(&mut self, position: u32) {
        if self.in_order {
            for missing in self.written.len() as u32..position {
                self.steps.push(Step::None);
                self.written.push(missing);
            }
        }
    }

    /// A field that the reader has at `position`.
    pub(super) fn take(&mut self, position: u32, step: Step) {
        self.steps.push(step);
        self.written.push(position);
    }

    /// A field that the reader doesn't have.
    pub(super) fn skip(&mut self, node: NodeId, at: Place) {
        self.steps.push(Step::Skip { node, at });
    }

    pub(super) fn finish(mut self) -> Parts {
        let of_theirs = &self.counterparts.of_theirs;
        if self.in_order {
            self.none_up_to(of_theirs.len() as u32);
            return Parts {
                steps: self.steps.into(),
                order: None,
            };
        }
        for (missing, _) in of_theirs.iter().enumerate().filter(|(_, c)| c.is_none()) {
            self.steps.push(Step::None);
            self.written.push(missing as u32);
        }
        let mut order = vec![0; self.written.len()];
        for (piece, position) in self.written.iter().enumerate() {
            order[*position as usize] = piece as u32;
        }
        Parts {
            steps: self.steps.into(),
            order: Some(order.into()),
        }
    }
}

/// Which of two types' fields or variants have one name. Where a name stands twice in one of them, only one of the two
/// has a counterpart.
pub(super) struct Counterparts {
    pub(super) of_ours: Vec<Option<u32>>,
    pub(super) of_theirs: Vec<Option<u32>>,
}

impl Counterparts {
    pub(super) fn of_fields(ours: &Tree, from: Block, theirs: &Tree, to: Block) -> Self {
        let names = ours.fields(from).iter().map(|field| field.name);
        let of_ours = names.enumerate().map(|(at, name)| {
            let name = &ours.name(name).text;
            let is_the_one = ours.field_named(from, name) == Some(at as u32);
            theirs.field_named(to, name).filter(|_| is_the_one)
        });
        Self::new(of_ours.collect(), to.len)
    }

    pub(super) fn of_variants(ours: &Tree, from: Block, theirs: &Tree, to: Block) -> Self {
        let names = ours.variants(from).iter().map(|variant| variant.name);
        let of_ours = names.enumerate().map(|(at, name)| {
            let name = &ours.name(name).text;
            let is_the_one = ours.variant_named(from, name) == Some(at as u32);
            theirs.variant_named(to, name).filter(|_| is_the_one)
        });
        Self::new(of_ours.collect(), to.len)
    }

    fn new(of_ours: Vec<Option<u32>>, theirs: u32) -> Self {
        let mut of_theirs = vec![None; theirs as usize];
        for (at, position) in of_ours.iter().enumerate() {
            if let Some(position) = position {
                of_theirs[*position as usize] = Some(at as u32);
            }
        }
        Self { of_ours, of_theirs }
    }
}
