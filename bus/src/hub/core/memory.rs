//! What the hub holds for its peers, counted where it is taken and given back.

use std::{cell::Cell, rc::Rc};

/// Bytes held in all.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Rc<Cell<usize>>);

impl Tally {
    pub(super) fn total(&self) -> usize {
        self.0.get()
    }

    pub(super) fn charge(&self, bytes: usize) -> Charge {
        let mut charge = Charge {
            tally: self.clone(),
            bytes: 0,
        };
        charge.add(bytes);
        charge
    }
}

/// A part of the total, given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    tally: Tally,
    bytes: usize,
}

impl Charge {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.tally.0.set(self.tally.total() + bytes);
    }

    pub(super) fn sub(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.tally.0.set(self.tally.total() - bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.sub(self.bytes);
    }
}
