//! What the hub holds for its peers, counted where it is taken and given back.

use std::{cell::Cell, rc::Rc};

/// Bytes held in all.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Rc<Held>);

#[derive(Debug, Default)]
struct Held {
    bytes: Cell<usize>,
    /// The most there ever were.
    #[cfg(test)]
    most: Cell<usize>,
}

impl Tally {
    pub(super) fn total(&self) -> usize {
        self.0.bytes.get()
    }

    #[cfg(test)]
    pub(super) fn most(&self) -> usize {
        self.0.most.get()
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
        let total = self.tally.total() + bytes;
        self.tally.0.bytes.set(total);
        #[cfg(test)]
        self.tally.0.most.set(self.tally.most().max(total));
    }

    /// Makes it so many bytes.
    pub(super) fn set(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.add(more),
            None => self.sub(self.bytes - bytes),
        }
    }

    pub(super) fn sub(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.tally.0.bytes.set(self.tally.total() - bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.sub(self.bytes);
    }
}
